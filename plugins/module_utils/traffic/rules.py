# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: named match rules before the split of a VirtualService: set, placed and removed. Pure.

Rules of ours have a route name with a prefix of ours; routes without it are never touched.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, marks, matches, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.weights import Split, action_of, new_entry

PREFIX = model.RULE_PREFIX
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# what belongs to a route itself and is not handed down to the rules made of it
_OWN = ("name", "match", "route", "fault")


@dataclass(frozen=True)
class Rule:
    """A rule: its name, its conditions as matches.parse returns them, and where its requests go.

    destinations: weights by destination, None for the split of the base route; before, after: the name of a route or
    rule beside which it has to stand, "" to let its conditions decide.
    """

    name: str
    conditions: Mapping[str, Any]
    destinations: Optional[Mapping[Destination, int]] = None
    before: str = ""
    after: str = ""


def set_rule(virtual_service: Mapping[str, Any], base: int, service: Service, rule: Rule) -> Mapping[str, Any]:
    """Return the VirtualService with the rule in front of the http route at `base`, from which it is made.

    An existing rule keeps what others wrote to it and its place, unless its conditions or the wish for a place change.
    MeshopsError when it cannot be reached where it would stand, or when another route could not be any more.
    """
    base_route = _base(virtual_service, base, rule)
    routes = virtual_service["spec"]["http"]
    wanted = matches.join(model.list_of(base_route.get("match")), rule.conditions)
    index = find(virtual_service, rule.name)
    if index is None:
        made = _new(virtual_service, base, service, rule, wanted)
        place = _place(virtual_service, routes, base, made, rule)
        edited = _with_routes(virtual_service, [*routes[:place], made, *routes[place:]])
        # an inherited mirror of ours is known as ours here too
        inherited = marks.of(virtual_service, base_route, "mirror", "to")
        return marks.put(marks.forget(edited, made), made, "mirror", inherited)
    changed = _redirected(virtual_service, index, base, service, rule)
    route = changed["spec"]["http"][index]
    if route.get("match") != wanted:
        route = {**route, "match": wanted}
    elif _stands(routes, index, rule):
        return changed
    rest = [item for position, item in enumerate(routes) if position != index]
    place = _place(virtual_service, rest, base - (index < base), route, rule)
    after = [*rest[:place], route, *rest[place:]]
    return changed if after == changed["spec"]["http"] else _with_routes(changed, after)


def remove_rule(virtual_service: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the VirtualService without the rule; the very same object when there is none of this name."""
    index = find(virtual_service, name)
    if index is None:
        return virtual_service
    routes = virtual_service["spec"]["http"]
    edited = _with_routes(virtual_service, [route for position, route in enumerate(routes) if position != index])
    return marks.forget(edited, routes[index])


def find(virtual_service: Mapping[str, Any], name: str) -> Optional[int]:
    """Return the position of the rule; MeshopsError when several routes have its name."""
    found = [index for index, route in model.http_routes(virtual_service) if route.get("name") == PREFIX + name]
    if len(found) > 1:
        raise MeshopsError(
            f"VirtualService {model.label(virtual_service)} has {len(found)} routes with the name {PREFIX + name}."
            " Remove all but one of them."
        )
    return found[0] if found else None


def names(virtual_service: Mapping[str, Any]) -> list[str]:
    """Return the names of the rules of ours, in their order."""
    found = [str(route.get("name") or "") for _at, route in model.http_routes(virtual_service)]
    return [name[len(PREFIX) :] for name in found if name.startswith(PREFIX)]


def _base(virtual_service: Mapping[str, Any], base: int, rule: Rule) -> Mapping[str, Any]:
    if model.form_of(virtual_service) is model.GATEWAY:
        raise MeshopsError(
            f"{model.kind_of(virtual_service)} {model.label(virtual_service)} orders its rules by itself;"
            " match rules are made in VirtualServices. Write the rule into it, or choose a VirtualService."
        )
    if not _NAME.fullmatch(rule.name):
        raise MeshopsError(
            f"The name {rule.name!r} of the rule is not of small letters, digits and dashes. Correct it."
        )
    route = virtual_service["spec"]["http"][base]
    where = f"http[{base}] of VirtualService {model.label(virtual_service)}"
    action = action_of(route)
    if action:
        raise MeshopsError(f"{where} is a {action}, from which no rule can be made. Choose another by route.")
    if route.get("name") == PREFIX + rule.name:
        raise MeshopsError(f"{where} is the rule {rule.name} itself. Choose the route it is made from by route.")
    return route


def _new(virtual_service: Mapping[str, Any], base: int, service: Service, rule: Rule, wanted: list) -> dict[str, Any]:
    route = virtual_service["spec"]["http"][base]
    rest = {key: copy.deepcopy(value) for key, value in route.items() if key not in _OWN}
    return {
        "name": PREFIX + rule.name,
        "match": wanted,
        "route": _entries(virtual_service, base, service, rule),
        **rest,
    }


def _entries(virtual_service: Mapping[str, Any], base: int, service: Service, rule: Rule) -> list[dict[str, Any]]:
    """Return the destinations of the rule, each with what the base route has for it beside the weight."""
    entries = model.list_of(virtual_service["spec"]["http"][base].get("route"))
    if rule.destinations is None:
        return copy.deepcopy(entries)
    found = [(entry, model.destination(virtual_service, entry, service.domain)) for entry in entries]
    brothers = [entry for entry, where in found if where and where.host == service.fqdn]
    made = []
    for key, weight in rule.destinations.items():
        like = next((entry for entry, where in found if where and _means(key, where)), None)
        if like is None:
            where = f"http[{base}] of VirtualService {model.label(virtual_service)}"
            like = new_entry(virtual_service, brothers, service, key, where)
        entry = {name: copy.deepcopy(value) for name, value in like.items() if name != "weight"}
        made.append({**entry, "weight": weight} if len(rule.destinations) > 1 else entry)
    return made


def _means(key: Destination, where: Destination) -> bool:
    return (key.host, key.subset) == (where.host, where.subset) and key.port in (None, where.port)


def _redirected(
    virtual_service: Mapping[str, Any], index: int, base: int, service: Service, rule: Rule
) -> Mapping[str, Any]:
    """Return the VirtualService with the destinations of an existing rule as they are wanted."""
    if rule.destinations is not None:
        return edit.set_weights(virtual_service, [index], service, rule.destinations)
    routes = virtual_service["spec"]["http"]
    entries = model.list_of(routes[base].get("route"))
    if routes[index].get("route") == entries:
        return virtual_service
    shares = {
        where: entry.get("weight") or 0 if len(entries) > 1 else 1
        for entry in entries
        if (where := model.destination(virtual_service, entry, service.domain))
    }
    if not any(shares.values()) or Split(virtual_service, "http", index, service, shares).in_effect():
        return virtual_service
    return edit.set_weights(virtual_service, [index], service, shares)


def _place(
    virtual_service: Mapping[str, Any], routes: Sequence[Any], base: int, made: Mapping[str, Any], rule: Rule
) -> int:
    """Return where the rule has to stand among the other routes, so that it and each of them can be reached."""
    gateways = model.list_of(model.spec_of(virtual_service).get("gateways")) or ["mesh"]
    others = [model.dict_of(route) for route in routes]
    if rule.before or rule.after:
        place = _beside(virtual_service, others, rule)
    else:
        shadowing = [index for index, route in enumerate(others) if matches.route_covers(route, made, gateways)]
        limit = min([base, *shadowing])
        narrower = [
            index
            for index, route in enumerate(others[:limit])
            if matches.route_covers(made, route, gateways) or matches.specificity(route) >= matches.specificity(made)
        ]
        place = max(narrower, default=-1) + 1
    _refuse_unreachable(virtual_service, others, place, made, rule.name)
    return place


def _refuse_unreachable(
    virtual_service: Mapping[str, Any], others: list, place: int, made: Mapping[str, Any], name: str
) -> None:
    gateways = model.list_of(model.spec_of(virtual_service).get("gateways")) or ["mesh"]
    for index, route in enumerate(others[:place]):
        if matches.route_covers(route, made, gateways):
            raise MeshopsError(
                f"The rule {name} would never be reached behind {_called(virtual_service, index, route)},"
                " which takes all its requests. Choose another place by before, or other conditions."
            )
    single = [
        (index, {**route, "match": [match]})
        for index, route in enumerate(others[place:], place)
        for match in model.list_of(route.get("match")) or [{}]
    ]
    for index, route in single:
        reached = not any(matches.route_covers(earlier, route, gateways) for earlier in others[:index])
        if reached and matches.route_covers(made, route, gateways):
            raise MeshopsError(
                f"The rule {name} would take all requests of {_called(virtual_service, index, route)}"
                f"{' by one of its matches' if len(model.list_of(others[index].get('match'))) > 1 else ''}."
                " Give it narrower conditions, or another place by after."
            )


def _called(virtual_service: Mapping[str, Any], index: int, route: Mapping[str, Any]) -> str:
    shown = str(route.get("name") or f"http[{index}]")
    shown = f"rule {shown[len(PREFIX) :]}" if shown.startswith(PREFIX) else shown
    return f"{shown} of VirtualService {model.label(virtual_service)}"


def _beside(virtual_service: Mapping[str, Any], others: list, rule: Rule) -> int:
    named = rule.before or rule.after
    found = [index for index, route in enumerate(others) if route.get("name") in (named, PREFIX + named)]
    if len(found) != 1:
        known = ", ".join(str(route["name"]) for route in others if route.get("name")) or "none"
        raise MeshopsError(
            f"VirtualService {model.label(virtual_service)} has {'no' if not found else 'several'} routes {named}"
            f" (names: {known}). Correct {'before' if rule.before else 'after'}."
        )
    return found[0] if rule.before else found[0] + 1


def _stands(routes: Sequence[Any], index: int, rule: Rule) -> bool:
    """Tell whether the rule is on the wanted side of the route it was asked to stand beside."""
    sides = {rule.before: range(index + 1, len(routes)), rule.after: range(index)}
    return all(
        not named or any(model.dict_of(routes[i]).get("name") in (named, PREFIX + named) for i in side)
        for named, side in sides.items()
    )


def _with_routes(virtual_service: Mapping[str, Any], routes: list) -> dict[str, Any]:
    edited = copy.deepcopy(dict(virtual_service))
    edited["spec"]["http"] = copy.deepcopy(routes)
    return edited
