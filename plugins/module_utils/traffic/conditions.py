# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the conditions of a route in words, the same for Istio and for Envoy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Optional

# by their numbers
GRPC_CODES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]


def condition(subject: str, kind: str, value: str, negated: bool = False) -> str:
    """Return one condition in words; kind: present, exact, prefix, regex or another one of Envoy's."""
    verb = {"present": "", "exact": " = ", "prefix": " starts with ", "regex": " ~ "}.get(kind, f" {kind} ")
    return f"{'not ' if negated else ''}{subject}{verb}{value}"


def path(kind: str, value: str, case_sensitive: bool = True) -> str:
    """Return the condition on the path in words; kind: path, prefix, segments (prefix of whole segments) or regex."""
    return f"{kind} {value}{'' if case_sensitive else ' in any case'}"


def fingerprint(the_path: str, conditions: Iterable[str], claims: int = 0) -> str:
    """Return all conditions of one match as one text that does not depend on their order.

    claims: how many there are on the claims of a token.
    """
    return " and ".join([the_path, *sorted(conditions), *([f"{claims} claims"] if claims else [])])


def string_match(match: Any) -> tuple[str, str]:
    """Return kind and value of Istio's StringMatch; an empty one and the regex `*` ask for presence."""
    fields = match if isinstance(match, dict) else {}
    for kind in ("exact", "prefix", "regex"):
        if isinstance(fields.get(kind), str):
            return ("present", "") if (kind, fields[kind]) == ("regex", "*") else (kind, fields[kind])
    return "present", ""


def of_istio(match: Optional[Mapping[str, Any]]) -> str:
    """Return the fingerprint of one HTTPMatchRequest; None for a route without match.

    Port, gateways and source select proxies, they are no part of Envoy's match. Claims of a token are only counted.
    """
    match = match or {}
    found = []
    claims = 0
    for field_name, subject, negated in (
        ("headers", "header", False),
        ("withoutHeaders", "header", True),
        ("queryParams", "query", False),
    ):
        for name, value in (match.get(field_name) or {}).items():
            if field_name != "queryParams" and name.startswith("@request.auth.claims"):
                claims += 1
            else:
                found.append(condition(f"{subject} {name}", *string_match(value), negated))
    for name in ("method", "authority", "scheme"):
        if isinstance(match.get(name), dict):
            found.append(condition(f"header :{name}", *string_match(match[name])))
    return fingerprint(_istio_path(match), found, claims)


def _istio_path(match: Mapping[str, Any]) -> str:
    kind, value = string_match(match.get("uri"))
    if kind == "present":
        kind, value = "prefix", "/"
    return path("path" if kind == "exact" else kind, value, not match.get("ignoreUriCase"))


def delay(seconds: Fraction, share: Fraction) -> str:
    """Return a delay in words."""
    return f"delay of {float(seconds):g} s for {float(share * 100):g} %"


def abort(kind: str, status: int, share: Fraction) -> str:
    """Return an abort in words; kind: http or grpc, whose codes are numbers here."""
    return f"abort with {kind} {status} for {float(share * 100):g} %"
