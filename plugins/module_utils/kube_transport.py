# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one connection to one Kubernetes API server; JSON in, JSON out, retried when safe.

The official Python client reads the kubeconfig, gives credentials and TLS and pools the connections. Requests go
through its connection pool by their raw paths: its typed models and its dynamic client cost more than the request.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ansible_collections.meshops.istio.plugins.module_utils import kube_errors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError, Unreachable

try:
    import urllib3
    from kubernetes import config as kube_config
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.stream.ws_client import WSClient

    IMPORT_ERROR: ImportError | None = None
except ImportError as error:
    IMPORT_ERROR = error

AGENT = "meshops.istio"
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0


def kubeconfig_paths(params: Mapping[str, Any]) -> list[str]:
    """Return the kubeconfig files that apply: option, K8S_AUTH_KUBECONFIG, KUBECONFIG (a path list), ~/.kube/config."""
    chosen = params.get("kubeconfig") or os.environ.get("K8S_AUTH_KUBECONFIG") or os.environ.get("KUBECONFIG")
    paths = (chosen or "~/.kube/config").split(os.pathsep)
    return [str(Path(path).expanduser()) for path in paths if path]


def load_client(params: Mapping[str, Any]) -> Any:
    """Return a `kubernetes` ApiClient for the options `kubeconfig` and `context`.

    Raises MeshopsError when the library is missing, Unreachable when there is no kubeconfig or it cannot be used.
    """
    if IMPORT_ERROR is not None:
        raise MeshopsError(
            f"The Python library 'kubernetes' cannot be imported by {sys.executable} ({IMPORT_ERROR}): install it for"
            " that interpreter, or set ansible_python_interpreter to one that has it."
        )
    paths = kubeconfig_paths(params)
    if not any(Path(path).is_file() for path in paths):
        raise Unreachable(
            f"There is no kubeconfig at {' or '.join(paths)}: set the option kubeconfig to the file of your cluster."
        )
    context = params.get("context") or os.environ.get("K8S_AUTH_CONTEXT") or None
    try:
        return kube_config.new_client_from_config(
            config_file=os.pathsep.join(paths), context=context, persist_config=False
        )
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        raise MeshopsError(
            f"The kubeconfig {os.pathsep.join(paths)} cannot be used"
            f"{f' with context {context}' if context else ''}: {error}"
        ) from error


class Transport:
    """Requests to the server of one kubeconfig; `retry_timeout` and `webhook_timeout` bound the retries, in seconds.

    waits_for_server: whether a server that takes no connection is tried again.
    """

    def __init__(self, params: Mapping[str, Any], client: Any = None, retry_timeout: float = 30.0) -> None:
        self._params = params
        self._client = client or load_client(params)
        self.retry_timeout = retry_timeout
        self.webhook_timeout = retry_timeout
        self.waits_for_server = True

    @property
    def server(self) -> str:
        return str(self._client.configuration.host).rstrip("/")

    def request(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        content_type: str = "application/json",
        repeatable: bool = True,
    ) -> dict:
        """Return the JSON answer of one request, repeated while that may help and is safe.

        `what` completes "Cannot ..." in errors. Raises the classes of kube_errors.
        """
        started = time.monotonic()
        attempt = 0
        renewed = False
        while True:
            try:
                return self._once(method, path, what, query, body=body, content_type=content_type)
            except kube_errors.Unauthorized:
                if renewed:
                    raise
                renewed = True  # a short-lived token or certificate may have been renewed in the file meanwhile
                self._client = load_client(self._params)
            except KubeError as error:
                patience = self._patience(error, repeatable)
                pause = max(getattr(error, "retry_after", 0.0), min(5.0, 0.2 * 2**attempt) * random.uniform(0.7, 1.0))  # noqa: S311
                if time.monotonic() - started + pause > patience:
                    raise
                time.sleep(pause)
                attempt += 1

    def _patience(self, error: KubeError, repeatable: bool) -> float:
        """Return for how many seconds after the first try this error is worth another one; 0: not at all."""
        if isinstance(error, kube_errors.WebhookUnavailable):
            return self.webhook_timeout
        if isinstance(error, Unreachable):
            if getattr(error, "unsent", False):
                return self.retry_timeout if self.waits_for_server else 0.0
            return self.retry_timeout if getattr(error, "transient", False) and repeatable else 0.0
        if error.status == 429:  # the server did not look at the request at all
            return self.retry_timeout
        return self.retry_timeout if error.status in kube_errors.RETRIABLE and repeatable else 0.0

    def _once(self, method: str, path: str, what: str, query: Any, *, body: Any, content_type: str) -> dict:
        data = None if body is None else json.dumps(body).encode()
        with self._translated(what):
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
            response = self._open(method, path, query, timeout, data=data, content_type=content_type)
        if 200 <= response.status < 300:
            return json.loads(response.data) if response.data else {}
        error = kube_errors.from_response(response.status, response.data, what, self.server)
        with contextlib.suppress(TypeError, ValueError):
            error.retry_after = float(response.headers.get("Retry-After"))
        raise error

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        timeout: Any,
        *,
        data: bytes | None = None,
        content_type: str | None = None,
        preload: bool = True,
    ) -> Any:
        headers = {"Accept": "application/json", "User-Agent": AGENT, **self.auth_headers()}
        if data is not None and content_type:
            headers["Content-Type"] = content_type
        url = self.server + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        pool = self._client.rest_client.pool_manager
        return pool.request(
            method, url, body=data, headers=headers, timeout=timeout, retries=False, preload_content=preload
        )

    def auth_headers(self) -> dict[str, str]:
        """Return the header with the token of the kubeconfig, if it has one; certificates need none."""
        settings = self._client.configuration.auth_settings().values()
        return {item["key"]: item["value"] for item in settings if item.get("in") == "header" and item.get("value")}

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Turn what the connection pool raises into Unreachable with a sentence that names the server."""
        try:
            yield
        except urllib3.exceptions.SSLError as error:
            raise Unreachable(
                f"Cannot {what}: the certificate of {self.server} does not fit the kubeconfig ({_cause(error)});"
                " is it of another cluster, or expired?"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            unreachable = Unreachable(
                f"Cannot {what}: no answer from {self.server} ({_cause(error)});"
                " is the API server running, and the address right?"
            )
            unreachable.transient = True
            unreachable.unsent = isinstance(
                error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
            )
            raise unreachable from error

    def stream(self, path: str, what: str, query: Mapping[str, Any], seconds: float) -> Iterator[dict]:
        """Yield the JSON lines of a watch until the server ends it or `seconds` have passed without a line."""
        with self._translated(what):
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=max(seconds, 0.1))
            response = self._open("GET", path, query, timeout, preload=False)
        try:
            if response.status != 200:
                raise kube_errors.from_response(response.status, response.read(), what, self.server)
            buffer = b""
            for chunk in response.stream(None, decode_content=True):
                *lines, buffer = (buffer + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
        except (urllib3.exceptions.HTTPError, OSError):
            return  # the caller reads again and decides by its own deadline
        finally:
            response.close()

    def execute(self, path: str, what: str, argv: list[str], query: Mapping[str, Any], seconds: float) -> str:
        """Run a command by the exec subresource and return its standard output."""
        url = self.server + path + "?" + urlencode({**query, "command": argv}, doseq=True)
        try:
            session = _session(self, url, what, seconds)
        except kube_errors.Unauthorized:  # as in request()
            self._client = load_client(self._params)
            session = _session(self, url, what, seconds)
        try:
            try:
                session.sock.settimeout(seconds)  # a message may stop in its middle
                session.run_forever(timeout=seconds)
            except Exception as error:  # the websocket library has exception classes of its own
                raise Unreachable(f"Cannot {what}: the connection broke off ({_cause(error)}).") from error
            if session.is_open():
                raise KubeError(f"Cannot {what}: no end after {seconds:.0f} s.")
            output, complaint = session.read_stdout(timeout=0) or "", session.read_stderr(timeout=0) or ""
            try:
                code = session.returncode
            except (AttributeError, KeyError, TypeError, ValueError, IndexError):
                code = -1  # the connection ended before the command did
            if code:
                raise KubeError(f"Cannot {what}: it ended with {code}: {_last_line(complaint or output)}")
            return output
        finally:
            session.close(timeout=0)

    def text(self, path: str, what: str, query: Mapping[str, Any]) -> str:
        """Return an answer that is text, such as a log; it is asked for once."""
        with self._translated(what):
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
            response = self._open("GET", path, query, timeout)
        if response.status != 200:
            raise kube_errors.from_response(response.status, response.data, what, self.server)
        return response.data.decode("utf-8", "replace")


def _session(transport: Transport, url: str, what: str, seconds: float) -> Any:
    """Return a session for a command; WSClient takes no timeout, so its handshake is waited for from outside."""
    made: futures.Future[Any] = futures.Future()
    configuration, headers = transport._client.configuration, transport.auth_headers()

    def connect() -> None:
        try:
            made.set_result(WSClient(configuration, url.replace("http", "ws", 1), headers, capture_all=False))
        except Exception as error:
            made.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return made.result(seconds)
    except futures.TimeoutError as error:
        made.add_done_callback(lambda late: late.exception() or late.result().close())
        raise Unreachable(f"Cannot {what}: no answer within {seconds:.0f} s.") from error
    except Exception as error:  # the websocket library has exception classes of its own
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and status >= 400:
            body = getattr(error, "resp_body", None) or b""
            raise kube_errors.from_response(status, body, what, transport.server) from error
        raise Unreachable(f"Cannot {what}: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text.rsplit(": ", 1)[-1][:300] or type(error).__name__


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no output"
