# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: values that mean the same, and settings merged into a live object leaf by leaf. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds
from ansible_collections.meshops.istio.plugins.module_utils.traffic.weights import action_of


def same(one: Any, other: Any) -> bool:
    """Tell whether two values mean the same: equal, 50 and 50.0, or durations of the same length."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    length = seconds(one)
    return one == other or (length is not None and length == seconds(other))


def merge(live: Any, wanted: Any) -> Any:
    """Return the live value with the wanted leaves set; leaves that mean the same stay as they are written.

    Objects are merged field by field, a wanted None takes the field out, lists are replaced whole.
    """
    if not isinstance(wanted, dict):
        return live if same(live, wanted) else copy.deepcopy(wanted)
    result = dict(model.dict_of(live))
    for key, value in wanted.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return live if result == live else result


def percentage(value: Any, what: str) -> float:
    """Return a percentage as a number, whole ones as integers; MeshopsError when it is none from 0 to 100."""
    try:
        number = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 100:
        raise MeshopsError(f"{what} is {value!r}, which is no percentage from 0 to 100. Correct it.")
    return int(number) if number.is_integer() else number


def http_route(obj: Mapping[str, Any], index: int, what: str) -> Mapping[str, Any]:
    """Return an http route that sends to destinations; MeshopsError, naming `what` is to be set, for another one."""
    if model.form_of(obj) is model.GATEWAY:
        raise MeshopsError(
            f"{model.kind_of(obj)} {model.label(obj)} cannot have {what} by this collection."
            " Use a VirtualService for the host."
        )
    route = obj["spec"]["http"][index]
    action = action_of(route)
    if action:
        where = f"http[{index}] of VirtualService {model.label(obj)}"
        raise MeshopsError(f"{where} is a {action}, which cannot have {what}. Choose another by route.")
    return route


def with_fields(obj: Mapping[str, Any], index: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with fields of one http route set, or taken out where None."""
    edited = copy.deepcopy(dict(obj))
    route = edited["spec"]["http"][index]
    for name, value in fields.items():
        if value is None:
            route.pop(name, None)
        else:
            route[name] = copy.deepcopy(value)
    return edited


def with_entries(obj: Mapping[str, Any], section: str, index: int, field: str, entries: list) -> dict[str, Any]:
    """Return the object with the destinations of one route of any protocol replaced; field: their name in it."""
    edited = copy.deepcopy(dict(obj))
    edited["spec"][section][index][field] = copy.deepcopy(entries)
    return edited
