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
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.weights import Split, backend, new_entry

MAX_WEIGHT = 2**31 - 1
GATEWAY_API_VERSION = "gateway.networking.k8s.io/v1"
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
    obj: Mapping[str, Any],
    indexes: Iterable[int],
    service: Service,
    wanted: Mapping[Destination, int],
    section: str = "http",
) -> Mapping[str, Any]:
    """Return the object with the weights of the Service's destinations set in the routes at `indexes` of a section.

    `wanted` is the whole split: a destination of the Service that it does not name gets weight 0 (its headers and
    its place stay, so that a later split can restore it); one that has no entry yet is appended.
    MeshopsError when the route has an effective share for another host, the same destination twice, or is malformed.
    """
    edited: Any = None
    for index in indexes:
        split = Split(obj, section, index, service, wanted)
        if split.in_effect():
            continue
        edited = edited or copy.deepcopy(obj)
        split.write(edited["spec"][section][index][split.form.entries])
    return edited or obj


def new_virtual_service(service: Service, name: str, wanted: Mapping[Destination, int]) -> dict[str, Any]:
    """Return a VirtualService of ours with one default http route that splits the Service."""
    made = model.new_object("VirtualService", service.namespace, name, {"hosts": [service.name], "http": [{}]})
    entries = [
        {**new_entry(made, [], service, where, "http[0] of a new VirtualService"), "weight": weight}
        for where, weight in wanted.items()
    ]
    made["spec"]["http"][0]["route"] = entries
    return made


def plain_virtual_service(service: Service, name: str) -> dict[str, Any]:
    """Return a VirtualService of ours that sends everything to the Service, as the mesh does without it."""
    spec = {"hosts": [service.name], "http": [{"route": [{"destination": {"host": service.name}}]}]}
    return model.new_object("VirtualService", service.namespace, name, spec)


def new_http_route(service: Service, name: str, wanted: Mapping[Destination, int]) -> dict[str, Any]:
    """Return an HTTPRoute of ours for callers inside the mesh; each destination needs a port (MeshopsError)."""
    backends = []
    for where, weight in wanted.items():
        if where.port is None:
            raise MeshopsError(f"The port of {where.host} is not known. Write its key in weights as name:port.")
        backends.append({**backend(where, where.port, service.namespace), "weight": weight})
    # with the defaults that the API server would add
    everything = [{"path": {"type": "PathPrefix", "value": "/"}}]
    parent = {"group": "", "kind": "Service", "name": service.name}
    spec = {"parentRefs": [parent], "rules": [{"matches": everything, "backendRefs": backends}]}
    return model.new_object("HTTPRoute", service.namespace, name, spec, GATEWAY_API_VERSION)
