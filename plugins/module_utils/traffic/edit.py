# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one intent applied to one traffic object; all else comes through untouched. Pure.

No function changes its input; the very same object comes back when there is nothing to change.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service

MAX_WEIGHT = 2**31 - 1
_ACTIONS = ("redirect", "directResponse", "delegate")
_WHOLE = re.compile(r"\s*-?[0-9]{1,18}\s*")


def parse_weights(weights: Mapping[Any, Any]) -> dict[str, int]:
    """Return subset -> weight as whole numbers, by name; MeshopsError for negative, fractional, all zero or none."""
    if not weights:
        raise MeshopsError("weights is empty. Give each subset its weight, for example {v1: 90, v2: 10}.")
    parsed: dict[str, int] = {}
    for subset, weight in weights.items():
        # a templated number can arrive as text
        number = int(weight) if isinstance(weight, str) and _WHOLE.fullmatch(weight) else weight
        if isinstance(number, bool) or not isinstance(number, int):
            raise MeshopsError(f"The weight of {subset} is {weight!r}, which is no whole number. Correct weights.")
        if number < 0:
            raise MeshopsError(f"The weight of {subset} is {number}, which is negative. Use 0 or more in weights.")
        parsed[str(subset)] = number
    if not sum(parsed.values()):
        raise MeshopsError(f"The weights of {', '.join(parsed)} are all zero. Give at least one of them more than 0.")
    if sum(parsed.values()) > MAX_WEIGHT:
        raise MeshopsError(f"The weights add up to more than {MAX_WEIGHT}. Use smaller numbers in weights.")
    # the result must not depend on the order of the keys
    return dict(sorted(parsed.items()))


def percentages(weights: Mapping[str, int]) -> dict[str, float]:
    """Return the effective share of each weight in percent, rounded to two decimals, whole ones as integers."""
    total = sum(weights.values())
    shares = {name: round(100 * weight / total, 2) for name, weight in weights.items()}
    return {name: int(share) if share == int(share) else share for name, share in shares.items()}


def set_weights(
    virtual_service: Mapping[str, Any], indexes: Iterable[int], service: Service, weights: Mapping[str, int]
) -> Mapping[str, Any]:
    """Return the VirtualService with the weights of the Service's subsets set in the http routes at `indexes`.

    `weights` is the whole split: a destination of the Service that it does not name gets weight 0 (its headers and
    its place stay, so that a later split can restore it); a subset that has no destination yet is appended.
    MeshopsError when the route has an effective share for another host, the same subset twice, or is malformed.
    """
    edited: Any = None
    for index in indexes:
        where = f"http[{index}] of VirtualService {model.label(virtual_service)}"
        namespace = model.namespace_of(virtual_service)
        before = virtual_service["spec"]["http"][index]
        route = _Route(before, namespace, service, where)
        if route.shares() == _wanted_shares(route, weights):
            continue
        edited = edited or copy.deepcopy(virtual_service)
        _write(edited["spec"]["http"][index]["route"], route, weights)
    return edited or virtual_service


class _Route:
    """The destinations of one http route, checked to be ones whose weights can be set."""

    def __init__(self, route: Mapping[str, Any], namespace: str, service: Service, where: str) -> None:
        self.where, self.service, self.namespace = where, service, namespace
        action = next((key for key in _ACTIONS if route.get(key)), None)
        if action:
            raise MeshopsError(f"{where} is a {action}, which has no weights. Choose another by route.")
        self.entries = route.get("route")
        if not isinstance(self.entries, list) or not all(_is_complete(entry) for entry in self.entries):
            raise MeshopsError(
                f"{where} has an entry without a proper destination. Correct it first, or choose another by route."
            )
        self.weights = [self._weight(entry) for entry in self.entries]
        self.own = [model.targets_service(entry, namespace, service) for entry in self.entries]
        self.subsets = [model.destination_of(entry).get("subset") or "" for entry in self.entries]
        self._refuse_strangers()
        self._refuse_doubles()

    def _weight(self, entry: Mapping[str, Any]) -> int:
        weight = entry.get("weight")
        if weight is None:
            return 0
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
            raise MeshopsError(
                f"{self.where} has the weight {weight!r}, which Istio does not accept."
                " Correct it first, or choose another by route."
            )
        return weight

    def _refuse_strangers(self) -> None:
        shares = self.shares()
        for entry, own, share in zip(self.entries, self.own, shares):
            if not own and share:
                other = f"{round(float(share * 100), 2):g} % to {model.destination_of(entry).get('host')}"
                raise MeshopsError(
                    f"{self.where} also sends {other}, which weights of {self.service} cannot express."
                    " Set that weight to 0 first, or choose another by route."
                )

    def _refuse_doubles(self) -> None:
        own = [subset for subset, own in zip(self.subsets, self.own) if own]
        double = next((subset for subset in own if own.count(subset) > 1), None)
        if double is not None:
            what = f"subset {double} of {self.service}" if double else f"{self.service} without subset"
            raise MeshopsError(
                f"{self.where} has {what} twice, so that its weight is ambiguous."
                " Merge the two, or choose another by route."
            )

    def shares(self) -> list[Fraction]:
        """Return the effective share of each entry; all zero when Envoy would have none to choose."""
        if len(self.weights) == 1:
            return [Fraction(1)]
        total = sum(self.weights)
        return [Fraction(weight, total) if total else Fraction(0) for weight in self.weights]

    def like(self) -> dict[str, Any]:
        """Return host and port that a new destination of the Service has to have in this route."""
        mine = [model.destination_of(entry) for entry, own in zip(self.entries, self.own) if own]
        if any(destination.get("port") != mine[0].get("port") for destination in mine):
            raise MeshopsError(
                f"{self.where} sends to several ports of {self.service}, so that the port of a new subset is not known."
                " Add the destination to it first."
            )
        return {key: copy.deepcopy(mine[0][key]) for key in ("host", "port") if key in mine[0]}


def _wanted_shares(route: _Route, weights: Mapping[str, int]) -> list[Fraction] | None:
    total = sum(weights.values())
    present = _own_subsets(route)
    if any(weight and subset not in present for subset, weight in weights.items()):
        return None
    return [Fraction(weights.get(subset, 0) if own else 0, total) for subset, own in zip(route.subsets, route.own)]


def _write(entries: list, route: _Route, weights: Mapping[str, int]) -> None:
    alone = len(entries) == 1
    for entry, own, subset, weight in zip(entries, route.own, route.subsets, route.weights):
        wanted = weights.get(subset, 0)
        # without a weight a lone destination has everything, one of several has nothing
        if own and (weight != wanted or (alone and "weight" not in entry)):
            entry["weight"] = wanted
    missing = [subset for subset in weights if subset not in _own_subsets(route)]
    if missing:
        like = route.like()
        entries += [_entry(like, subset, weights[subset]) for subset in missing]


def _is_complete(entry: Any) -> bool:
    destination = model.destination_of(entry)
    return isinstance(destination.get("host"), str) and isinstance(destination.get("subset") or "", str)


def _own_subsets(route: _Route) -> set[str]:
    return {subset for subset, own in zip(route.subsets, route.own) if own}


def _entry(like: Mapping[str, Any], subset: str, weight: int) -> dict[str, Any]:
    destination = {"host": like["host"], "subset": subset, **{key: like[key] for key in ("port",) if key in like}}
    return {"destination": destination, "weight": weight}


def add_subsets(rule: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the DestinationRule with one more subset for each name, chosen by the pod label `version`."""
    edited = copy.deepcopy(dict(rule))
    edited["spec"]["subsets"] = [*(edited["spec"].get("subsets") or []), *(_subset(name) for name in names)]
    return edited


def new_destination_rule(service: Service, names: Iterable[str]) -> dict[str, Any]:
    """Return a DestinationRule of ours whose subsets choose pods by the label `version`."""
    spec = {"host": service.name, "subsets": [_subset(name) for name in names]}
    return _new("DestinationRule", service.namespace, service.name, spec)


def new_virtual_service(service: Service, name: str, weights: Mapping[str, int]) -> dict[str, Any]:
    """Return a VirtualService of ours with one default http route that splits the Service."""
    entries = [_entry({"host": service.name}, subset, weight) for subset, weight in weights.items()]
    return _new("VirtualService", service.namespace, name, {"hosts": [service.name], "http": [{"route": entries}]})


def _subset(name: str) -> dict[str, Any]:
    return {"name": name, "labels": {"version": name}}


def _new(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {model.MANAGED_BY: model.OWNER}}
    return {"apiVersion": model.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
