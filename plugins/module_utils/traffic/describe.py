# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the objects of one Service do to its requests, as data for a user. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.traffic import (
    faults,
    journal,
    model,
    owners,
    targets,
    weights,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import shares
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service


def describe(obj: Mapping[str, Any], service: Service, now: datetime) -> dict[str, Any]:
    """Return what an object with routes does; now: with a time zone, to tell which faults are over.

    Shares are in percent of the requests that a route takes.
    """
    known = {fault.index: fault for fault in faults.injected(obj)}
    over = {fault.index for fault in faults.expired(obj, now)}
    routes = []
    for section, index, route in model.routes_of(obj):
        found = _route(obj, section, index, route, service)
        if section == "http" and route.get("fault"):
            ours = known.get(index)
            expires = ours.expires if ours else ""
            found["fault"] = {"what": route["fault"], "ours": bool(ours), "expires": expires, "expired": index in over}
        routes.append(found)
    return {
        "kind": model.kind_of(obj),
        "namespace": model.namespace_of(obj),
        "name": model.name_of(obj),
        "manager": "meshops.istio" if model.is_ours(obj) else owners.manager_of(obj),
        "hosts": model.list_of(model.spec_of(obj).get("hosts")),
        "routes": routes,
        **_history(obj),
    }


def _route(
    obj: Mapping[str, Any], section: str, index: int, route: Mapping[str, Any], service: Service
) -> dict[str, Any]:
    name = str(route.get("name") or "")
    ours = name.startswith(model.RULE_PREFIX)
    found: dict[str, Any] = {
        "route": name if ours else model.position_of(obj, section, index),
        "name": name,
        "rule": name[len(model.RULE_PREFIX) :] if ours else "",
        "default": targets.is_default(section, route),
        "match": model.list_of(route.get("matches" if section == "rules" else "match")),
        "effective": effective(obj, route, service),
    }
    action = weights.action_of(route)
    if action:
        found["action"] = action
    for field in ("timeout", "retries", "mirror", "mirrors"):
        if route.get(field):
            found[field] = route[field]
    return found


def effective(obj: Mapping[str, Any], route: Mapping[str, Any], service: Service) -> dict[str, float]:
    """Return the share in percent of each destination, by its subset or, for another Service, by its host."""
    named = []
    for entry in model.entries_of(obj, route):
        where = model.destination(obj, entry, service.domain)
        if where is None:
            continue
        own = where.host == service.fqdn
        short = where.host.removesuffix(f".svc.{service.domain}")
        name = (where.subset or service.name) if own else f"{short}{f'/{where.subset}' if where.subset else ''}"
        named.append((name, model.dict_of(entry).get("weight")))
    found = shares(named, model.form_of(obj).absent)
    return {name: _percent(share) for name, share in found.items()}


def _percent(share: Fraction) -> float:
    rounded = round(float(100 * share), 2)
    return int(rounded) if rounded == int(rounded) else rounded


def _history(obj: Mapping[str, Any]) -> dict[str, Any]:
    in_effect = {change.number for change in journal.in_effect(obj)}
    changes = [
        {
            "number": change.number,
            "when": change.when,
            "by": change.by,
            "what": change.what,
            "point": change.point,
            "undone": change.number not in in_effect and not change.back,
        }
        for change in journal.read(obj)
    ]
    by_hand = journal.hand_edit(obj)
    differences: list[str] = []
    if by_hand:
        differences = list(changed_leaves(journal.last_written(obj), obj.get("spec"), "spec"))
    return {"journal": changes, "edited_by_hand": by_hand, "hand_edits": differences}


def changed_leaves(before: Any, after: Any, path: str) -> Iterator[str]:
    """Yield each place where two values differ, as `spec.http[0].timeout: 2s is 3s`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from changed_leaves(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            one, other = (items[index] if index < len(items) else None for items in (before, after))
            yield from changed_leaves(one, other, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {'nothing' if before is None else before} is {'nothing' if after is None else after}"
