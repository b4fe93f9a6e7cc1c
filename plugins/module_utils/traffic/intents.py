# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what each traffic task wants of the objects that are there. Pure.

Each function takes a World and returns a Wish. The host may have no route yet: one is made, and goes when idle again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import (
    edit,
    faults,
    journal,
    mirroring,
    model,
    policy,
    provision,
    rules,
    splits,
    targets,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.faults import Fault
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Wish, World
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import (
    Change,
    Subset,
    mentioned_subsets,
    named_subsets,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request, Target


class Point(NamedTuple):
    """How far to go back: a number of changes, or to a named point; force: also over a later edit by hand."""

    steps: int = 1
    point: str = ""
    force: bool = False


Edit = Callable[[Mapping[str, Any], int], Mapping[str, Any]]
_NOTHING = Change(None, None)


def split(world: World, request: Request) -> Wish:
    """Want these weights in the route of the request."""
    target = targets.choose(world.routes, request)
    after = _split(request, target)
    between = _between_services(request, after)
    wanted = targets.destinations(request, between)
    names = [] if between else _mentioned(world, after, request.weights)
    changes = provision.provide(world.service, names, world.rules, _namespace(after))
    if after is not target.obj:
        for index in target.indexes or (0,):
            after = splits.remember(target.obj, after, target.section, index, world.service.domain)
        changes.append(Change(target.obj, after))
    effective = edit.percentages(request.weights)
    what = f"split {', '.join(f'{name} {share:g} %' for name, share in effective.items())}"
    needs = [_subset(where) for where, weight in wanted.items() if weight]
    return Wish(changes, Change(target.obj, after), needs, what, effective)


def unsplit(world: World, request: Request) -> Wish:
    """Want the route of the request as it was before it was split; nothing when nothing routes the host."""
    target = _existing(world, request)
    if target.obj is None:
        return Wish(provision.withdraw(world.service, world.rules, world.routes), _NOTHING)
    after = target.obj
    for index in target.indexes:
        after = splits.give_back(after, target.section, index, world.service)
    return _taken_back(world, target.obj, after, "split taken back")


def _split(request: Request, target: Target) -> Mapping[str, Any]:
    service, before = request.service, target.obj
    if before is not None:
        wanted = targets.destinations(request, _between_services(request, before))
        return edit.set_weights(before, target.indexes, service, wanted, target.section)
    if request.api == "gateway":
        return edit.new_http_route(service, target.name, targets.destinations(request, True))
    return edit.new_virtual_service(service, target.name, targets.destinations(request, request.services))


def _between_services(request: Request, obj: Mapping[str, Any]) -> bool:
    return request.services or model.form_of(obj) is model.GATEWAY


def rule(world: World, request: Request, wanted: Rule) -> Wish:
    """Want a rule in front of the route of the request; its weights are those of the request, none for the split."""
    target = targets.choose(world.routes, request)
    if len(target.indexes) > 1:
        raise MeshopsError(
            f"The rule {wanted.name} is made from one route, and {len(target.indexes)} of VirtualService"
            f" {model.label(target.obj or {})} fit. Choose one by route."
        )
    destinations = targets.destinations(request, request.services) if request.weights else None
    wanted = Rule(wanted.name, wanted.conditions, destinations, wanted.before, wanted.after)
    names = [] if request.services else list(request.weights)
    where = ", ".join(f"{name} {share:g} %" for name, share in edit.percentages(request.weights).items())
    wish = _edited(
        world,
        request,
        lambda obj, index: rules.set_rule(obj, index, world.service, wanted),
        f"rule {wanted.name}{' to ' + where if where else ''}",
        names,
    )
    needs = [_subset(where) for where, weight in (destinations or {}).items() if weight]
    return wish._replace(needs=needs, effective=edit.percentages(request.weights))


def no_rule(world: World, request: Request, name: str) -> Wish:
    """Want no rule of this name in any VirtualService of the host (of the one that the request names)."""
    return _without(world, request, lambda obj: rules.remove_rule(obj, name), f"rule {name} removed")


def mirror(world: World, request: Request, where: Destination, percent: Any) -> Wish:
    """Want a percentage of the requests of the route copied to a destination."""
    wish = _edited(
        world,
        request,
        lambda obj, index: mirroring.set_mirror(obj, index, world.service, where, percent),
        f"mirror {percent:g} % to {where.subset or where.host}",
        [where.subset] if where.subset and where.host == world.service.fqdn else [],
    )
    return wish._replace(needs=[_subset(where)])


def no_mirror(world: World, request: Request, where: Optional[Destination]) -> Wish:
    """Want no mirror of ours to the destination (None: to any) in the route of the request."""
    return _unedited(
        world,
        request,
        lambda obj, index: mirroring.remove_mirror(obj, index, world.service, where),
        "mirror removed",
    )


def fault(world: World, request: Request, wanted: Fault) -> Wish:
    """Want a delay, an abort or both injected into the route of the request."""
    words = [name for name, part in (("delay", wanted.delay), ("abort", wanted.abort)) if part]
    return _edited(
        world, request, lambda obj, index: faults.set_fault(obj, index, wanted), f"fault: {' and '.join(words)}"
    )


def no_fault(world: World, request: Request) -> Wish:
    """Want no fault of ours in the route of the request."""
    return _unedited(world, request, faults.remove_fault, "fault removed")


def route_policy(world: World, request: Request, timeout: Optional[str], retries: Optional[Mapping[str, Any]]) -> Wish:
    """Want this timeout and these retries in the route of the request; None leaves one alone."""
    words = [f"timeout {timeout}"] * (timeout is not None) + ["retries"] * (retries is not None)
    return _edited(
        world,
        request,
        lambda obj, index: policy.set_policy(obj, index, timeout, retries),
        f"policy: {' and '.join(words)}",
    )


def no_route_policy(world: World, request: Request) -> Wish:
    """Want the timeout and the retries of the route as they were before this collection set them."""
    return _unedited(world, request, policy.remove_policy, "policy taken back")


def subset(
    world: World,
    name: str,
    labels: Optional[Mapping[str, str]],
    traffic_policy: Optional[Mapping[str, Any]],
) -> Wish:
    """Want a subset of these labels and settings; None leaves one alone."""
    change = provision.change_subset(world.service, name, world.rules, labels, traffic_policy)
    mine = Subset(world.service.fqdn, name)
    used = any(mine in named_subsets(obj, world.service.domain) for obj in world.routes)
    return Wish([change], change, [mine] if used else [], f"subset {name}")


def no_subset(world: World, name: str) -> Wish:
    """Want no subset of this name."""
    changes = [provision.remove_subset(world.service, name, world.rules)]
    while changes[-1].before is not None:  # several DestinationRules for one host can have it
        changes.append(provision.remove_subset(world.service, name, world.after(changes).rules))
    return Wish(changes[:-1], changes[0], (), f"subset {name} removed")


def _mentioned(world: World, obj: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return those of the subsets that the object has: one that is to get nothing need not be there."""
    there = mentioned_subsets(obj, world.service.domain)
    return [name for name in names if Subset(world.service.fqdn, name) in there]


def _existing(world: World, request: Request) -> Target:
    """Return the route of the request, Target(None) when nothing of the host or of that name is there."""
    if not targets.candidates(world.routes, request):
        return Target(None, (), "")
    if request.virtual_service and not targets.named(world.routes, request):
        return Target(None, (), "")
    return targets.choose(world.routes, request)


def _edited(world: World, request: Request, change: Edit, what: str, names: Iterable[str] = ()) -> Wish:
    """Return the wish for an edit of the http route of the request, which is made when the host has none."""
    target = targets.choose(world.routes, request)
    if target.section in ("tcp", "tls"):
        raise MeshopsError(
            f"The route to {world.service} is one of {target.section} in VirtualService {target.name}, which has"
            " weights and nothing else. Choose an http route by route."
        )
    before = target.obj
    after = base = before or edit.plain_virtual_service(world.service, target.name)
    for index in target.indexes or (0,):
        after = change(after, index)
    names = _mentioned(world, after, names)
    changes = provision.provide(world.service, names, world.rules, _namespace(after))
    if after is base:
        return Wish(changes, Change(before, before), (), what)
    return Wish([*changes, Change(before, after)], Change(before, after), (), what)


def _unedited(world: World, request: Request, change: Edit, what: str) -> Wish:
    target = _existing(world, request)
    if target.obj is None or target.section not in ("http", "rules"):
        return Wish(provision.withdraw(world.service, world.rules, world.routes), _NOTHING)
    after = target.obj
    for index in target.indexes:
        after = change(after, index)
    return _taken_back(world, target.obj, after, what)


def _without(
    world: World, request: Request, change: Callable[[Mapping[str, Any]], Mapping[str, Any]], what: str
) -> Wish:
    """Return the wish for an edit of every VirtualService of the host (or the one that the request names)."""
    found = [obj for obj in targets.concerned(world.routes, request) if model.form_of(obj) is model.ISTIO]
    for obj in found:
        after = change(obj)
        if after is not obj:
            return _taken_back(world, obj, after, what)
    main = Change(found[0], found[0]) if found else _NOTHING
    return Wish(provision.withdraw(world.service, world.rules, world.routes), main)


def _taken_back(world: World, before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> Wish:
    """Return the wish for an object that lost something of ours: gone when idle, with the subsets made for it."""
    if after is before:  # a run that was stopped may have left subsets made for it
        return Wish(provision.withdraw(world.service, world.rules, world.routes), Change(before, before))
    left = None if splits.is_idle(after, world.service.domain) else after
    change = Change(before, left)
    rest = world.after([change])
    changes = [change, *provision.withdraw(world.service, rest.rules, rest.routes)]
    return Wish(changes, change, (), what, takes_back=True)


def _subset(where: Destination) -> Subset:
    return Subset(where.host, where.subset)


def _namespace(obj: Mapping[str, Any]) -> str:
    return model.namespace_of(obj)


def back(world: World, request: Request, stamp: Stamp, to: Point) -> Wish:
    """Want the object with the route of the host as it was before its last changes, or at a named point."""
    found = targets.concerned(world.routes, request)
    if len(found) != 1:
        listed = ", ".join(f"{model.kind_of(obj)} {model.label(obj)}" for obj in found)
        raise MeshopsError(
            f"Several objects route to {world.service}: {listed}. Choose one by virtual_service."
            if found
            else f"Nothing routes to {world.service}, so there is nothing to undo. Correct host or virtual_service."
        )
    (obj,) = found
    after = journal.undo(obj, stamp, to.steps, to.point, to.force)
    change = Change(obj, after)
    fresh = named_subsets(after, world.service.domain) - named_subsets(obj, world.service.domain)
    if after is not None:
        return Wish([change], change, tuple(sorted(fresh)), "back")
    rest = world.after([change])
    return Wish([change, *provision.withdraw(world.service, rest.rules, rest.routes)], change, (), "back")
