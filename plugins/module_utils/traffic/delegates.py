# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a VirtualService as istiod sees it after its delegates are merged in. Pure.

The rules are those of istio/istio pilot/pkg/model/virtualservice.go (MergeHTTPRoutes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import model

_INHERITED = (
    "rewrite",
    "directResponse",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrorPercent",
    "mirrorPercentage",
    "corsPolicy",
    "mirrors",
    "headers",
)
_STRINGS = ("uri", "scheme", "method", "authority")
_MAPS = ("headers", "withoutHeaders", "queryParams", "sourceLabels")


def roots_of(virtual_services: Iterable[Mapping[str, Any]], part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the VirtualServices that delegate a route to this one."""
    return [
        obj
        for obj in virtual_services
        if any(_reference(route, obj) == model.label(part) for _at, route in model.http_routes(obj))
    ]


def merged(
    root: Mapping[str, Any], virtual_services: Iterable[Mapping[str, Any]], domain: str = "cluster.local"
) -> tuple[dict[str, Any], list[str]]:
    """Return the root with the routes of its delegates in their places, and a sentence for each route left out.

    istiod leaves out a route of a delegate whose match is not within that of the root, and only logs it.
    """
    parts = {model.label(obj): obj for obj in virtual_services}
    routes: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for index, route in model.http_routes(root):
        where = _reference(route, root)
        if where is None:
            routes.append(route)
        elif where not in parts:
            problems.append(
                f"http[{index}] of VirtualService {model.label(root)} delegates to {where}, which is not there."
            )
        for position, part in model.http_routes(parts[where]) if where in parts else ():
            made = _merge(route, _resolved(part, where.split("/", maxsplit=1)[0], domain))
            if made is None:
                problems.append(
                    f"http[{position}] of VirtualService {where} is not in force: its match is not within http[{index}]"
                    f" of {model.label(root)}, which delegates to it."
                )
            else:
                routes.append(made)
    return {**root, "spec": {**model.spec_of(root), "http": routes}}, problems


def _reference(route: Mapping[str, Any], root: Mapping[str, Any]) -> Optional[str]:
    delegate = route.get("delegate")
    if not isinstance(delegate, dict):
        return None
    return f"{delegate.get('namespace') or model.namespace_of(root)}/{delegate.get('name')}"


def _resolved(part: Mapping[str, Any], namespace: str, domain: str) -> dict[str, Any]:
    """Return the route with full host names, as the short ones are those of the delegate's namespace."""

    def full(destination: Any) -> Any:
        if not isinstance(destination, dict) or "host" not in destination:
            return destination
        return {**destination, "host": model.resolve(destination["host"], namespace, domain)}

    result = dict(part)
    for key in ("route", "mirrors"):
        if isinstance(part.get(key), list):
            result[key] = [{**entry, "destination": full(entry.get("destination"))} for entry in part[key]]
    if part.get("mirror"):
        result["mirror"] = full(part["mirror"])
    return result


def _merge(root: Mapping[str, Any], part: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    matches = _merge_matches(root.get("match") or [], part.get("match") or [])
    if matches is None:
        return None
    result = {**{key: root[key] for key in _INHERITED if root.get(key) is not None}, **_present(part)}
    result.update(_names(root, part))
    result.pop("match", None)
    return {**result, "match": matches} if matches else result


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _names(root: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, str]:
    names = [fields["name"] for fields in (root, part) if fields.get("name")]
    return {"name": "-".join(names)} if names else {}


def _merge_matches(roots: list, parts: list) -> Optional[list]:
    if not roots or not parts:
        return [*roots, *parts]
    found = []
    for part in parts:
        fitting = [root for root in roots if not _conflict(root, part)]
        if not fitting:
            return None
        found += [_merge_match(root, part) for root in fitting]
    return found


def _merge_match(root: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    maps = {key: {**(root.get(key) or {}), **(part.get(key) or {})} for key in _MAPS if root.get(key) or part.get(key)}
    single = {key: value for key, value in _present(part).items() if value not in (0, "", [])}
    inherited = {key: value for key, value in _present(root).items() if key != "ignoreUriCase"}
    return {**inherited, **single, **maps, **_names(root, part)}


def _conflict(root: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    if any(_strings_conflict(root.get(key), part.get(key)) for key in _STRINGS):
        return True
    for key in ("headers", "withoutHeaders", "queryParams"):
        wide = root.get(key) or {}
        if any(_strings_conflict(wide.get(name), value) for name, value in (part.get(key) or {}).items()):
            return True
    labels = root.get("sourceLabels") or {}
    gateways, narrow = root.get("gateways") or [], part.get("gateways") or []
    return (
        bool(root.get("ignoreUriCase")) != bool(part.get("ignoreUriCase"))
        or bool(root.get("port") and part.get("port") and root["port"] != part["port"])
        or bool(root.get("sourceNamespace") and part.get("sourceNamespace") != root["sourceNamespace"])
        or any(labels.get(name, value) != value for name, value in (part.get("sourceLabels") or {}).items())
        or bool(gateways and narrow and not set(narrow) <= set(gateways))
    )


def _strings_conflict(root: Any, part: Any) -> bool:
    if not isinstance(root, dict) or not isinstance(part, dict):
        return False
    if root.get("exact"):
        return part.get("exact") != root["exact"]
    if root.get("prefix"):
        narrow = part.get("prefix") or part.get("exact")
        return not (isinstance(narrow, str) and narrow.startswith(root["prefix"]))
    return True
