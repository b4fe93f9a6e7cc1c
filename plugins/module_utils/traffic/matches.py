# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: conditions on http requests: checked, joined, and which ones contain others. Pure.

A match is an HTTPMatchRequest of a VirtualService as a dict.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import conditions, model, regexes

STRINGS = ("uri", "method", "scheme", "authority")
MAPS = ("headers", "withoutHeaders", "queryParams")
_KINDS = ("exact", "prefix", "regex")
_NO_CONDITIONS = ("name", "statPrefix")
_KNOWN = {*STRINGS, *MAPS, *_NO_CONDITIONS, "ignoreUriCase", "port", "gateways", "sourceLabels", "sourceNamespace"}


def parse(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions that a user gives as a match; MeshopsError for those that Istio or Envoy refuse.

    fields: by the names of Istio's fields; a string is short for {exact: string}, {present: true} asks for presence.
    """
    parsed: dict[str, Any] = {}
    for name in STRINGS:
        if fields.get(name) is not None:
            parsed[name] = _string(name, fields[name])
    for name in MAPS:
        if fields.get(name):
            parsed[name] = {key: _string(f"{name}.{key}", value) for key, value in fields[name].items()}
    for name in ("sourceLabels", "sourceNamespace", "gateways", "port", "ignoreUriCase"):
        if fields.get(name):
            parsed[name] = copy.deepcopy(fields[name])
    if not set(parsed) - {"ignoreUriCase"}:
        raise MeshopsError(
            "The rule has no condition. Give at least one, for example headers: {end-user: {exact: jason}}."
        )
    return parsed


def _string(where: str, value: Any) -> dict[str, str]:
    value = {"exact": value} if isinstance(value, str) else value
    if value == {"present": True}:
        return {}
    stated = {key: text for key, text in value.items() if text is not None} if isinstance(value, dict) else {}
    if len(stated) != 1 or next(iter(stated)) not in _KINDS:
        raise MeshopsError(f"{where} needs one of exact, prefix and regex, or present: true. Correct the condition.")
    ((kind, text),) = stated.items()
    if not isinstance(text, str) or not text:
        raise MeshopsError(f"{where} has no value to match. Give {kind} a text, or use present: true.")
    wrong = regexes.problem(text) if kind == "regex" else ""
    if wrong:
        raise MeshopsError(f"The regular expression {text!r} of {where} is none for Envoy: {wrong}. Correct it.")
    return {kind: text}


def join(base: Sequence[Any], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the matches of a route with the wanted conditions in place of, or beside, those of its base route."""
    found: list[dict[str, Any]] = []
    for match in base or [{}]:
        inherited = {key: value for key, value in model.dict_of(match).items() if key not in _NO_CONDITIONS}
        joined = copy.deepcopy({**inherited, **wanted})
        for name in (*MAPS, "sourceLabels"):
            if inherited.get(name) and wanted.get(name):
                joined[name] = copy.deepcopy({**inherited[name], **wanted[name]})
        if joined not in found:
            found.append(joined)
    return found


def specificity(route: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return how narrow a route is: conditions, exact ones, length of prefixes; of its widest match."""
    matches = [model.dict_of(match) for match in model.list_of(route.get("match"))]
    return min((_specificity(match) for match in matches), default=(0, 0, 0))


def _specificity(match: Mapping[str, Any]) -> tuple[int, int, int]:
    found = [value for name in STRINGS if (value := match.get(name)) and not _anything(name, value)]
    found += [value for name in MAPS for value in model.dict_of(match.get(name)).values()]
    kinds = [conditions.string_match(value) for value in found]
    others = (
        len(model.dict_of(match.get("sourceLabels"))) + bool(match.get("port")) + bool(match.get("sourceNamespace"))
    )
    exact = sum(kind == "exact" for kind, _text in kinds)
    return len(kinds) + others, exact, sum(len(text) for kind, text in kinds if kind == "prefix")


def _anything(name: str, value: Any) -> bool:
    return name == "uri" and conditions.string_match(value) in (("prefix", "/"), ("regex", ".*"), ("present", ""))


def route_covers(wide: Mapping[str, Any], narrow: Mapping[str, Any], gateways: Sequence[str]) -> bool:
    """Tell whether a route surely takes every request of the other one; gateways: those of their VirtualService."""
    wide_ones, narrow_ones = model.list_of(wide.get("match")), model.list_of(narrow.get("match"))
    if not wide_ones:
        return True
    return all(
        any(covers(model.dict_of(one), model.dict_of(other), gateways) for one in wide_ones)
        for other in narrow_ones or [{}]
    )


def covers(wide: Mapping[str, Any], narrow: Mapping[str, Any], gateways: Sequence[str]) -> bool:
    """Tell whether every request of one match surely is one of the other; False when that is not known."""
    if any(wide.get(name) != narrow.get(name) for name in set(wide) - _KNOWN):
        return False
    if wide.get("ignoreUriCase") is not True and narrow.get("ignoreUriCase") is True and wide.get("uri"):
        return _anything("uri", wide["uri"]) and _rest_covers(wide, narrow, gateways)
    return _string_covers("uri", wide.get("uri"), narrow.get("uri")) and _rest_covers(wide, narrow, gateways)


def _rest_covers(wide: Mapping[str, Any], narrow: Mapping[str, Any], gateways: Sequence[str]) -> bool:
    if not all(_string_covers(name, wide.get(name), narrow.get(name)) for name in STRINGS if name != "uri"):
        return False
    for name in ("headers", "queryParams"):
        stated = model.dict_of(narrow.get(name))
        for key, value in model.dict_of(wide.get(name)).items():
            if key not in stated or not _value_covers(value, stated[key]):
                return False
    without = model.dict_of(narrow.get("withoutHeaders"))
    if any(without.get(key, 0) != value for key, value in model.dict_of(wide.get("withoutHeaders")).items()):
        return False
    return _source_covers(wide, narrow, gateways)


def _source_covers(wide: Mapping[str, Any], narrow: Mapping[str, Any], gateways: Sequence[str]) -> bool:
    if wide.get("port") and wide["port"] != narrow.get("port"):
        return False
    if not set(narrow.get("gateways") or gateways) <= set(wide.get("gateways") or gateways):
        return False
    if wide.get("gateways"):
        return True  # istiod looks at the source only where no gateways are named
    labels = model.dict_of(narrow.get("sourceLabels")).items() if not narrow.get("gateways") else {}.items()
    return all(item in labels for item in model.dict_of(wide.get("sourceLabels")).items()) and (
        not wide.get("sourceNamespace") or wide["sourceNamespace"] == narrow.get("sourceNamespace")
    )


def _string_covers(name: str, wide: Optional[Any], narrow: Optional[Any]) -> bool:
    if wide is None or _anything(name, wide):
        return True
    return narrow is not None and _value_covers(wide, narrow)


def _value_covers(wide: Any, narrow: Any) -> bool:
    kind, text = conditions.string_match(wide)
    other, value = conditions.string_match(narrow)
    if kind == "present" or (kind, text) == ("regex", ".*"):
        return True
    if kind == "prefix":
        return other in ("exact", "prefix") and value.startswith(text)
    return (kind, text) == (other, value)
