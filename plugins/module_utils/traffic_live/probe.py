# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of traffic_probe, for its module and its action: send and have judged."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any, Optional
from urllib.parse import urlsplit

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, observed, statistics
from ansible_collections.meshops.istio.plugins.module_utils.traffic.observed import Answer, Find

try:
    import urllib3

    IMPORT_ERROR: Optional[ImportError] = None
except ImportError as error:
    IMPORT_ERROR = error

ARGS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "resolve": {"type": "str"},
    "headers": {"type": "dict"},
    "requests": {"type": "int", "default": 200},
    "concurrency": {"type": "int", "default": 4},
    "new_connections": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 10},
    "validate_certs": {"type": "bool", "default": True},
    "version_pattern": {"type": "str"},
    "version_header": {"type": "str"},
    "version_field": {"type": "str"},
    "confidence": {"type": "float", "default": 95.0},
    "expect": {"type": "dict"},
    "false_alarm": {"type": "float", "default": statistics.FALSE_ALARM},
    "max_errors": {"type": "int", "default": 0},
    "max_error_percent": {"type": "float"},
    "max_duration_ms": {"type": "dict", "options": {f"p{p}": {"type": "float"} for p in observed.PERCENTILES}},
}
RULES = {
    "mutually_exclusive": [("version_pattern", "version_header", "version_field"), ("max_errors", "max_error_percent")]
}
PROGRESS_SECONDS = 5.0

Progress = Callable[[int, int, int], None]

_PORTS = {"http": 80, "https": 443}


def core(params: Mapping[str, Any], check_mode: bool, progress: Optional[Progress] = None) -> dict[str, Any]:
    """Send the requests of params and return what was observed; MeshopsError, with it, when a demand is not met.

    progress(done, total, errors) is called at most every PROGRESS_SECONDS, and at the end.
    """
    expect = edit.parse_weights(params["expect"]) if params["expect"] else {}
    find = observed.version_finder(params["version_pattern"], params["version_header"], params["version_field"])
    if expect and not find:
        raise MeshopsError(
            "expect needs to find the version in the answer. Set version_pattern, version_header or version_field."
        )
    _check_numbers(params)
    _split_url(params["url"])
    summary = partial(
        observed.summary, expect=expect, false_alarm=params["false_alarm"], confidence=params["confidence"]
    )
    if check_mode:
        return {**summary([]), "skipped": True, "msg": "No request is sent in check mode."}
    result = summary(send(params, find, progress))
    wrong = " ".join(observed.problems(result, params, expect))
    if wrong:
        raise MeshopsError(wrong, result)
    return result


def send(params: Mapping[str, Any], find: Optional[Find], progress: Optional[Progress] = None) -> list[Answer]:
    """Return one Answer for each request; redirects are not followed, nothing is tried twice."""
    if IMPORT_ERROR is not None:
        raise MeshopsError(f"The Python library urllib3 cannot be imported ({IMPORT_ERROR}): install kubernetes.")
    connect, headers, path = _connection(params)

    def ask(pool: Any) -> Answer:
        started = time.monotonic()
        try:
            response = pool.request(
                "GET", path, headers=headers, retries=False, redirect=False, timeout=float(params["timeout"])
            )
        except ValueError as error:
            raise MeshopsError(f"url, resolve or headers cannot be sent ({error}). Correct them.") from error
        except urllib3.exceptions.HTTPError as error:
            return Answer("", error_class(error), 1000 * (time.monotonic() - started))
        milliseconds = 1000 * (time.monotonic() - started)
        return observed.answer(response.status, response.headers, response.data, find, milliseconds)

    def ask_anew() -> Answer:
        with connect(maxsize=1) as pool:
            return ask(pool)

    number = min(params["concurrency"], params["requests"])
    workers = ThreadPoolExecutor(number)
    with connect(maxsize=number) as kept:
        try:
            one = ask_anew if params["new_connections"] else partial(ask, kept)
            return _collect([workers.submit(one) for _number in range(params["requests"])], progress)
        finally:
            workers.shutdown(cancel_futures=True)


def _collect(futures: list[Future[Answer]], progress: Optional[Progress]) -> list[Answer]:
    answers: list[Answer] = []
    errors, told = 0, time.monotonic()
    for future in as_completed(futures):
        answers.append(future.result())
        errors += bool(answers[-1].error)
        last = len(answers) == len(futures)
        if progress and (last or time.monotonic() - told >= PROGRESS_SECONDS):
            told = time.monotonic()
            progress(len(answers), len(futures), errors)
    return answers


def error_class(error: Exception) -> str:
    """Return the class of a request that got no answer; `error` is what urllib3 made of another exception."""
    cause = error.__context__
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        if isinstance(cause, socket.gaierror):
            return "unknown host"
        return "refused" if isinstance(cause, ConnectionRefusedError) else "unreachable"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "TLS"
    return "reset" if isinstance(cause, (OSError, http.client.IncompleteRead)) else "broken answer"


def _connection(params: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, str], str]:
    """Return what makes a pool of connections, the headers of each request and its path."""
    scheme, host, port, path = _split_url(params["url"])
    options: dict[str, Any] = {"block": True}
    if scheme == "https":
        validate = params["validate_certs"]
        certs = "CERT_REQUIRED" if validate else "CERT_NONE"
        # one for all connections, as reading the certificates of the authorities takes longer than a request
        context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=urllib3.util.ssl_.resolve_cert_reqs(certs))
        if validate:
            context.load_default_certs()
        options.update(ssl_context=context, cert_reqs=certs)
        options.update(server_hostname=host, assert_hostname=host if validate else False)
    kind = urllib3.HTTPSConnectionPool if scheme == "https" else urllib3.HTTPConnectionPool
    authority = f"[{host}]" if ":" in host else host
    headers = {str(name): str(value) for name, value in (params["headers"] or {}).items()}
    if "host" not in {name.lower() for name in headers}:
        headers["Host"] = authority if port == _PORTS[scheme] else f"{authority}:{port}"
    return partial(kind, params["resolve"] or host, port, **options), headers, path


def _split_url(url: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise MeshopsError(
            f"url {url!r} is no http or https address. Set url, for example http://10.0.0.1/productpage."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path


def _check_numbers(params: Mapping[str, Any]) -> None:
    for option in ("requests", "concurrency", "timeout"):
        if params[option] < 1:
            raise MeshopsError(f"{option} is {params[option]}. Set {option} to 1 or more.")
    if params["max_errors"] < 0:
        raise MeshopsError(f"max_errors is {params['max_errors']}. Set max_errors to 0 or more.")
    # written so that nan fails
    if not 0 < params["false_alarm"] < 0.5:
        raise MeshopsError(f"false_alarm is {params['false_alarm']:g}. Set it between 0 and 0.5, for example 0.0001.")
    if not 0 < params["confidence"] < 100:
        raise MeshopsError(f"confidence is {params['confidence']:g}. Set it between 0 and 100, for example 95.")
    share = params["max_error_percent"]
    if share is not None and not 0 <= share <= 100:
        raise MeshopsError(f"max_error_percent is {share:g}. Set it to 0 up to 100.")
    for name, limit in (params["max_duration_ms"] or {}).items():
        if limit is not None and not limit > 0:
            raise MeshopsError(f"max_duration_ms.{name} is {limit:g}. Set it to more than 0 milliseconds.")
