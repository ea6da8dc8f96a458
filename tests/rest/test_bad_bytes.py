"""Whatever arrives, the server answers with a 4xx where it can, changes nothing and goes on serving."""

import json
import random
import socket
import struct
import threading

import numpy
import pytest

from rest_client import PARAMETERS, TOKEN, Worker, safetensors

AUTHORIZATION = f"Authorization: Bearer {TOKEN}\r\n"


def say(port, data, finish=True):
    """Sends bytes on a new connection; all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        answer = b""
        try:
            peer.sendall(data)
            if finish:
                peer.shutdown(socket.SHUT_WR)
            while chunk := peer.recv(65536):
                answer += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer


def post(path, body, length=None, headers=AUTHORIZATION):
    length = len(body) if length is None else length
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n".encode()
        + body
    )


def status_of(answer):
    return int(answer.split()[1])


def message_of(answer):
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["message"]


@pytest.fixture
def worker(server):
    worker = Worker(server)
    worker.initialise()
    return worker


@pytest.fixture(autouse=True)
def nothing_changes(worker):
    """After each test the server lives and its parameters are the initial ones."""
    yield
    assert worker.server.alive(), worker.server.process.output
    parameters, version = worker.pull()
    assert version == 0
    assert (parameters == PARAMETERS).all()


def test_random_bytes_are_no_request(worker):
    generator = random.Random(7)
    for length in (1, 10, 100, 1000, 20000):
        answer = say(worker.server.port, generator.randbytes(length))
        assert answer == b"" or status_of(answer) in (400, 431, 505)


def test_random_bytes_in_bodies_are_no_tensors(worker):
    generator = random.Random(8)
    for length in (0, 1, 7, 8, 9, 64, 1000):
        answer = say(worker.server.port, post("/v1/updates", generator.randbytes(length)))
        assert status_of(answer) == 400, answer


def test_a_body_cut_anywhere_changes_nothing(worker):
    update = worker.update(worker.lease()["lease"], 0)
    body = safetensors({"delta": numpy.ones(6)}, {"update": json.dumps(update)})
    for cut in range(0, len(body), 13):
        answer = say(worker.server.port, post("/v1/updates", body[:cut], length=len(body)))
        assert status_of(answer) == 400, cut
        assert "truncated" in message_of(answer)


def test_every_flipped_byte_of_the_header_is_refused_or_harmless(worker):
    """A flipped byte may still be a right update; it must then be one for this lease or none at all."""
    update = worker.update(worker.lease()["lease"], 0)
    update["batches"] = [1, 3]  # never the next one: well-formed updates are a 409
    body = bytearray(safetensors({"delta": numpy.ones(6)}, {"update": json.dumps(update)}))
    for position in range(len(body) - 24):
        body[position] ^= 0x15
        answer = say(worker.server.port, post("/v1/updates", bytes(body)))
        body[position] ^= 0x15
        assert status_of(answer) in (400, 409), (position, answer)


@pytest.mark.parametrize("elements", [0, 1, 5, 7, 100])
def test_a_delta_of_another_size_names_the_tensor(worker, elements):
    update = worker.update(worker.lease()["lease"], 0)
    answer = say(
        worker.server.port,
        post("/v1/updates", safetensors({"delta": numpy.ones(elements)}, {"update": json.dumps(update)})),
    )
    assert status_of(answer) == 400
    assert "delta" in message_of(answer)


def test_a_nan_in_a_delta_is_refused(worker):
    update = worker.update(worker.lease()["lease"], 0)
    delta = numpy.ones(6)
    delta[3] = numpy.nan
    assert "NaN" in worker.push(update, delta, status=400).json()["message"]


def test_an_announced_terabyte_is_refused_before_it_is_sent(worker):
    for path in ("/v1/updates", "/v1/workers"):
        with socket.create_connection(("127.0.0.1", worker.server.port), timeout=30) as peer:
            peer.sendall(post(path, b"", length=1 << 40, headers=AUTHORIZATION))
            assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_lying_header_length_allocates_nothing(worker):
    body = struct.pack("<Q", (1 << 63) - 1) + b"{}"
    assert status_of(say(worker.server.port, post("/v1/updates", body))) == 400


@pytest.mark.parametrize("header", ["", "Authorization: Bearer wrong\r\n", f"Authorization: Basic {TOKEN}\r\n"])
def test_without_the_token_nothing_is_said_or_done(worker, header):
    for path in ("/v1/updates", "/v1/failure", "/v1/peers", "/v1/anything"):
        answer = say(worker.server.port, post(path, b"{}", headers=header))
        assert status_of(answer) == 401
        assert b"WWW-Authenticate: Bearer" in answer


def test_a_connection_serves_on_after_a_small_refused_body(worker):
    port = worker.server.port
    bad = post("/v1/workers", b'{"name": 1}').replace(b"Connection: close\r\n", b"")
    good = f"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{AUTHORIZATION}\r\n".encode()
    answer = say(port, bad + bad + good)
    assert answer.count(b"HTTP/1.1 400 ") == 2
    assert answer.count(b"HTTP/1.1 200 ") == 1


def test_chunked_bodies_are_refused(worker):
    answer = say(
        worker.server.port,
        f"POST /v1/workers HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}Transfer-Encoding: chunked\r\n\r\n".encode()
        + b"0\r\n\r\n",
    )
    assert status_of(answer) == 411


def test_curls_way_of_sending_large_bodies_works(worker):
    """Expect: 100-continue, answered only where the body is wanted."""
    body = b'{"name": "w-2"}'
    head = post("/v1/workers", b"", length=len(body), headers=AUTHORIZATION + "Expect: 100-continue\r\n")
    with socket.create_connection(("127.0.0.1", worker.server.port), timeout=30) as peer:
        peer.sendall(head)
        assert peer.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(body)
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
    head = post("/v1/workers", b"", length=len(body), headers="Expect: 100-continue\r\n")
    assert status_of(say(worker.server.port, head, finish=False)) == 401


def test_many_connections_that_say_nothing_leave_room_for_work(worker):
    idle = [socket.create_connection(("127.0.0.1", worker.server.port)) for _ in range(200)]
    assert worker.server.alive()
    worker.pull()
    for peer in idle:
        peer.close()


def test_garbage_and_work_at_the_same_time(worker):
    port = worker.server.port
    stop = threading.Event()

    def disturb(seed):
        generator = random.Random(seed)
        while not stop.is_set():
            say(port, generator.randbytes(generator.randrange(2000)))
            say(port, post("/v1/updates", generator.randbytes(generator.randrange(200)), length=100))

    threads = [threading.Thread(target=disturb, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            worker.pull()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
