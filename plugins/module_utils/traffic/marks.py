# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which parts of a route are ours, in an annotation of its object. Pure.

A route is known by its name, one without by its match, as its position may change. A mark is a JSON object.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model

ANNOTATION = model.BOOKKEEPING[1]


def key_of(route: Mapping[str, Any]) -> str:
    """Return what a route is known by."""
    if route.get("name"):
        return str(route["name"])
    text = json.dumps(route.get("match") or route.get("matches") or [], sort_keys=True)
    return f"#{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def read(obj: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the marks by route; {} when there are none, or when somebody damaged them."""
    annotations = model.dict_of(model.dict_of(obj.get("metadata")).get("annotations"))
    try:
        found = json.loads(annotations.get(ANNOTATION) or "{}")
    except (TypeError, ValueError):
        return {}
    return {key: value for key, value in model.dict_of(found).items() if isinstance(value, dict)}


def of(obj: Mapping[str, Any], route: Mapping[str, Any], part: str, names: str) -> Optional[dict[str, Any]]:
    """Return the mark of one part of a route, None when that part is not ours.

    names: the field of the mark with the names of what is ours, a list of strings; a mark without it is damaged.
    """
    mark = read(obj).get(key_of(route), {}).get(part)
    listed = mark.get(names) if isinstance(mark, dict) else None
    return mark if isinstance(listed, list) and all(isinstance(name, str) for name in listed) else None


def put(obj: Mapping[str, Any], route: Mapping[str, Any], part: str, mark: Any) -> Mapping[str, Any]:
    """Return the object with the mark of one part of the route, without it when it is None.

    MeshopsError when another route could not be told from this one.
    """
    if mark is not None:
        _refuse_twins(obj, route, part)
    known = read(obj)
    mine = {**known.get(key_of(route), {}), part: mark}
    mine = {name: value for name, value in mine.items() if value is not None}
    return _write(obj, {**known, key_of(route): mine})


def _refuse_twins(obj: Mapping[str, Any], route: Mapping[str, Any], part: str) -> None:
    sections = part.split(".")[1:] or ("http", "rules")  # those of other protocols have parts of their own
    twins = [
        at for section, at, other in model.routes_of(obj) if section in sections and key_of(other) == key_of(route)
    ]
    if len(twins) > 1:
        shared = f"the name {route['name']}" if route.get("name") else "no name and the same match"
        raise MeshopsError(
            f"{model.kind_of(obj)} {model.label(obj)} has {len(twins)} routes with {shared}, so that it could not be"
            " told later which one was changed. Give each a name of its own first."
        )


def forget(obj: Mapping[str, Any], route: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object without the marks of a route that is no more."""
    return _write(obj, {**read(obj), key_of(route): {}})


def _write(obj: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    kept = {key: value for key, value in known.items() if value}
    if kept == read(obj):
        return obj
    edited = copy.deepcopy(dict(obj))
    metadata = edited["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(ANNOTATION, None)
    if kept:
        annotations[ANNOTATION] = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return edited
