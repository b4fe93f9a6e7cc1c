# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: timeout and retries of an http route of a VirtualService. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves, marks, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds

_PART, _NAMES = "policy", "fields"
_MILLISECOND = Fraction(1, 1000)


def set_policy(
    obj: Mapping[str, Any],
    index: int,
    timeout: Optional[str] = None,
    retries: Optional[Mapping[str, Any]] = None,
) -> Mapping[str, Any]:
    """Return the object with timeout and retries of the http route at `index` set.

    timeout: a duration, 0s for none, which is no field, as Istio refuses 0s; retries: the fields of Istio's HTTPRetry
    that are to be set, the others stay, without those that exclude attempts 0; None leaves one alone. What is in effect
    already stays as it is written. MeshopsError for what Istio refuses.
    """
    route = leaves.http_route(obj, index, "a timeout or retries")
    wanted: dict[str, Any] = {}
    if timeout is not None:
        wanted["timeout"] = _timeout(timeout, route.get("timeout"))
    if retries is not None:
        wanted["retries"] = _retries(retries, route.get("retries"))
    merged = {name: leaves.merge(route.get(name), value) for name, value in wanted.items()}
    changed = {name: value for name, value in merged.items() if value != route.get(name)}
    if not changed:
        return obj
    mark = marks.of(obj, route, _PART, _NAMES) or {_NAMES: [], "was": {}}
    was = {name: copy.deepcopy(route[name]) for name in changed if name in route and name not in mark[_NAMES]}
    mark = {_NAMES: sorted({*mark[_NAMES], *changed}), "was": {**model.dict_of(mark.get("was")), **was}}
    return marks.put(leaves.with_fields(obj, index, changed), route, _PART, mark)


def remove_policy(obj: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """Return the object with the timeout and the retries of the route as they were before they were set by us."""
    route = leaves.http_route(obj, index, "a timeout or retries")
    mark = marks.of(obj, route, _PART, _NAMES)
    if mark is None:
        return obj
    was = model.dict_of(mark.get("was"))
    edited = leaves.with_fields(obj, index, {name: was.get(name) for name in mark[_NAMES]})
    # an empty field is given back as it was, an absent one is taken out again
    edited["spec"]["http"][index].update({name: None for name in mark[_NAMES] if was.get(name, 0) is None})
    return marks.put(edited, route, _PART, None)


def _timeout(timeout: str, live: Any) -> Any:
    text = _duration("timeout", timeout, Fraction(0))
    return text if seconds(text) or leaves.same(live, text) else None


def _retries(retries: Mapping[str, Any], live: Any) -> dict[str, Any]:
    attempts = retries.get("attempts")
    if attempts is None and not (isinstance(live, dict) and live.get("attempts")):
        raise MeshopsError("retries has no attempts, which Istio takes as none. Give retries the number of attempts.")
    if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 0):
        raise MeshopsError(f"The attempts of retries are {attempts!r}. Give a whole number from 0.")
    if retries.get("perTryTimeout") is not None:
        _duration("perTryTimeout", retries["perTryTimeout"], _MILLISECOND)
    if attempts == 0 and any(value is not None for name, value in retries.items() if name != "attempts"):
        raise MeshopsError("retries has attempts 0 and other fields, which Istio refuses. Leave the others out.")
    excluded = ("perTryTimeout", "retryOn", "retryRemoteLocalities") if attempts == 0 else ()
    return {**{name: None for name in model.dict_of(live) if name in excluded}, **retries}


def _duration(name: str, text: Any, least: Fraction) -> str:
    length = seconds(text)
    if length is None or length < least or length % _MILLISECOND:
        raise MeshopsError(f"{name} is {text!r}, which is no duration of 1ms or more, such as 2s. Correct it.")
    return str(text)
