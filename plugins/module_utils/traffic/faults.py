# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: delays and aborts injected into an http route of a VirtualService, with an expiry. Pure.

What is ours is marked, so that a fault of somebody else beside it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves, marks, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.conditions import GRPC_CODES
from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds

_NAMES = "parts"
_PART = "fault"
_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class Fault:
    """What is injected: `delay` and `abort` as Istio's objects, at least one of them.

    expires: a time, a length from `now` such as 30m, or "" for never; now: with a time zone.
    """

    delay: Optional[Mapping[str, Any]] = None
    abort: Optional[Mapping[str, Any]] = None
    expires: str = ""
    now: Optional[datetime] = None


@dataclass(frozen=True)
class Injected:
    """A fault of ours in an object: the position of its http route, what the route is called, when it expires."""

    index: int
    route: str
    expires: str


def delay(length: str, percent: Any = 100) -> dict[str, Any]:
    """Return a delay of a length such as 2s for a percentage of the requests; MeshopsError when one is wrong."""
    found = seconds(length)
    if found is None or found < _MILLISECOND or found % _MILLISECOND:
        raise MeshopsError(
            f"The delay is {length!r}, which is no duration of 1ms or more (for example 2s). Correct it."
        )
    return {"fixedDelay": length, "percentage": {"value": leaves.percentage(percent, "The percentage of the delay")}}


def abort(status: Any, percent: Any = 100) -> dict[str, Any]:
    """Return an abort with a http status or the name of a gRPC code for a percentage of the requests."""
    share = {"percentage": {"value": leaves.percentage(percent, "The percentage of the abort")}}
    if status in GRPC_CODES:
        return {"grpcStatus": status, **share}
    text = str(status)
    if not text.isdecimal() or not text.isascii() or not 200 <= int(text) <= 599:
        raise MeshopsError(f"The abort has the status {status!r}. Use one from 200 to 599, or the name of a gRPC code.")
    return {"httpStatus": int(text), **share}


def moment(text: str) -> datetime:
    """Return a time such as 2026-01-02T03:04:05Z; MeshopsError when it is none or has no time zone."""
    try:
        found = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise MeshopsError(f"{text!r} is no time with a time zone, such as 2026-01-02T03:04:05Z. Correct it.")
    return found.astimezone(timezone.utc)


def set_fault(obj: Mapping[str, Any], index: int, fault: Fault) -> Mapping[str, Any]:
    """Return the object with the fault in the http route at `index`, in place of the one of ours.

    MeshopsError when somebody else injects a fault of that kind there already, or when the route cannot have one.
    """
    route = leaves.http_route(obj, index, "a fault")
    wanted = {key: value for key, value in (("delay", fault.delay), ("abort", fault.abort)) if value}
    if not wanted:
        raise MeshopsError("The fault has neither a delay nor an abort. Give one of them.")
    mark = marks.of(obj, route, _PART, _NAMES) or _first_mark(route)
    live = dict(model.dict_of(route.get("fault")))
    for kind in ("delay", "abort"):
        ours = kind in mark["parts"]
        if kind in wanted and kind in live and not ours:
            raise MeshopsError(
                f"http[{index}] of VirtualService {model.label(obj)} has a {kind} that this collection did not set."
                " Remove it first, or choose another by route."
            )
        if ours and kind not in wanted:
            live.pop(kind, None)
        elif kind in wanted:
            live[kind] = leaves.merge(live.get(kind), _without_others(live.get(kind), wanted[kind]))
    same = live == route.get("fault") and mark["parts"] == sorted(wanted)
    mark = {**mark, "parts": sorted(wanted), "expires": _expiry(fault, str(mark.get("expires") or "") if same else "")}
    edited = obj if live == route.get("fault") else leaves.with_fields(obj, index, {"fault": live})
    return marks.put(edited, route, _PART, mark)


def _expiry(fault: Fault, known: str) -> str:
    """Return the time at which the fault is over; known: that of the same fault when it is there already."""
    length = seconds(fault.expires) if fault.expires else None
    if length is None or fault.now is None:
        found = moment(fault.expires) if fault.expires else None
        if found and fault.now and found <= fault.now:
            raise MeshopsError(f"expires is {fault.expires}, which is over. Give a later time, or state: absent.")
        return fault.expires
    if known:
        return known  # another run of the same task does not make it longer
    over = fault.now + timedelta(seconds=float(length))
    return over.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _first_mark(route: Mapping[str, Any]) -> dict[str, Any]:
    # an empty field is given back as it was, an absent one is taken out again
    return {"parts": [], **({"was": route["fault"]} if "fault" in route and not route["fault"] else {})}


def _without_others(live: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wanted part with the fields that exclude its own taken out, such as another kind of status."""
    choices = ("httpStatus", "grpcStatus", "http2Error", "fixedDelay", "exponentialDelay", "percent")
    return {**{key: None for key in model.dict_of(live) if key in choices}, **wanted}


def remove_fault(obj: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """Return the object without the fault of ours in the http route at `index`; the same object when there is none."""
    route = leaves.http_route(obj, index, "a fault")
    mark = marks.of(obj, route, _PART, _NAMES)
    if mark is None:
        return obj
    live = {key: value for key, value in model.dict_of(route.get("fault")).items() if key not in mark["parts"]}
    edited: Mapping[str, Any] = leaves.with_fields(obj, index, {"fault": live or None})
    if not live and "was" in mark:
        edited["spec"]["http"][index]["fault"] = mark["was"]
    return marks.put(edited, route, _PART, None)


def injected(obj: Mapping[str, Any]) -> list[Injected]:
    """Return the faults of ours in the object."""
    found = [(index, route, marks.of(obj, route, _PART, _NAMES)) for index, route in model.http_routes(obj)]
    return [
        Injected(index, str(route.get("name") or f"http[{index}]"), str(mark.get("expires") or ""))
        for index, route, mark in found
        if mark
    ]


def expired(obj: Mapping[str, Any], now: datetime) -> list[Injected]:
    """Return the faults of ours whose time is over; now: with a time zone."""
    return [fault for fault in injected(obj) if fault.expires and moment(fault.expires) <= now]


def remove_expired(obj: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Return the object without the faults of ours whose time is over."""
    for fault in expired(obj, now):
        obj = remove_fault(obj, fault.index)
    return obj
