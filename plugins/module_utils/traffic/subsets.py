# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the subsets of a DestinationRule. Pure.

No function changes its input; the very same object comes back when there is nothing to change.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service


def add_subsets(rule: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the DestinationRule with one more subset for each name, chosen by the pod label `version`."""
    edited = copy.deepcopy(dict(rule))
    edited["spec"]["subsets"] = [*model.list_of(edited["spec"].get("subsets")), *(_subset(name) for name in names)]
    return edited


def new_destination_rule(service: Service, names: Iterable[str]) -> dict[str, Any]:
    """Return a DestinationRule of ours whose subsets choose pods by the label `version`."""
    spec = {"host": service.name, "subsets": [_subset(name) for name in names]}
    return model.new_object("DestinationRule", service.namespace, service.name, spec)


def set_subset(
    rule: Mapping[str, Any],
    name: str,
    labels: Optional[Mapping[str, str]] = None,
    traffic_policy: Optional[Mapping[str, Any]] = None,
) -> Mapping[str, Any]:
    """Return the DestinationRule with a subset of these labels and with these settings in its trafficPolicy.

    labels: None leaves those of an existing subset, and are `version: name` for a new one; traffic_policy: fields to
    set, None in it takes a field out, the others stay.
    """
    index = _find(rule, name)
    if index is None:
        edited = add_subsets(rule, [name])
        index = len(edited["spec"]["subsets"]) - 1
    else:
        edited = copy.deepcopy(dict(rule))
    subset = edited["spec"]["subsets"][index]
    if labels is not None:
        subset["labels"] = dict(labels)
    if traffic_policy is not None:
        merged = leaves.merge(subset.get("trafficPolicy"), dict(traffic_policy))
        if merged or "trafficPolicy" in subset:
            subset["trafficPolicy"] = merged
    return rule if edited == rule else edited


def remove_subset(rule: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the DestinationRule without the subset; the very same object when it has none of this name."""
    index = _find(rule, name)
    if index is None:
        return rule
    edited = copy.deepcopy(dict(rule))
    del edited["spec"]["subsets"][index]
    if not edited["spec"]["subsets"]:
        del edited["spec"]["subsets"]
    return edited


def _find(rule: Mapping[str, Any], name: str) -> Optional[int]:
    subsets = model.list_of(model.spec_of(rule).get("subsets"))
    found = [index for index, subset in enumerate(subsets) if model.dict_of(subset).get("name") == name]
    if len(found) > 1:
        raise MeshopsError(
            f"DestinationRule {model.label(rule)} has the subset {name} {len(found)} times, of which Istio takes the"
            " first. Remove the others first."
        )
    return found[0] if found else None


def _subset(name: str) -> dict[str, Any]:
    return {"name": name, "labels": {"version": name}}
