"""What the probe counts, what it calls an error, when it fails; against a real HTTP server of a few lines."""

from __future__ import annotations

import itertools
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import traffic_probe
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

PARAMS = {
    "url": "http://shop.example.com/productpage?u=test",
    "resolve": None,
    "headers": None,
    "requests": 40,
    "concurrency": 4,
    "timeout": 5,
    "version_pattern": "reviews-(v[0-9]+)",
    "expect": None,
    "max_errors": 0,
    "validate_certs": True,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        with server.lock:
            server.seen.append((self.path, self.headers["Host"], self.headers.get("end-user")))
            status, body = next(server.answers)
        if status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.seen, server.lock, server.answers = [], threading.Lock(), itertools.cycle(answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def params(server, **changes):
    port = server.server_address[1]
    return {**PARAMS, "url": f"http://shop.example.com:{port}/p?u=test", "resolve": "127.0.0.1", **changes}


V1, V3 = (200, b"<p>reviews-v1-abc reviews-v1-abc</p>"), (200, b"reviews-v3-xyz")


def test_versions_are_counted_and_the_split_is_judged(serve):
    server = serve(V1, V3)
    result = traffic_probe.core(params(server, expect={"v1": 1, "v3": 1}, headers={"end-user": "jason"}), False)
    assert result["counts"] == {"v1": 20, "v3": 20}
    assert result["percent"] == {"v1": 50.0, "v3": 50.0}
    assert result["errors"] == {}
    assert result["split"]["compatible"]
    assert not result["changed"]
    assert 0 < result["duration_ms"]["p50"] <= result["duration_ms"]["p99"]
    port = server.server_address[1]
    assert set(server.seen) == {("/p?u=test", f"shop.example.com:{port}", "jason")}
    assert len(server.seen) == 40


def test_a_host_header_of_the_user_wins(serve):
    server = serve(V1)
    traffic_probe.core(params(server, headers={"host": "other"}, requests=1), False)
    assert server.seen == [("/p?u=test", "other", None)]


def test_a_wrong_split_is_one_sentence(serve):
    with pytest.raises(MeshopsError) as failure:
        traffic_probe.core(params(serve(V1), expect={"v1": "50", "v3": "50"}), False)
    assert "is not v1 50 % v3 50 %: v1 answered 40 of 40 (100 %) instead of 50 %" in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((503, b"no healthy upstream"), "HTTP 503: 20"),
        ((302, b""), "HTTP 302: 20"),
        ((200, b"Simple Bookstore App"), "no version in the answer: 20"),
        ((0, b""), "connection broken: "),
    ],
)
def test_errors_are_counted_by_kind(serve, answer, kind):
    server = serve(V1, answer)
    with pytest.raises(MeshopsError) as failure:
        traffic_probe.core(params(server), False)
    assert kind in str(failure.value)
    assert "max_errors is 0" in str(failure.value)
    result = traffic_probe.core(params(server, max_errors=40), False)
    assert sum(result["errors"].values()) + sum(result["counts"].values()) == 40


def test_nobody_listens():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with pytest.raises(MeshopsError, match=r"3 of 3 requests .* refused or unreachable: 3"):
        traffic_probe.core({**PARAMS, "url": address, "requests": 3}, False)


def test_check_mode_sends_nothing(serve):
    server = serve(V1)
    result = traffic_probe.core(params(server, expect={"v1": 1}), True)
    assert result["skipped"]
    assert not result["changed"]
    assert result["counts"] == {"v1": 0}
    assert server.seen == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"url": "ftp://x"}, "no http or https address"),
        ({"url": "http://"}, "no http or https address"),
        ({"url": "http://x:port/"}, "no http or https address"),
        ({"url": "http://[::1"}, "no http or https address"),
        ({"version_pattern": "("}, "no regular expression"),
        ({"version_pattern": "v1"}, "has 0 groups"),
        ({"version_pattern": "(a)(b)"}, "has 2 groups"),
        ({"version_pattern": None, "expect": {"v1": 1}}, "Set version_pattern"),
        ({"expect": {"v1": -1}}, "negative"),
        ({"requests": 0}, "Set requests to 1 or more"),
        ({"concurrency": 0}, "Set concurrency"),
        ({"timeout": -1}, "Set timeout"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_bad_input_is_one_sentence(change, word, check_mode):
    with pytest.raises(MeshopsError) as failure:
        traffic_probe.core({**PARAMS, **change}, check_mode)
    assert word in str(failure.value)


def test_a_header_that_cannot_be_sent(serve):
    with pytest.raises(MeshopsError, match="cannot be sent"):
        traffic_probe.core(params(serve(V1), headers={"x": "a\nb"}, requests=1), False)
