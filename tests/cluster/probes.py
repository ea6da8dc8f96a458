"""Whether something answers. False means not yet; anything that cannot get better by waiting raises."""

import http.client as http_client
import socket
import ssl
import urllib.error
import urllib.request

_SECONDS = 2.0


def http(url):
    return _get(urllib.request.Request(url), None)


def api(url, authority, token):
    """An endpoint of the API server, asked with a token."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    return _get(request, ssl.create_default_context(cafile=str(authority)))


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _get(request, context):
    handlers = [urllib.request.ProxyHandler({})]  # the machine's proxy knows nothing of this network
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_SECONDS) as answer:
            return answer.status == 200
    except (urllib.error.URLError, http_client.HTTPException, OSError):
        return False
