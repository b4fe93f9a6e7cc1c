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
from ansible_collections.meshops.istio.plugins.module_utils.traffic.subsets import add_subsets, new_destination_rule
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request, Target


@dataclass(frozen=True)
class Step:
    """One write: `before` is None for an object that is created."""

    before: Optional[Mapping[str, Any]]
    after: Mapping[str, Any]

    @property
    def action(self) -> str:
        return "create" if self.before is None else "replace"

    def __str__(self) -> str:
        return f"{self.action} {self.after['kind']} {model.label(self.after)}"


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
    rule_step, subsets = None, {}
    if not _between_services(request, after):
        rule_step, subsets = _provide_subsets(request, destination_rules, model.namespace_of(after))
    route_step = None if after is before else Step(before, after)
    # a subset has to be known to the proxies before a route sends to it
    steps = tuple(step for step in (rule_step, route_step) if step)
    return Plan(steps, before, after, subsets)


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
) -> tuple[Optional[Step], Mapping[str, Mapping[str, str]]]:
    service = request.service
    governing = model.governing_rules(rules, service, route_namespace)
    subsets = model.subsets_of(governing)
    missing = [name for name in request.weights if name not in subsets]
    if not missing:
        return None, subsets
    if not governing:
        step = Step(None, _free_rule(service, rules, request.weights))
    elif model.is_exact(governing[0], service) and model.is_ours(governing[0]):
        step = Step(governing[0], add_subsets(governing[0], missing))
    else:
        raise MeshopsError(_refusal(service, missing, list(subsets), governing[0]))
    return step, {**subsets, **model.subsets_of([step.after])}


def _free_rule(service: Service, rules: list, names: Mapping[str, int]) -> dict[str, Any]:
    rule = new_destination_rule(service, names)
    if any(isinstance(other, dict) and model.label(other) == model.label(rule) for other in rules):
        raise MeshopsError(
            f"{service} has no DestinationRule, and the name {model.label(rule)} is taken by that of another host."
            f" Write one for {service.name} with the subsets {', '.join(names)}."
        )
    return rule


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
