"""The cluster's certificate authority and what it signs, made anew for each cluster."""

import os
import subprocess

from cluster.layout import API_SERVICE_ADDRESS, DOMAIN, NODE_ADDRESS, NODE_NAME, VOLUME_USER

_DAYS = "30"


def make(folder):
    """Writes ca, apiserver, apiserver-client and kubelet (.crt and .key), and service-accounts.key."""
    folder.mkdir(mode=0o711)  # keys inside are their owners' only
    _openssl("req", "-x509", *_new_key(folder / "ca.key"), "-subj", "/CN=elephas-cluster", "-days", _DAYS,
             "-addext", "keyUsage=critical,keyCertSign,digitalSignature", "-out", folder / "ca.crt")
    _sign(folder, "apiserver", "/CN=kube-apiserver", "serverAuth", [
        *(f"DNS:{name}" for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                                     f"kubernetes.default.svc.{DOMAIN}")),
        *(f"IP:{address}" for address in (NODE_ADDRESS, API_SERVICE_ADDRESS, "127.0.0.1")),
    ])
    # The API server, when it asks the kubelet for logs.
    _sign(folder, "apiserver-client", "/O=system:masters/CN=kube-apiserver", "clientAuth", [])
    _sign(folder, "kubelet", f"/CN={NODE_NAME}", "serverAuth", [f"IP:{NODE_ADDRESS}", f"DNS:{NODE_NAME}"])
    # In the older format, of which the API server can read the public half too.
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "service-accounts.key")
    # The controller manager signs with it.
    os.chown(folder / "service-accounts.key", VOLUME_USER, VOLUME_USER)


def _sign(folder, name, subject, usage, alternative_names):
    request = folder / f"{name}.csr"
    extensions = folder / f"{name}.ext"
    lines = [f"extendedKeyUsage={usage}"]
    if alternative_names:
        lines.append("subjectAltName=" + ",".join(alternative_names))
    extensions.write_text("\n".join(lines) + "\n")
    _openssl("req", "-new", *_new_key(folder / f"{name}.key"), "-subj", subject, "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial",
             "-days", _DAYS, "-extfile", extensions, "-out", folder / f"{name}.crt")
    request.unlink()
    extensions.unlink()


def _new_key(path):
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path)


def _openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")
