# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the order of writes in which no request is lost: make before break. Pure.

Subsets come before the routes that name them and go after; what has to be proved in the proxies in between is told by
each step. A run that was stopped between two steps plans again from what is there, and gets the steps that are left.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service


class Subset(NamedTuple):
    """A subset of the Service with this full host name; the whole Service when `name` is ""."""

    host: str
    name: str


class Change(NamedTuple):
    """What an object has to become: `before` is None when it is created, `after` when it is deleted."""

    before: Optional[Mapping[str, Any]]
    after: Optional[Mapping[str, Any]]


@dataclass(frozen=True)
class Step:
    """One write, and what has to be proved in the proxies before it.

    before: None for an object that is created; after: None for one that is deleted; live: subsets whose clusters
    have to be there, with a healthy endpoint; unnamed: subsets that no route of any proxy may name any more.
    When an earlier step wrote the same object, `after` is without resourceVersion: the new one belongs there.
    """

    before: Optional[Mapping[str, Any]]
    after: Optional[Mapping[str, Any]]
    live: tuple[Subset, ...] = ()
    unnamed: tuple[Subset, ...] = ()

    @property
    def obj(self) -> Mapping[str, Any]:
        return self.after or self.before or {}

    @property
    def action(self) -> str:
        if self.after is None:
            return "delete"
        return "create" if self.before is None else "replace"

    def __str__(self) -> str:
        return f"{self.action} {self.obj['kind']} {model.label(self.obj)}"


def named_subsets(obj: Optional[Mapping[str, Any]], domain: str) -> set[Subset]:
    """Return the subsets and whole Services to which the routes and mirrors of an object send requests."""
    return {subset for subset, weight in _sent_to(obj, domain) if weight}


def mentioned_subsets(obj: Optional[Mapping[str, Any]], domain: str) -> set[Subset]:
    """Return the subsets and whole Services of the routes and mirrors of an object, also those without weight."""
    return {subset for subset, _weight in _sent_to(obj, domain)}


def _sent_to(obj: Optional[Mapping[str, Any]], domain: str) -> Iterator[tuple[Subset, Any]]:
    for _section, _at, route in model.routes_of(obj) if obj else ():
        entries = model.entries_of(obj, route)
        alone = len(entries) == 1 and model.form_of(obj) is model.ISTIO
        mirrors = [*model.list_of(route.get("mirrors")), {"destination": route.get("mirror")}]
        weighed = [(entry, 1 if alone else _weight(obj, entry)) for entry in entries]
        for entry, weight in (*weighed, *((mirror, 1) for mirror in mirrors)):
            where = model.destination(obj, entry, domain)
            # a backend of another kind than Service has a blank in its name
            if where and " " not in where.host:
                yield Subset(where.host, where.subset), weight


def _weight(obj: Mapping[str, Any], entry: Any) -> Any:
    weight = model.dict_of(entry).get("weight")
    return model.form_of(obj).absent if weight is None else weight


def owned_subsets(rule: Optional[Mapping[str, Any]], domain: str) -> set[Subset]:
    """Return the subsets of a DestinationRule."""
    if rule is None:
        return set()
    host = model.resolve(model.spec_of(rule).get("host"), model.namespace_of(rule), domain)
    return {Subset(host, name) for name in model.subsets_of([rule])}


def order(
    changes: Iterable[Change], routes: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]], domain: str
) -> tuple[Step, ...]:
    """Return the steps that make all changes in a safe order; nothing for those that change nothing.

    routes, rules: all objects with routes and all DestinationRules as they are, so that it is seen what else names or
    has a subset. MeshopsError when a route would name a subset that is not there afterwards.
    """
    real = [change for change in changes if change.before != change.after]
    of_rules = [change for change in real if _kind(change) == "DestinationRule"]
    of_routes = [change for change in real if _kind(change) != "DestinationRule"]
    routes_after, rules_after = _applied(routes, of_routes), _applied(rules, of_rules)
    for change in of_rules:
        _refuse_moved_host(change)
        _refuse_still_named(change, routes_after, rules_after, domain)
    for change in of_routes:
        _refuse_missing(change, rules_after, domain)
    growing = [step for change in of_rules for step in _growing(change)]
    return (
        *growing,
        *_routing(of_routes, domain),
        *(step for change in of_rules for step in _shrinking(change, domain)),
    )


def _kind(change: Change) -> str:
    return str((change.after or change.before or {}).get("kind"))


def _identity(obj: Mapping[str, Any]) -> tuple[str, str]:
    return model.kind_of(obj), model.label(obj)


def _applied(objects: Sequence[Mapping[str, Any]], changes: list[Change]) -> list[Mapping[str, Any]]:
    touched = {_identity(change.after or change.before or {}) for change in changes}
    kept = [obj for obj in objects if model.is_object(obj) and _identity(obj) not in touched]
    return [*kept, *(change.after for change in changes if change.after is not None)]


def _growing(change: Change) -> list[Step]:
    """Return the step that brings everything new of a DestinationRule and takes no subset away."""
    if change.after is None:
        return []
    if change.before is None:
        return [Step(None, change.after)]
    whole = _union(change.before, change.after)
    return [] if whole == change.before else [Step(change.before, whole)]


def _union(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    names = model.subsets_of([after])
    going = [item for item in _subsets(before) if model.dict_of(item).get("name") not in names]
    if not going:
        return after
    edited = copy.deepcopy(dict(after))
    edited["spec"]["subsets"] = [*_subsets(after), *copy.deepcopy(going)]
    # what changes beside the spec, such as marks, is written when the subsets go
    return before if _spec_without_order(edited) == _spec_without_order(before) else edited


def _subsets(rule: Mapping[str, Any]) -> list:
    return model.list_of(model.spec_of(rule).get("subsets"))


def _spec_without_order(rule: Mapping[str, Any]) -> dict[str, Any]:
    subsets = sorted(_subsets(rule), key=lambda item: str(model.dict_of(item).get("name")))
    return {**model.spec_of(rule), "subsets": subsets}


def _routing(changes: list[Change], domain: str) -> list[Step]:
    """Return the steps of the routes: new objects first, those without hosts (delegates) before their roots."""

    def rank(change: Change) -> tuple[int, bool]:
        phase = 0 if change.before is None else 1 if change.after is not None else 2
        return phase, bool(model.spec_of(change.after or {}).get("hosts"))

    steps = []
    for change in sorted(changes, key=rank):
        fresh = named_subsets(change.after, domain) - named_subsets(change.before, domain)
        steps.append(Step(change.before, change.after, live=tuple(sorted(fresh))))
    return steps


def _shrinking(change: Change, domain: str) -> list[Step]:
    """Return the step that takes subsets away, after all routes."""
    if change.before is None:
        return []
    going = tuple(sorted(owned_subsets(change.before, domain) - owned_subsets(change.after, domain)))
    if change.after is None:
        return [Step(change.before, None, unnamed=going)]
    whole = _union(change.before, change.after)
    if not going:
        return []
    after = change.after
    if whole != change.before:
        after = copy.deepcopy(dict(after))
        after["metadata"].pop("resourceVersion", None)
    return [Step(whole, after, unnamed=going)]


def _refuse_moved_host(change: Change) -> None:
    if change.before is None or change.after is None:
        return
    old, new = (model.spec_of(obj).get("host") for obj in change)
    if old != new:
        raise MeshopsError(
            f"DestinationRule {model.label(change.after)} would change its host from {old} to {new}, which takes all"
            " subsets from the first at once. Write another one for the new host."
        )


def _refuse_still_named(change: Change, routes: list, rules: list, domain: str) -> None:
    going = owned_subsets(change.before, domain) - owned_subsets(change.after, domain)
    for obj in routes:
        for subset in sorted(going & named_subsets(obj, domain)):
            if not _provided(subset, rules, model.namespace_of(obj), domain):
                raise MeshopsError(
                    f"Subset {subset.name} of {subset.host} is named by {model.kind_of(obj)} {model.label(obj)}, whose"
                    " requests would fail without it. Take its weight and its mirrors away there first."
                )


def _refuse_missing(change: Change, rules: list, domain: str) -> None:
    if change.after is None:
        return
    namespace = model.namespace_of(change.after)
    for subset in sorted(named_subsets(change.after, domain) - named_subsets(change.before, domain)):
        if subset.name and not _provided(subset, rules, namespace, domain):
            raise MeshopsError(
                f"{model.kind_of(change.after)} {model.label(change.after)} would name the subset {subset.name} of"
                f" {subset.host}, which no DestinationRule for it has. Add the subset first."
            )


def _provided(subset: Subset, rules: list, namespace: str, domain: str) -> bool:
    parts = subset.host.split(".")
    if not subset.host.endswith(f".svc.{domain}") or len(parts) < 3:
        # a host from outside of the cluster: the rules of all namespaces may be meant
        return any(subset in owned_subsets(rule, domain) for rule in rules)
    service = Service(parts[0], parts[1], domain)
    return subset.name in model.subsets_of(model.governing_rules(rules, service, namespace))
