"""What the probe counts, what it calls an error, when it fails; against a real HTTP server of a few lines."""

from __future__ import annotations

import itertools
import math
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.meshops.istio.plugins.action import traffic_probe as action
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import observed
from ansible_collections.meshops.istio.plugins.module_utils.traffic.observed import Answer
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import probe


def validated(**options):
    return ArgumentSpecValidator(probe.ARGS, **probe.RULES).validate(options)


URL = "http://shop.example.com/productpage?u=test"
PARAMS = validated(url=URL, requests=40, timeout=5, version_pattern="reviews-(v[0-9]+)").validated_parameters


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece, which no delayed acknowledgement holds back

    def do_GET(self):
        server = self.server
        with server.lock:
            server.seen.append((self.path, self.headers["Host"], self.headers.get("end-user")))
            server.connections.add(self.client_address)
            status, body, headers = next(server.answers)
        if status in ("reset", "closed"):
            if status == "reset":  # closing with a linger time of 0 sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if status == "silent":
            server.released.wait(20)
            self.close_connection = True
            return
        if status == "garbage":
            self.wfile.write(b"no http at all\r\n\r\n")
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
        if int(headers.get("Content-Length", 0)) > len(body):
            self.close_connection = True

    def log_message(self, *_args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.seen, server.connections, server.lock = [], set(), threading.Lock()
        server.released = threading.Event()
        server.answers = itertools.cycle([(*answer, {})[:3] for answer in answers])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.released.set()
        server.shutdown()
        server.server_close()


def params(server, **changes):
    port = server.server_address[1]
    return {**PARAMS, "url": f"http://shop.example.com:{port}/p?u=test", "resolve": "127.0.0.1", **changes}


V1, V3 = (200, b"<p>reviews-v1-abc reviews-v1-abc</p>"), (200, b"reviews-v3-xyz")


def test_versions_are_counted_and_the_split_is_judged(serve):
    server = serve(V1, V3)
    result = probe.core(params(server, expect={"v1": 1, "v3": 1}, headers={"end-user": "jason"}), False)
    assert result["counts"] == {"v1": 20, "v3": 20}
    assert result["percent"] == {"v1": 50.0, "v3": 50.0}
    assert result["versions"]["v1"] == {"count": 20, "percent": 50.0, "interval": [33.8, 66.2]}
    assert result["errors"] == {}
    assert result["split"]["compatible"] and result["split"]["false_alarm"] == 0.0001
    assert not result["changed"]
    assert 0 < result["duration_ms"]["p50"] <= result["duration_ms"]["p99"]
    port = server.server_address[1]
    assert set(server.seen) == {("/p?u=test", f"shop.example.com:{port}", "jason")}
    assert len(server.seen) == 40


def test_a_host_header_of_the_user_wins(serve):
    server = serve(V1)
    probe.core(params(server, headers={"host": "other"}, requests=1), False)
    assert server.seen == [("/p?u=test", "other", None)]


def test_200_requests_over_kept_connections_with_a_reset(serve):
    server = serve(*[V1] * 99, ("reset", b""))
    result = probe.core(params(server, requests=200, max_errors=2), False)
    assert (result["counts"], result["errors"]) == ({"v1": 198}, {"reset": 2})
    # one for each worker, and one for each that broke
    assert 1 <= len(server.connections) <= PARAMS["concurrency"] + 2


def test_200_requests_over_new_connections(serve):
    server = serve(V1, V3)
    result = probe.core(params(server, requests=200, new_connections=True), False)
    assert result["counts"] == {"v1": 100, "v3": 100}
    assert len(server.connections) == 200


def test_all_failures_are_one_message_with_the_figures(serve):
    server = serve(V1, V1, V1, (503, b"no healthy upstream"))
    wanted = params(server, expect={"v1": "50", "v3": "50"}, max_duration_ms={"p50": 1e-9, "p90": None, "p99": 1e6})
    with pytest.raises(MeshopsError) as failure:
        probe.core(wanted, False)
    message = str(failure.value)
    assert "10 of 40 requests to http://shop.example.com:" in message
    assert "failed (UH: 10), max_errors is 0. The subset has no ready pod" in message
    assert "max_duration_ms.p50 is 1e-09" in message and "p90" not in message and "p99" not in message
    assert "is not v1 50 % v3 50 %: v1 answered 30 of 30 (100 %) instead of 50 %" in message
    assert "false_alarm is 0.0001" in message
    assert failure.value.result["counts"] == {"v1": 30, "v3": 0}
    assert failure.value.result["errors"] == {"UH": 10}
    assert not failure.value.result["split"]["compatible"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((302, b""), "HTTP 302"),
        ((404, b"", {"Server": "istio-envoy"}), "HTTP 404"),  # the server of Python has named itself before
        ((200, b"Simple Bookstore App"), "no version"),
        (("reset", b""), "reset"),
        (("closed", b""), "reset"),
        ((200, b"reviews-v1", {"Content-Length": 99}), "reset"),
        (("garbage", b""), "broken answer"),
    ],
)
def test_errors_are_counted_by_class(serve, answer, kind):
    server = serve(V1, answer)
    with pytest.raises(MeshopsError, match=rf"20 of 40 .*\({kind}: 20\), max_errors is 0\."):
        probe.core(params(server), False)
    result = probe.core(params(server, max_errors=20), False)
    assert result["errors"] == {kind: 20}
    assert result["counts"] == {"v1": 20}


def test_a_silent_server_is_a_timeout(serve):
    result = probe.core(params(serve(("silent", b"")), timeout=1, requests=2, max_errors=2), False)
    assert result["errors"] == {"timeout": 2}
    assert result["duration_ms"]["p50"] >= 1000


def test_https_to_a_server_without_it(serve):
    address = f"https://127.0.0.1:{serve(V1).server_address[1]}/"
    for change in ({"validate_certs": True}, {"validate_certs": False, "new_connections": True}):
        with pytest.raises(MeshopsError, match=r"3 of 3 requests .* \(TLS: 3\)"):
            probe.core({**PARAMS, "url": address, "requests": 3, **change}, False)


def test_nobody_listens():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with pytest.raises(MeshopsError, match=r"3 of 3 requests .* \(refused: 3\).* Nothing listens there"):
        probe.core({**PARAMS, "url": address, "requests": 3}, False)


def test_an_unknown_host(monkeypatch):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(MeshopsError, match=r"\(unknown host: 1\).* set resolve"):
        probe.core({**PARAMS, "url": "http://shop.invalid/", "requests": 1}, False)


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ({"max_errors": 9}, True),
        ({"max_errors": 10}, False),
        ({"max_error_percent": 24.9}, True),
        ({"max_error_percent": 25.0}, False),
        ({"max_error_percent": 0.0}, True),
    ],
)
def test_the_error_budget(change, fails):
    wanted = {**PARAMS, **change}
    answers = [Answer("v1", "", 1.0)] * 30 + [Answer("", "HTTP 500", 1.0)] * 10
    found = list(observed.problems(observed.summary(answers, {}, 1e-4, 95), wanted, {}))
    assert bool(found) is fails
    assert not found or f"{next(iter(change))} is {next(iter(change.values())):g}" in found[0]


def test_check_mode_sends_nothing(serve):
    server = serve(V1)
    result = probe.core(params(server, expect={"v1": 1}), True)
    assert result["skipped"]
    assert not result["changed"]
    assert result["counts"] == {"v1": 0}
    assert server.seen == []


def test_progress_is_told_at_the_end_and_not_too_often(serve, monkeypatch):
    told, server = [], serve(V1, V1, V1, (500, b""))
    monkeypatch.setattr(probe, "PROGRESS_SECONDS", math.inf)
    probe.core(params(server, max_errors=10), False, lambda *args: told.append(args))
    assert told == [(40, 40, 10)]
    monkeypatch.setattr(probe, "PROGRESS_SECONDS", 0)
    told.clear()
    probe.core(params(server, max_errors=10), False, lambda *args: told.append(args))
    assert [done for done, _total, _errors in told] == list(range(1, 41))
    assert told[-1] == (40, 40, 10)


def test_versions_by_header_and_field_over_http(serve):
    server = serve((200, b'{"pod": {"version": "v1"}}', {"x-version": "v2"}))
    found = probe.core(params(server, version_pattern=None, version_header="X-Version"), False)
    assert found["counts"] == {"v2": 40}
    found = probe.core(params(server, version_pattern=None, version_field="pod.version"), False)
    assert found["counts"] == {"v1": 40}


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
        ({"version_pattern": None, "expect": {"v1": 1}}, "Set version_pattern, version_header or version_field."),
        ({"version_pattern": None, "version_header": "x version"}, "no name of a header"),
        ({"version_pattern": None, "version_field": "a..b"}, "has an empty part"),
        ({"expect": {"v1": -1}}, "negative"),
        ({"requests": 0}, "Set requests to 1 or more"),
        ({"concurrency": 0}, "Set concurrency"),
        ({"timeout": -1}, "Set timeout"),
        ({"max_errors": -1}, "Set max_errors to 0 or more"),
        ({"max_error_percent": 100.1}, "max_error_percent is 100.1. Set it to 0 up to 100."),
        ({"max_error_percent": math.nan}, "max_error_percent is nan"),
        ({"false_alarm": 0.0}, "false_alarm is 0. Set it between 0 and 0.5"),
        ({"false_alarm": 0.5}, "false_alarm is 0.5."),
        ({"false_alarm": math.nan}, "false_alarm is nan"),
        ({"confidence": 100.0}, "confidence is 100. Set it between 0 and 100"),
        ({"max_duration_ms": {"p50": None, "p99": 0.0}}, "max_duration_ms.p99 is 0. Set it to more than 0"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_bad_input_is_one_sentence(change, word, check_mode):
    with pytest.raises(MeshopsError) as failure:
        probe.core({**PARAMS, **change}, check_mode)
    assert word in str(failure.value)
    assert failure.value.result == {}


def test_a_header_or_address_that_cannot_be_sent(serve):
    for change in ({"headers": {"x": "a\nb"}}, {"resolve": "a" * 64}):
        with pytest.raises(MeshopsError, match="cannot be sent"):
            probe.core(params(serve(V1), **change, requests=100), False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version_header": "a", "version_field": "b"}, "version_pattern|version_header|version_field"),
        ({"max_errors": 1, "max_error_percent": 1}, "max_errors|max_error_percent"),
        ({"max_duration_ms": {"p95": 1}}, "max_duration_ms.p95"),
        ({"max_duration_ms": {"p99": "fast"}}, "p99"),
        ({"max_error_percent": 0.1, "version_field": "a", "max_duration_ms": {"p99": "250"}}, ""),
    ],
)
def test_the_shared_arguments(options, message):
    found = " ".join(validated(url=URL, **options).error_messages)
    assert message in found if message else not found


class Plugin(action.ActionModule):
    def _execute_module(self, **kwargs):
        self.executed = kwargs
        return {"changed": False, "from": "module"}


def plugin(args, check_mode=False, **changes):
    settings = {"transport": "local", "become": None, "environment": [{}], "async_val": 0, **changes}
    connection = SimpleNamespace(
        _shell=SimpleNamespace(tmpdir=None), transport=settings["transport"], become=settings["become"]
    )
    task = SimpleNamespace(
        args=args,
        action="meshops.istio.traffic_probe",
        check_mode=check_mode,
        diff=False,
        async_val=settings["async_val"],
        environment=settings["environment"],
    )
    made = Plugin(task, connection, SimpleNamespace(check_mode=check_mode), None, None, None)
    made.lines, made.executed, made._load_name = [], None, "meshops.istio.traffic_probe"
    made._display = SimpleNamespace(display=made.lines.append)
    return made


def arguments(server, **changes):
    return {"url": f"http://127.0.0.1:{server.server_address[1]}/", "version_pattern": "reviews-(v[0-9]+)", **changes}


def test_the_action_runs_here_and_shows_long_runs(serve, monkeypatch):
    monkeypatch.setattr(probe, "PROGRESS_SECONDS", math.inf)
    server = serve(V1)
    short = plugin(arguments(server, requests="999"))
    assert short.run(task_vars={})["counts"] == {"v1": 999}
    assert short.lines == [] and short.executed is None
    long = plugin(arguments(server, requests=1000))
    assert long.run(task_vars={})["counts"] == {"v1": 1000}
    assert long.lines == ["traffic_probe: 1000 of 1000 requests, 0 errors"]


def test_the_action_fails_with_the_figures(serve):
    result = plugin(arguments(serve((404, b"")), requests=3)).run(task_vars={})
    assert result["failed"] and "3 of 3" in result["msg"] and result["errors"] == {"HTTP 404": 3}


def test_the_action_sends_nothing_in_check_mode(serve):
    server = serve(V1)
    assert plugin(arguments(server), check_mode=True).run(task_vars={})["skipped"]
    assert server.seen == []


def test_the_action_refuses_wrong_arguments(serve):
    server = serve(V1)
    for change, words in (
        ({"version_field": "a"}, "mutually exclusive: version_pattern"),
        ({"max_duration_ms": {"p95": 1}}, r"Unsupported parameters .*max_duration_ms\.p95"),
    ):
        result = plugin(arguments(server, **change)).run(task_vars={})
        assert result["failed"]
        assert re.search(words, result["msg"])
    assert server.seen == []


@pytest.mark.parametrize(
    "change",
    [{"transport": "ssh"}, {"become": object()}, {"async_val": 60}, {"environment": [{"SSL_CERT_FILE": "/ca.pem"}]}],
)
def test_the_action_falls_back_to_the_module(serve, change):
    server = serve(V1)
    made = plugin(arguments(server), **change)
    assert made.run(task_vars={})["from"] == "module"
    assert made.executed["wrap_async"] == change.get("async_val", 0)
    assert server.seen == []
