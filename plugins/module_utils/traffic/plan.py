# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the ordered writes of one traffic change: make before break. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, model, targets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Change, Step, order
from ansible_collections.meshops.istio.plugins.module_utils.traffic.subsets import (
    add_subsets,
    new_destination_rule,
    set_subset,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.subsets import remove_subset as without_subset
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request, Target


@dataclass(frozen=True)
class Plan:
    """Steps in a safe order; `before` and `after` are the object with the route, `subsets` the labels of each."""

    steps: tuple[Step, ...]
    before: Optional[Mapping[str, Any]]
    after: Mapping[str, Any]
    subsets: Mapping[str, Mapping[str, str]]


def plan_split(request: Request, routes: list, destination_rules: list) -> Plan:
    """Return what has to be written for the split; no steps when it is in effect. MeshopsError when it is refused."""
    target = targets.choose(routes, request)
    before = target.obj
    after = _split(request, target)
    changes: list[Change] = []
    subsets: Mapping[str, Mapping[str, str]] = {}
    if not _between_services(request, after):
        changes, subsets = _provide_subsets(request, destination_rules, model.namespace_of(after))
    if after is not before:
        changes.append(Change(before, after))
    return Plan(order(changes, routes, destination_rules, request.service.domain), before, after, subsets)


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


def _provide_subsets(
    request: Request, rules: list, route_namespace: str
) -> tuple[list[Change], Mapping[str, Mapping[str, str]]]:
    service = request.service
    governing = model.governing_rules(rules, service, route_namespace)
    subsets = model.subsets_of(governing)
    missing = [name for name in request.weights if name not in subsets]
    if not missing:
        return [], subsets
    if not governing:
        change = Change(None, _free_rule(service, rules, request.weights))
    elif model.is_exact(governing[0], service) and model.is_ours(governing[0]):
        change = Change(governing[0], add_subsets(governing[0], missing))
    else:
        raise MeshopsError(_refusal(service, missing, list(subsets), governing[0]))
    return [change], {**subsets, **model.subsets_of([change.after])}


def _free_rule(service: Service, rules: list, names: Mapping[str, int]) -> dict[str, Any]:
    rule = new_destination_rule(service, names)
    if any(isinstance(other, dict) and model.label(other) == model.label(rule) for other in rules):
        raise MeshopsError(
            f"{service} has no DestinationRule, and the name {model.label(rule)} is taken by that of another host."
            f" Write one for {service.name} with the subsets {', '.join(names)}."
        )
    return rule


def change_subset(
    service: Service,
    name: str,
    rules: list,
    labels: Optional[Mapping[str, str]] = None,
    traffic_policy: Optional[Mapping[str, Any]] = None,
) -> Change:
    """Return the change that gives the Service a subset of these labels and settings; see subsets.set_subset.

    The DestinationRule that has the subset already is edited, else the first one for the Service, else one is made.
    """
    exact = _exact_rules(service, rules)
    having = [rule for rule in exact if name in model.subsets_of([rule])]
    for rule in (*having, *exact):
        return Change(rule, set_subset(rule, name, labels, traffic_policy))
    wildcard = model.governing_rules(rules, service, service.namespace)
    if wildcard:
        raise MeshopsError(_refusal(service, [name], [], wildcard[0]))
    return Change(None, set_subset(_free_rule(service, rules, {name: 1}), name, labels, traffic_policy))


def remove_subset(service: Service, name: str, rules: list) -> Change:
    """Return the change that takes the subset from the Service, and a DestinationRule of ours with the last one."""
    rule = next((rule for rule in _exact_rules(service, rules) if name in model.subsets_of([rule])), None)
    if rule is None:
        return Change(None, None)
    after = without_subset(rule, name)
    return Change(rule, None if model.is_ours(rule) and set(after["spec"]) == {"host"} else after)


def _exact_rules(service: Service, rules: list) -> list[Mapping[str, Any]]:
    governing = model.governing_rules(rules, service, service.namespace)
    return [rule for rule in governing if model.is_exact(rule, service)]


def _refusal(service: Service, missing: list[str], subsets: list[str], rule: Mapping[str, Any]) -> str:
    noun = "subset" if len(missing) == 1 else "subsets"
    problem = f"{service} has no {noun} {', '.join(missing)} (subsets: {', '.join(subsets) or 'none'})"
    if model.is_exact(rule, service):
        where = model.name_of(rule) if model.namespace_of(rule) == service.namespace else model.label(rule)
        return f"{problem}. Correct weights, or add the {noun} to DestinationRule {where}."
    wildcard = f"DestinationRule {model.label(rule)} for {model.spec_of(rule).get('host')}"
    return (
        f"{problem}: {wildcard} governs it, and a new one would end its policy."
        f" Write a DestinationRule for {service.name} with the {noun} and that policy."
    )
