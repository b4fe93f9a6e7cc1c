# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what answers say: their version, their class of error, whether all of them pass. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, statistics

PERCENTILES = (50, 90, 99)
NO_VERSION = "no version"

# The answers below are those of Envoy's router filter (router.cc), as Envoy 1.40 gives them.
_FLAGS = ("NR", "NC", "UH", "UF", "UC", "UR", "UO")
_FLAG = re.compile(rf"\b({'|'.join(_FLAGS)})\b")
_NO_HOST = "no healthy upstream"
_RESET = re.compile(
    r"upstream connect error or disconnect/reset before headers\. (?:retried .*?)?reset reason: ([^,]+)"
)
_REASONS = {  # "connection failure" is what Envoy said before it told local from remote
    "connection failure": "UF",
    "local connection failure": "UF",
    "remote connection failure": "UF",
    "connection timeout": "UF",
    "connection termination": "UC",
    "remote reset": "UR",
    "remote refused stream reset": "UR",
    "overflow": "UO",
}
# istiod asks for 500 where a route comes from the Gateway API, which wants it; Envoy's default is 503
_EMPTY = {404: "NR", 500: "NC", 503: "NC"}
_HINTS = {
    "NR": "No route matches the request: look at hosts, gateways and matches of the VirtualService or HTTPRoute.",
    "NC": "The route names a cluster that its proxy does not have: look for the subset in the DestinationRule.",
    "UH": "The subset has no ready pod: look at its labels and its pods.",
    "UF": "The pods do not accept connections: look at their port and at the TLS mode of the DestinationRule.",
    "refused": "Nothing listens there: look at url and resolve.",
    "unreachable": "The address cannot be reached: look at url and resolve.",
    "unknown host": "The host name has no address: look at url, or set resolve.",
    "TLS": "Look at the scheme and port of url and at the certificate, or set validate_certs to false.",
    NO_VERSION: "Look at what the answer has where the version is looked for.",
}
_HINT = "Look at the route, its subsets and their pods."

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Find = Callable[[Mapping[str, str], bytes], str]


class Answer(NamedTuple):
    """One request: `error` is its class ("" when it was a 2xx answer with a version), `milliseconds` its duration."""

    version: str
    error: str
    milliseconds: float


def answer(status: int, headers: Mapping[str, str], body: bytes, find: Optional[Find], milliseconds: float) -> Answer:
    """Return what one HTTP answer says; `headers` finds lower-case names."""
    error = classify(status, headers, body)
    if error or not find:
        return Answer("", error, milliseconds)
    version = find(headers, body)
    return Answer(version, "" if version else NO_VERSION, milliseconds)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return the class of an HTTP answer: "" for 2xx, Envoy's response flag where Envoy made it, else HTTP and status.

    An answer that came from behind the proxy has the header x-envoy-upstream-service-time, whatever its server header.
    """
    if 200 <= status < 300:
        return ""
    # only where it is switched on: server; error=...; details="cluster_not_found; NC", the proxy nearest the pod first
    flag = _FLAG.search(headers.get("proxy-status") or "")
    if flag:
        return flag[1]
    text = body[:1000].decode("utf-8", "replace").strip()
    if status == 503 and text == _NO_HOST:
        return "UH"
    reset = _RESET.match(text) if status == 503 else None
    if reset:
        return _REASONS.get(reset[1].strip().replace("_", " "), "HTTP 503")
    own = headers.get("server") in ("envoy", "istio-envoy") and "x-envoy-upstream-service-time" not in headers
    if own and not text:
        return _EMPTY.get(status, f"HTTP {status}")
    return f"HTTP {status}"


def version_finder(pattern: Optional[str], header: Optional[str], field: Optional[str]) -> Optional[Find]:
    """Return the function that finds the version in headers and body, None without an option; MeshopsError if wrong."""
    if pattern:
        return _by_pattern(pattern)
    if header:
        if not _HEADER.fullmatch(header):
            raise MeshopsError(f"version_header {header!r} is no name of a header. Set it, for example x-version.")
        name = header.lower()
        return lambda headers, _body: (headers.get(name) or "").strip()
    if field:
        steps = field.split(".")
        if not all(steps):
            raise MeshopsError(f"version_field {field!r} has an empty part. Set it, for example reviews.0.version.")
        return lambda _headers, body: _look_up(body, steps)
    return None


def _by_pattern(text: str) -> Find:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise MeshopsError(f"version_pattern {text!r} is no regular expression ({error}). Correct it.") from error
    if pattern.groups != 1:
        raise MeshopsError(f"version_pattern {text!r} has {pattern.groups} groups. Give it one, around the version.")

    def find(_headers: Mapping[str, str], body: bytes) -> str:
        found = pattern.search(body.decode("utf-8", "replace"))
        return (found[1] or "") if found else ""

    return find


def _look_up(body: bytes, steps: Sequence[str]) -> str:
    try:
        value = json.loads(body)
        for step in steps:
            # a step that does not fit what is there is a LookupError or a TypeError
            value = value[int(step) if isinstance(value, list) and step.isdecimal() else step]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, (list, dict)) else json.dumps(value)


def summary(
    answers: Sequence[Answer], expect: Mapping[str, int], false_alarm: float, confidence: float
) -> dict[str, Any]:
    """Return the figures of these answers; confidence in percent."""
    counts = Counter(item.version for item in answers if item.version)
    known = sum(counts.values())
    versions = {
        version: {
            "count": counts[version],
            "percent": statistics.percent(counts[version], known),
            "interval": [
                round(100 * bound, 2) for bound in statistics.clopper_pearson(counts[version], known, confidence / 100)
            ],
        }
        for version in sorted({*counts, *expect})
    }
    durations = [item.milliseconds for item in answers]
    result: dict[str, Any] = {
        "changed": False,
        "requests": len(answers),
        "versions": versions,
        "counts": {version: seen["count"] for version, seen in versions.items()},
        "percent": {version: seen["percent"] for version, seen in versions.items()},
        "errors": dict(sorted(Counter(item.error for item in answers if item.error).items())),
        "duration_ms": {f"p{p}": round(statistics.percentile(durations, p), 1) for p in PERCENTILES},
    }
    if expect and answers:
        verdict = statistics.judge_split(counts, expect, false_alarm)
        result["split"] = {
            "compatible": verdict.compatible,
            "p_value": verdict.p_value,
            "false_alarm": false_alarm,
            "reason": verdict.reason,
        }
    return result


def problems(result: Mapping[str, Any], params: Mapping[str, Any], expect: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each demand of params (those of the module) that the figures do not meet."""
    yield from _too_many_errors(result, params)
    for name, limit in sorted((params["max_duration_ms"] or {}).items()):
        if limit is not None and result["duration_ms"][name] > limit:
            yield (
                f"{name} of the durations at {params['url']} is {result['duration_ms'][name]:g} ms,"
                f" max_duration_ms.{name} is {limit:g}. Look at the load of the pods, or allow more."
            )
    split = result.get("split")
    if split and not split["compatible"]:
        wanted = " ".join(f"{version} {share:g} %" for version, share in edit.percentages(expect).items())
        yield (
            f"The split seen at {params['url']} is not {wanted}: {split['reason']}"
            f" (p = {split['p_value']:.1g}, false_alarm is {split['false_alarm']:g})."
            " Look at the weights in force and whether the answer names the version that the route chooses."
        )


def _too_many_errors(result: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    number, share = sum(result["errors"].values()), params["max_error_percent"]
    if share is None:
        allowed, budget = number <= params["max_errors"], f"max_errors is {params['max_errors']}"
    else:
        allowed = 100 * number <= share * result["requests"]
        budget = f"max_error_percent is {share:g}"
    if allowed:
        return
    classes = ", ".join(f"{name}: {count}" for name, count in result["errors"].items())
    most = max(result["errors"], key=lambda name: result["errors"][name])
    yield (
        f"{number} of {result['requests']} requests to {params['url']} failed ({classes}), {budget}."
        f" {_HINTS.get(most, _HINT)}"
    )
