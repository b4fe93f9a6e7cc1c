# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy before the real API server: chosen requests meet a fault there, all others go through, exec and watch too."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml

STALL_SECONDS = 30.0  # the longest that a request is left without an answer
_HOP_BY_HOP = {"authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass
class Rule:
    """What is done to the `first` to the `last` (None: and all after it) of the requests that match.

    pattern: searched in `METHOD /path?query`; but: one that must not be found there; matched, hits: how many requests
    matched, and to how many of them it was done.
    """

    pattern: str
    act: Act
    first: int = 1
    last: int | None = None
    but: str = r"^$"
    matched: int = 0
    hits: int = 0
    lock: Any = field(default_factory=threading.Lock, repr=False)

    def takes(self, request: str) -> bool:
        """Whether it is to be done to this request, which is counted."""
        if not re.search(self.pattern, request) or re.search(self.but, request):
            return False
        with self.lock:
            self.matched += 1
            taken = self.matched >= self.first and (self.last is None or self.matched <= self.last)
            self.hits += taken
        return taken


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ApiProxy:
    """Listens on 127.0.0.1 without TLS and speaks to the server of `kubeconfig` with its client certificate.

    rules: the first one that takes a request decides; they may be changed at any time. folder: for its files.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.folder = folder
        self.rules: list[Rule] = []
        self.released = threading.Event()
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        self.server = config["clusters"][0]["cluster"]["server"]
        self.tls = self._tls(config["clusters"][0]["cluster"], config["users"][0]["user"])
        self.pool = urllib3.PoolManager(maxsize=16, ssl_context=self.tls)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._http.daemon_threads, self._http.block_on_close = True, False
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    @contextlib.contextmanager
    def ruled(self, *rules: Rule) -> Iterator[None]:
        """Rules for a block; whoever is left without an answer is let go at its end."""
        self.released.clear()
        self.rules = list(rules)
        try:
            yield
        finally:
            self.rules = []
            self.released.set()

    def close(self) -> None:
        """Listen no more."""
        self.released.set()
        self._http.shutdown()
        self._http.server_close()

    def write_kubeconfig(self, token: str = "valid") -> Path:
        """(Re)writes the kubeconfig that leads to the proxy, with this token, and returns its path."""
        path = self.folder / "proxy.conf"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self._http.server_port}"}}],
            "users": [{"name": "proxy", "user": {"token": token}}],
        }
        # at once, as several requests may find an old token at the same time
        fresh = self.folder / f"proxy.{threading.get_ident()}"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(config), encoding="utf-8")
        return fresh.replace(path)

    def _tls(self, cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
        def decoded(data: str) -> str:
            return base64.b64decode(data).decode()

        pair = self.folder / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_text(decoded(user["client-certificate-data"]) + decoded(user["client-key-data"]))
        context = ssl.create_default_context(cadata=decoded(cluster["certificate-authority-data"]))
        context.load_cert_chain(pair)
        return context


class _Handler(BaseHTTPRequestHandler):
    """One connection of the client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, proxy: ApiProxy, *args: Any) -> None:
        self.proxy = proxy
        super().__init__(*args)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        exchange = Exchange(self, body)
        request = f"{self.command} {self.path}"
        act = next((rule.act for rule in self.proxy.rules if rule.takes(request)), passed)
        try:
            act(exchange)
        except OSError:
            exchange.reset()  # one of the two sides is gone

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server wants these names


class Exchange:
    """One request, and what may be done with it."""

    def __init__(self, handler: _Handler, body: bytes) -> None:
        self.handler, self.proxy, self.body = handler, handler.proxy, body
        self.method, self.path = handler.command, handler.path
        self.upgrade = "upgrade" in handler.headers.get("Connection", "").lower()
        self.watch = "watch=true" in handler.path
        self.token = handler.headers.get("Authorization", "").removeprefix("Bearer ")

    def _headers(self) -> dict[str, str]:
        return {name: value for name, value in self.handler.headers.items() if name.lower() not in _HOP_BY_HOP}

    def _open(self, preload: bool) -> urllib3.BaseHTTPResponse:
        url = self.proxy.server + self.path
        try:
            return self.proxy.pool.request(
                self.method,
                url,
                body=self.body or None,
                headers=self._headers(),
                retries=False,
                redirect=False,
                preload_content=preload,
            )
        except urllib3.exceptions.HTTPError as error:
            raise OSError(str(error)) from error

    def forward(self) -> Answer:
        """Lets the API server do what is asked."""
        response = self._open(preload=True)
        headers = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
        return Answer(response.status, headers, response.data)

    def send(self, answer: Answer, cut: int | None = None) -> None:
        """Answers; only the first `cut` bytes of the body, if given, and then the connection is reset."""
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.handler.wfile.write(f"HTTP/1.1 {answer.status} -\r\n{head}\r\n".encode() + answer.body[:cut])
        if cut is not None:
            self.reset()

    def stream(self) -> None:
        """Passes a watch on, event by event."""
        response = self._open(preload=False)
        self.handler.close_connection = True
        self.handler.wfile.write(f"HTTP/1.1 {response.status} -\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for chunk in response.stream(None):
                self.handler.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.handler.wfile.write(b"0\r\n\r\n")
        except urllib3.exceptions.HTTPError as error:
            raise OSError(str(error)) from error
        finally:
            response.close()

    def tunnel(self, limit: int | None = None) -> None:
        """Passes raw bytes on, as a websocket needs it; returns after `limit` bytes for the client, if given."""
        self.handler.close_connection = True
        address = urlsplit(self.proxy.server)
        connection = socket.create_connection((address.hostname, address.port or 443), timeout=10)
        with self.proxy.tls.wrap_socket(connection, server_hostname=address.hostname) as server:
            headers = {**self._headers(), "Host": address.netloc, "Connection": "Upgrade"}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            server.sendall(f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode())
            client = self.handler.connection
            while limit is None or limit > 0:
                ready = [server] if server.pending() else select.select([client, server], [], [])[0]
                for source, target in ((client, server), (server, client)):
                    data = source.recv(65536) if source in ready else None
                    if data == b"":
                        return
                    if data and source is server and limit is not None:
                        data, limit = data[:limit], limit - len(data[:limit])
                    if data:
                        target.sendall(data)

    def reset(self) -> None:
        """Ends the connection by a TCP reset, without an answer."""
        self.handler.close_connection = True
        connection = self.handler.connection
        if connection.fileno() != -1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(connection.detach())

    def stall(self) -> None:
        """Leaves the client without an answer until the rules of the proxy end."""
        self.proxy.released.wait(STALL_SECONDS)
        self.reset()


Act = Callable[[Exchange], None]


def passed(exchange: Exchange) -> None:
    """No fault."""
    if exchange.upgrade:
        exchange.tunnel()
    elif exchange.watch:
        exchange.stream()
    else:
        exchange.send(exchange.forward())


def refused(status: int, reason: str, message: str = "injected by the test", **headers: str) -> Act:
    """An answer of the API server other than success; headers: with _ in place of -."""
    document = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status}
    body = json.dumps({**document, "reason": reason, "message": message}).encode()
    told = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda exchange: exchange.send(Answer(status, told, body))


def expired(token: str, renewed: str | None = None) -> Act:
    """401 as long as the client comes with this token; `renewed` is in the kubeconfig when it hears of that."""
    refuse = refused(401, "Unauthorized", "Unauthorized")

    def act(exchange: Exchange) -> None:
        if exchange.token != token:
            passed(exchange)
            return
        if renewed:
            exchange.proxy.write_kubeconfig(renewed)
        refuse(exchange)

    return act


def reset(exchange: Exchange) -> None:
    """The connection is reset, the API server never sees the request."""
    exchange.reset()


def lost(exchange: Exchange) -> None:
    """The API server does what is asked, and its answer is lost."""
    exchange.forward()
    exchange.reset()


def cut(exchange: Exchange) -> None:
    """The answer ends in the middle."""
    if exchange.upgrade:
        exchange.tunnel(limit=1000)
        exchange.reset()
    else:
        answer = exchange.forward()
        exchange.send(answer, cut=len(answer.body) // 2)


def stalled(exchange: Exchange) -> None:
    """No answer comes, and no end of the connection."""
    exchange.stall()


def stuck(exchange: Exchange) -> None:
    """An answer begins, and goes on no more."""
    exchange.tunnel(limit=1000)
    exchange.stall()


def ended(exchange: Exchange) -> None:
    """A watch that the server ends at once."""
    exchange.send(Answer(200, {"Content-Type": "application/json"}, b""))


def too_old(exchange: Exchange) -> None:
    """A watch whose resourceVersion the server does not know any more."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}
    event = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    exchange.send(Answer(200, {"Content-Type": "application/json"}, event))
