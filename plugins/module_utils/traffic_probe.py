# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_probe: send requests, count versions and errors."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Optional
from urllib.parse import urlsplit

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, statistics

try:
    import urllib3

    IMPORT_ERROR: Optional[ImportError] = None
except ImportError as error:
    IMPORT_ERROR = error

_PORTS = {"http": 80, "https": 443}
_NO_VERSION = "no version in the answer"


class Answer(NamedTuple):
    """One request: `error` is its class ("" when it was a 2xx answer with a version), `milliseconds` its duration."""

    version: str
    error: str
    milliseconds: float


def core(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Send the requests of params and return what was observed; MeshopsError for too many errors or a wrong split."""
    expect = edit.parse_weights(params["expect"]) if params["expect"] else {}
    pattern = _pattern(params["version_pattern"])
    if expect and not pattern:
        raise MeshopsError("expect needs version_pattern, which finds the version in the answer. Set version_pattern.")
    for option in ("requests", "concurrency", "timeout"):
        if params[option] < 1:
            raise MeshopsError(f"{option} is {params[option]}. Set {option} to 1 or more.")
    _split_url(params["url"])
    if check_mode:
        return {**summary([], expect), "skipped": True, "msg": "No request is sent in check mode."}
    answers = send(params, pattern)
    result = summary(answers, expect)
    problem = problem_of(result, params["url"], params["max_errors"], expect)
    if problem:
        raise MeshopsError(problem)
    return result


def send(params: Mapping[str, Any], pattern: Optional[re.Pattern[str]]) -> list[Answer]:
    """Return one Answer for each request; redirects are not followed, nothing is tried twice."""
    if IMPORT_ERROR is not None:
        raise MeshopsError(f"The Python library urllib3 cannot be imported ({IMPORT_ERROR}): install kubernetes.")
    pool, headers, path = _connect(params)

    def one(_number: int) -> Answer:
        started = time.monotonic()
        try:
            response = pool.request(
                "GET", path, headers=headers, retries=False, redirect=False, timeout=float(params["timeout"])
            )
        except urllib3.exceptions.HTTPError as error:
            return Answer("", error_class(error), 1000 * (time.monotonic() - started))
        except ValueError as error:
            raise MeshopsError(f"url or headers cannot be sent ({error}). Correct them.") from error
        return judge(response.status, response.data, pattern, 1000 * (time.monotonic() - started))

    with pool, ThreadPoolExecutor(params["concurrency"]) as workers:
        return list(workers.map(one, range(params["requests"])))


def judge(status: int, body: bytes, pattern: Optional[re.Pattern[str]], milliseconds: float) -> Answer:
    """Return what one HTTP answer says."""
    if not 200 <= status < 300:
        return Answer("", f"HTTP {status}", milliseconds)
    if not pattern:
        return Answer("", "", milliseconds)
    found = pattern.search(body.decode("utf-8", "replace"))
    return Answer(found[1], "", milliseconds) if found and found[1] else Answer("", _NO_VERSION, milliseconds)


def error_class(error: Exception) -> str:
    """Return the class of a request that got no answer."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection refused or unreachable"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "TLS error"
    return "connection broken"


def summary(answers: list[Answer], expect: Mapping[str, int]) -> dict[str, Any]:
    """Return the result of the module for these answers."""
    counts = Counter(answer.version for answer in answers if answer.version)
    known = sum(counts.values())
    durations = [answer.milliseconds for answer in answers]
    result: dict[str, Any] = {
        "changed": False,
        "requests": len(answers),
        "counts": {version: counts[version] for version in sorted({*counts, *expect})},
        "percent": {version: statistics.percent(counts[version], known) for version in sorted({*counts, *expect})},
        "errors": dict(sorted(Counter(answer.error for answer in answers if answer.error).items())),
        "duration_ms": {f"p{p}": round(statistics.percentile(durations, p), 1) for p in (50, 90, 99)},
    }
    if expect and answers:
        verdict = statistics.judge_split(counts, expect)
        result["split"] = {"compatible": verdict.compatible, "p_value": verdict.p_value, "reason": verdict.reason}
    return result


def problem_of(result: Mapping[str, Any], url: str, max_errors: int, expect: Mapping[str, int]) -> str:
    """Return the sentence for what is wrong with a result, "" when nothing is."""
    errors = sum(result["errors"].values())
    if errors > max_errors:
        classes = ", ".join(f"{name}: {count}" for name, count in result["errors"].items())
        return (
            f"{errors} of {result['requests']} requests to {url} failed ({classes}), max_errors is {max_errors}."
            " Look at the route, its subsets and their pods."
        )
    split = result.get("split", {"compatible": True})
    if split["compatible"]:
        return ""
    wanted = " ".join(f"{version} {share:g} %" for version, share in edit.percentages(expect).items())
    return (
        f"The split seen at {url} is not {wanted}: {split['reason']} (p = {split['p_value']:.1g})."
        " Look at the weights in force and whether the answer names the version that the route chooses."
    )


def _connect(params: Mapping[str, Any]) -> tuple[Any, dict[str, str], str]:
    scheme, host, port, path = _split_url(params["url"])
    address = params["resolve"] or host
    options: dict[str, Any] = {"maxsize": params["concurrency"], "block": True}
    if scheme == "https":
        options["cert_reqs"] = "CERT_REQUIRED" if params["validate_certs"] else "CERT_NONE"
        options.update(server_hostname=host, assert_hostname=host if params["validate_certs"] else False)
    kind = urllib3.HTTPSConnectionPool if scheme == "https" else urllib3.HTTPConnectionPool
    authority = f"[{host}]" if ":" in host else host
    headers = {str(name): str(value) for name, value in (params["headers"] or {}).items()}
    if "host" not in {name.lower() for name in headers}:
        headers["Host"] = authority if port == _PORTS[scheme] else f"{authority}:{port}"
    return kind(address, port, **options), headers, path


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


def _pattern(text: Optional[str]) -> Optional[re.Pattern[str]]:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise MeshopsError(f"version_pattern {text!r} is no regular expression ({error}). Correct it.") from error
    if pattern.groups != 1:
        raise MeshopsError(f"version_pattern {text!r} has {pattern.groups} groups. Give it one, around the version.")
    return pattern
