# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: copies of the requests of an http route of a VirtualService sent elsewhere. Pure.

They are written to `mirrors`, an entry each; what is ours is marked, so that those of somebody else stay.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves, marks, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.weights import new_entry

_NAMES = "to"
_PART = "mirror"


def set_mirror(
    obj: Mapping[str, Any], index: int, service: Service, where: Destination, percent: Any
) -> Mapping[str, Any]:
    """Return the object with a percentage of the requests of the http route at `index` copied to a destination.

    MeshopsError when somebody else mirrors there already, or in a way that cannot stand beside ours.
    """
    route = leaves.http_route(obj, index, "a mirror")
    position = f"http[{index}] of VirtualService {model.label(obj)}"
    share = leaves.percentage(percent, "The percentage of the mirror")
    if route.get("mirror"):
        raise MeshopsError(
            f"{position} mirrors by the field mirror, beside which Istio takes no other."
            " Write that one as an entry of mirrors first, or choose another by route."
        )
    mirrors = copy.deepcopy(model.list_of(route.get("mirrors")))
    at = _find(obj, mirrors, service, where)
    mark = marks.of(obj, route, _PART, _NAMES) or _first_mark(route)
    name = _text(where)
    if at is None:
        brothers = [entry for entry in model.list_of(route.get("route")) if _goes_to(obj, entry, service)]
        mirrors.append({**new_entry(obj, brothers, service, where, position), "percentage": {"value": share}})
    elif name in mark["to"]:
        mirrors[at]["percentage"] = leaves.merge(mirrors[at].get("percentage"), {"value": share})
    elif leaves.same(model.dict_of(mirrors[at].get("percentage")).get("value", 100), share):
        return obj
    else:
        raise MeshopsError(
            f"{position} has a mirror to {where.subset or where.host} that this collection did not set."
            " Remove it first, or choose another by route."
        )
    edited = obj if mirrors == route.get("mirrors") else leaves.with_fields(obj, index, {"mirrors": mirrors})
    return marks.put(edited, route, _PART, {**mark, "to": sorted({*mark["to"], name})})


def remove_mirror(
    obj: Mapping[str, Any], index: int, service: Service, where: Optional[Destination] = None
) -> Mapping[str, Any]:
    """Return the object without our mirror to the destination, or without any of ours; the same one without any."""
    route = leaves.http_route(obj, index, "a mirror")
    mark = marks.of(obj, route, _PART, _NAMES)
    gone = [name for name in (mark or {"to": []})["to"] if where is None or name == _text(where)]
    if mark is None or not gone:
        return obj
    mirrors = [
        entry
        for entry in model.list_of(route.get("mirrors"))
        if not any(_find(obj, [entry], service, _destination(name)) == 0 for name in gone)
    ]
    left = [name for name in mark["to"] if name not in gone]
    edited = leaves.with_fields(obj, index, {"mirrors": mirrors or None})
    if not mirrors and "was" in mark:
        edited["spec"]["http"][index]["mirrors"] = mark["was"]
    return marks.put(edited, route, _PART, {**mark, "to": left} if left else None)


def _first_mark(route: Mapping[str, Any]) -> dict[str, Any]:
    # an empty field is given back as it was, an absent one is taken out again
    return {"to": [], **({"was": route["mirrors"]} if "mirrors" in route and not route["mirrors"] else {})}


def _text(where: Destination) -> str:
    return f"{where.host}|{where.subset}|{where.port or ''}"


def _destination(text: str) -> Destination:
    host, subset, port, *_rest = (*text.split("|"), "", "")
    return Destination(host, subset, int(port) if port.isdecimal() else None)


def _goes_to(obj: Mapping[str, Any], entry: Any, service: Service) -> bool:
    found = model.destination(obj, entry, service.domain)
    return found is not None and found.host == service.fqdn


def _find(obj: Mapping[str, Any], mirrors: list, service: Service, where: Destination) -> Optional[int]:
    for index, entry in enumerate(mirrors):
        found = model.destination(obj, entry, service.domain)
        if found and (found.host, found.subset) == (where.host, where.subset) and where.port in (None, found.port):
            return index
    return None
