# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a route had before it was split, and how it gets that back. Pure.

The mark of a split has the destinations that were appended, and the weights that the others had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves, marks, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service

_NAMES = "added"


def remember(
    before: Optional[Mapping[str, Any]], after: Mapping[str, Any], section: str, index: int, domain: str
) -> Mapping[str, Any]:
    """Return `after` with what its route at `index` had before the first split of ours; before: None when created."""
    route = after["spec"][section][index]
    mark = marks.of(after, route, _part(section), _NAMES)
    old = [] if before is None else _weights(before, before["spec"][section][index], domain)
    known = {**dict(old), **(mark or {}).get("weights", {})}
    added = [
        text
        for text, _weight in _weights(after, route, domain)
        if text not in known or text in (mark or {"added": []})["added"]
    ]
    weights = {text: weight for text, weight in known.items() if text not in added}
    if mark and (mark["added"], mark.get("weights")) == (added, weights):
        return after
    return marks.put(after, route, _part(section), {"added": added, "weights": weights})


def give_back(obj: Mapping[str, Any], section: str, index: int, service: Service) -> Mapping[str, Any]:
    """Return the object with its route at `index` as it was before it was split; the same one when it never was.

    Destinations that somebody else added since stay. A route that was made for the split sends to the whole Service.
    """
    route = obj["spec"][section][index]
    mark = marks.of(obj, route, _part(section), _NAMES)
    if mark is None:
        return obj
    was, entries = model.dict_of(mark.get("weights")), model.entries_of(obj, route)
    left = []
    for entry in entries:
        text = _text(obj, entry, service.domain)
        if text in mark["added"]:
            continue
        left.append(_weighed(entry, was[text]) if text in was else dict(entry))
    left = left or [_plain(obj, entries[0])]
    if not _sends(obj, left):
        raise MeshopsError(
            f"{section}[{index}] of {model.kind_of(obj)} {model.label(obj)} would have no destination with a weight"
            " without this split, as somebody changed it since. Set the weights that it is to have."
        )
    field = model.form_of(obj).entries
    edited = obj if left == entries else leaves.with_entries(obj, section, index, field, left)
    return marks.put(edited, route, _part(section), None)


def is_split(obj: Mapping[str, Any], section: str, route: Mapping[str, Any]) -> bool:
    """Tell whether a route of the object was split by this collection and not given back since."""
    return marks.of(obj, route, _part(section), _NAMES) is not None


def is_idle(obj: Mapping[str, Any], domain: str) -> bool:
    """Tell whether an object of ours does nothing any more that the mesh would not do without it."""
    spec = model.spec_of(obj)
    if not model.is_ours(obj) or marks.read(obj):
        return False
    routes = list(model.routes_of(obj))
    if len(routes) != 1 or set(spec) - {"hosts", "parentRefs", routes[0][0]}:
        return False
    entries = model.entries_of(obj, routes[0][2])
    if len(entries) != 1 or set(routes[0][2]) - {"matches", model.form_of(obj).entries}:
        return False
    where = model.destination(obj, entries[0], domain)
    own = {model.resolve(host, model.namespace_of(obj), domain) for host in model.list_of(spec.get("hosts"))}
    own |= {
        Service(str(parent.get("name")), parent.get("namespace") or model.namespace_of(obj), domain).fqdn
        for parent in map(model.dict_of, model.list_of(spec.get("parentRefs")))
    }
    return where is not None and not where.subset and own == {where.host}


def _part(section: str) -> str:
    # routes without name and match of several protocols have the same key
    return "split" if section in ("http", "rules") else f"split.{section}"


def _weights(obj: Mapping[str, Any], route: Mapping[str, Any], domain: str) -> list[tuple[str, Any]]:
    return [(_text(obj, entry, domain), entry.get("weight")) for entry in model.entries_of(obj, route)]


def _text(obj: Mapping[str, Any], entry: Any, domain: str) -> str:
    where = model.destination(obj, entry, domain)
    return f"{where.host}|{where.subset}|{where.port or ''}" if where else ""


def _weighed(entry: Mapping[str, Any], weight: Any) -> dict[str, Any]:
    rest = {name: value for name, value in entry.items() if name != "weight"}
    if weight is None:
        return rest
    return {**entry, "weight": weight}


def _plain(obj: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry for the whole Service, at the port that the split had."""
    if model.form_of(obj) is model.GATEWAY:
        parent = model.dict_of(next(iter(model.list_of(model.spec_of(obj).get("parentRefs"))), {}))
        kept = {key: value for key, value in entry.items() if key not in ("namespace", "weight")}
        return {**kept, "name": parent.get("name")}
    host = next(iter(model.list_of(model.spec_of(obj).get("hosts"))), None)
    kept = {key: value for key, value in model.destination_of(entry).items() if key not in ("host", "subset")}
    return {"destination": {"host": host or model.destination_of(entry)["host"], **kept}}


def _sends(obj: Mapping[str, Any], entries: list) -> bool:
    form = model.form_of(obj)
    if len(entries) == 1 and form is model.ISTIO:
        return True
    return any(form.absent if entry.get("weight") is None else entry["weight"] for entry in entries)
