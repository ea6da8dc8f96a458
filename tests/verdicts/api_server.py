"""A Kubernetes API server with its etcd on loopback, and nothing else of a cluster: what it takes to ask for verdicts.

Needs no root. The programs are those of the test cluster (`make setup-cluster`).
"""

import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess
import time
import urllib.parse

from support import SLOWNESS

_TOKEN = "verdicts"
_START_SECONDS = 60 * SLOWNESS
JOBS = "/apis/elephas.dev/v1alpha1/namespaces/default/elephasjobs"


def programs():
    """The folder of kube-apiserver, etcd, kubectl and helm; None where they were not made."""
    deps = pathlib.Path(os.environ.get("ELEPHAS_DEPS_DIR") or pathlib.Path.home() / ".cache" / "elephas")
    folder = deps / "cluster" / "bin"
    return folder if (folder / "kube-apiserver").exists() else None


class PortTaken(Exception):
    """Somebody else was faster."""


class ApiServer:
    """Runs from up() to down()."""

    def __init__(self, folder):
        self._folder = folder
        self._running = []  # (process, the file of what it says)
        self.port = None
        self.certificate = folder / "certificates" / "apiserver.crt"
        self.kubeconfig = folder / "kubeconfig"

    def up(self):
        for attempt in range(5):
            try:
                return self._up(attempt)
            except PortTaken:
                self.down()
        raise RuntimeError("no port of loopback stayed free for the API server")

    def down(self):
        """Ends both processes; etcd last, so that the other does not miss it."""
        for process, _ in reversed(self._running):
            process.terminate()
            try:
                process.wait(10 * SLOWNESS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running = []

    def _start(self, arguments, log):
        with open(log, "wb") as out:
            process = subprocess.Popen([str(each) for each in arguments], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self._running.append((process, log))

    def _up(self, attempt):
        folder = self._folder / f"attempt-{attempt}"
        folder.mkdir()
        client, peer, self.port = _free_ports(3)
        tokens = folder / "tokens.csv"
        tokens.write_text(f"{_TOKEN},admin,admin,system:masters\n")
        key = folder / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True,
                       stdin=subprocess.DEVNULL)
        self._start([
            programs() / "etcd", f"--data-dir={folder / 'etcd'}", "--name=etcd", "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=etcd=http://127.0.0.1:{peer}", "--log-level=warn",
        ], folder / "etcd.log")
        self._start([
            programs() / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1", f"--secure-port={self.port}", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=198.18.1.0/24", f"--cert-dir={self.certificate.parent}",
            f"--token-auth-file={tokens}", "--authorization-mode=AlwaysAllow", "--anonymous-auth=false",
            "--disable-admission-plugins=ServiceAccount", "--profiling=false", "--enable-priority-and-fairness=false",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}", f"--service-account-key-file={key}",
        ], folder / "kube-apiserver.log")
        self._await_ready()
        self._write_kubeconfig()
        return self

    def _await_ready(self):
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if self.request("GET", "/readyz")[0] == 200 and \
                        self.request("GET", "/api/v1/namespaces/default")[0] == 200:
                    return
            except OSError:
                pass
            for process, log in self._running:
                if process.poll() is not None:
                    said = log.read_text(errors="replace")
                    if "address already in use" in said:
                        raise PortTaken()
                    raise RuntimeError(f"{log.stem} ended: {said[-3000:]}")
            if time.monotonic() > deadline:
                said = self._running[-1][1].read_text(errors="replace")
                raise RuntimeError(f"the API server is not ready after {_START_SECONDS} s: {said[-3000:]}")
            time.sleep(0.05)

    def _write_kubeconfig(self):
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
            "clusters": [{"name": "here", "cluster": {
                "server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(self.certificate)}}],
            "users": [{"name": "admin", "user": {"token": _TOKEN}}]}))

    def connect(self):
        """A connection of one's own, for many requests."""
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=60 * SLOWNESS)

    def request(self, method, path, body=None, connection=None, **query):
        """(status, decoded answer)"""
        own = connection or self.connect()
        headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}
        if query:
            path += "?" + urllib.parse.urlencode(query)
        own.request(method, path, None if body is None else json.dumps(body), headers)
        response = own.getresponse()
        text = response.read()
        if connection is None:
            own.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode(errors="replace")

    def kubectl(self, *arguments, **options):
        """The finished process."""
        return subprocess.run(
            [programs() / "kubectl", *map(str, arguments)], text=True, capture_output=True,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
                 "HOME": str(self._folder)},
            **({"stdin": subprocess.DEVNULL} | options))

    def problem(self, manifest, connection=None):
        """Why a manifest (decoded) is refused; "" when it is not. Nothing is kept."""
        status, answer = self.request("POST", JOBS, manifest, connection, dryRun="All", fieldValidation="Strict")
        if status == 201:
            return ""
        assert status in (400, 422), (status, answer)
        return answer["message"]


def _free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
