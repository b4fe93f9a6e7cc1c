# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which DestinationRule has, gets or loses the subsets of a Service. Pure.

Subsets made for a split alone are marked, so that they go with it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import marks, model, subsets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Change, Subset, mentioned_subsets

_MARK = {"name": "subsets"}  # stands for a route in the marks of a DestinationRule
_PART = "made"


def provide(service: Service, names: Iterable[str], rules: Sequence[Any], route_namespace: str) -> list[Change]:
    """Return the change that gives the Service the subsets that it lacks, [] when it has them all.

    They are only added where nobody has a DestinationRule for it, or where that is ours; else MeshopsError.
    """
    governing = model.governing_rules(list(rules), service, route_namespace)
    known = model.subsets_of(governing)
    missing = [name for name in names if name and name not in known]
    if not missing:
        return []
    if not governing:
        return [Change(None, _made(_free_rule(service, rules, missing), missing))]
    first = governing[0]
    if model.is_exact(first, service) and model.is_ours(first):
        return [Change(first, _made(_grown(first, subsets.add_subsets(first, missing)), missing))]
    raise MeshopsError(_refusal(service, missing, list(known), first))


def withdraw(service: Service, rules: Sequence[Any], routes: Sequence[Any]) -> list[Change]:
    """Return the change that takes the subsets made for a split away, as far as no route mentions them any more."""
    found = []
    for rule in _exact_rules(service, rules):
        going = [
            name
            for name in made_for_splits(rule)
            if not any(Subset(service.fqdn, name) in mentioned_subsets(obj, service.domain) for obj in routes)
        ]
        after = rule
        for name in going:
            after = _unmade(_shrunk(subsets.remove_subset(after, name)), name)
        if after is not rule:
            found.append(Change(rule, _unless_idle(after)))
    return found


def change_subset(
    service: Service,
    name: str,
    rules: Sequence[Any],
    labels: Optional[Mapping[str, str]] = None,
    traffic_policy: Optional[Mapping[str, Any]] = None,
) -> Change:
    """Return the change that gives the Service a subset of these labels and settings; see subsets.set_subset.

    The DestinationRule that has the subset already is edited, else the first one for the Service, else one is made.
    """
    exact = _exact_rules(service, rules)
    having = [rule for rule in exact if name in model.subsets_of([rule])]
    for rule in (*having, *exact):
        return Change(rule, _unmade(_grown(rule, subsets.set_subset(rule, name, labels, traffic_policy)), name))
    wildcard = model.governing_rules(list(rules), service, service.namespace)
    if wildcard:
        raise MeshopsError(_refusal(service, [name], [], wildcard[0]))
    return Change(None, subsets.set_subset(_free_rule(service, rules, [name]), name, labels, traffic_policy))


def remove_subset(service: Service, name: str, rules: Sequence[Any]) -> Change:
    """Return the change that takes the subset from the Service, and a DestinationRule of ours with the last one."""
    rule = next((rule for rule in _exact_rules(service, rules) if name in model.subsets_of([rule])), None)
    if rule is None:
        return Change(None, None)
    return Change(rule, _unless_idle(_unmade(_shrunk(subsets.remove_subset(rule, name)), name)))


def made_for_splits(rule: Mapping[str, Any]) -> list[str]:
    """Return the names of the subsets that were made for a split."""
    listed = marks.read(rule).get(marks.key_of(_MARK), {}).get(_PART)
    return [name for name in model.list_of(listed) if isinstance(name, str)]


def _made(rule: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    return marks.put(rule, _MARK, _PART, sorted({*made_for_splits(rule), *names}))


def _unmade(rule: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    left = [other for other in made_for_splits(rule) if other != name]
    return marks.put(rule, _MARK, _PART, left or None)


def _grown(rule: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the DestinationRule with more subsets; an empty list of them, unlike none, is remembered."""
    spec = model.spec_of(rule)
    if after is rule or "subsets" not in spec or spec["subsets"]:
        return after
    return marks.put(after, _MARK, "was", {"subsets": spec["subsets"]})


def _shrunk(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    was = model.dict_of(marks.read(rule).get(marks.key_of(_MARK), {}).get("was"))
    if "subsets" not in was or "subsets" in rule["spec"]:
        return rule
    return marks.put({**rule, "spec": {**rule["spec"], **was}}, _MARK, "was", None)


def _unless_idle(rule: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    return None if model.is_ours(rule) and set(rule["spec"]) == {"host"} else rule


def _free_rule(service: Service, rules: Sequence[Any], names: Iterable[str]) -> dict[str, Any]:
    rule = subsets.new_destination_rule(service, names)
    if any(isinstance(other, dict) and model.label(other) == model.label(rule) for other in rules):
        raise MeshopsError(
            f"{service} has no DestinationRule, and the name {model.label(rule)} is taken by that of another host."
            f" Write one for {service.name} with the subsets {', '.join(names)}."
        )
    return rule


def _exact_rules(service: Service, rules: Sequence[Any]) -> list[Mapping[str, Any]]:
    governing = model.governing_rules(list(rules), service, service.namespace)
    return [rule for rule in governing if model.is_exact(rule, service)]


def _refusal(service: Service, missing: Sequence[str], known: Sequence[str], rule: Mapping[str, Any]) -> str:
    noun = "subset" if len(missing) == 1 else "subsets"
    problem = f"{service} has no {noun} {', '.join(missing)} (subsets: {', '.join(known) or 'none'})"
    if model.is_exact(rule, service):
        them = "it" if len(missing) == 1 else "them"
        return f"{problem}. Add {them} with traffic_subset, or correct weights."
    wildcard = f"DestinationRule {model.label(rule)} for {model.spec_of(rule).get('host')}"
    return (
        f"{problem}: {wildcard} governs it, and a new one would end its policy."
        f" Write a DestinationRule for {service.name} with the {noun} and that policy."
    )
