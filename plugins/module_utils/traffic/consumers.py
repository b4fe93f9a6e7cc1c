# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which pods have a proxy that is to have the routes of a VirtualService. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import MESH, Viewer

CONTAINER = "istio-proxy"


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether the pod is ready and not about to end."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def proxy_kind(pod: Mapping[str, Any]) -> str:
    """Return what the pod's istio-proxy was started as: sidecar, router or another word, "" when there is none."""
    spec = model.spec_of(pod)
    # a native sidecar is an init container
    for container in (*model.list_of(spec.get("containers")), *model.list_of(spec.get("initContainers"))):
        if container.get("name") == CONTAINER:
            words = [word for word in model.list_of(container.get("args")) if word != "proxy"]
            return words[0] if words and not words[0].startswith("-") else "sidecar"
    return ""


def gateways_of(virtual_service: Mapping[str, Any]) -> list[str]:
    """Return the gateways of the object as `namespace/name`, or `mesh` for all sidecars."""
    namespace = model.namespace_of(virtual_service)
    if model.form_of(virtual_service) is model.GATEWAY:
        return [
            MESH if parent.get("kind") == "Service" else f"{parent.get('namespace') or namespace}/{parent.get('name')}"
            for parent in _parents(virtual_service)
        ]
    names = model.list_of(model.spec_of(virtual_service).get("gateways")) or [MESH]
    return [name if name == MESH or "/" in name else f"{namespace}/{name}" for name in names]


def _parents(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [model.dict_of(parent) for parent in model.list_of(model.spec_of(route).get("parentRefs"))]


def parent_selectors(route: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """Return the labels of the pods of each Gateway of the Gateway API that an HTTPRoute or GRPCRoute is bound to."""
    return {
        label: {"gateway.networking.k8s.io/gateway-name": label.split("/", 1)[1]}
        for label in gateways_of(route)
        if label != MESH
    }


def parent_services(route: Mapping[str, Any], domain: str) -> set[str]:
    """Return the full names of the Services whose requests inside the mesh an HTTPRoute or GRPCRoute takes."""
    namespace = model.namespace_of(route)
    return {
        model.Service(str(parent.get("name")), parent.get("namespace") or namespace, domain).fqdn
        for parent in _parents(route)
        if parent.get("kind") == "Service"
    }


def is_exported_to(virtual_service: Mapping[str, Any], namespace: str) -> bool:
    """Tell whether the proxies of the namespace may see the object; without exportTo all may."""
    if model.form_of(virtual_service) is model.GATEWAY:
        # a route beside another namespace's Service is for the callers of its own namespace
        own = model.namespace_of(virtual_service)
        return namespace == own or any((parent.get("namespace") or own) == own for parent in _parents(virtual_service))
    scopes = model.list_of(model.spec_of(virtual_service).get("exportTo")) or ["*"]
    return any(
        scope in ("*", namespace) or (scope == "." and namespace == model.namespace_of(virtual_service))
        for scope in scopes
    )


def viewer_of(
    virtual_service: Mapping[str, Any], pod: Mapping[str, Any], selectors: Mapping[str, Mapping[str, str]]
) -> Optional[Viewer]:
    """Return the proxy of a ready pod that may see the object; None for any other pod.

    selectors: the labels that each Gateway (`namespace/name`) selects its pods by.
    """
    kind, namespace = proxy_kind(pod), model.namespace_of(pod)
    if not kind or not is_ready(pod) or not is_exported_to(virtual_service, namespace):
        return None
    labels = model.dict_of(pod["metadata"].get("labels"))
    if kind == "sidecar":
        served = {MESH}
    elif kind == "router":
        served = {name for name, selector in selectors.items() if selector.items() <= labels.items()}
    else:
        return None
    mine = served.intersection(gateways_of(virtual_service))
    return Viewer(frozenset(mine), namespace, labels) if mine else None


def hosts_of(virtual_service: Mapping[str, Any], domain: str) -> set[str]:
    """Return the full names of the hosts whose requests the object routes."""
    namespace = model.namespace_of(virtual_service)
    return {
        model.resolve(host, namespace, domain) for host in model.list_of(model.spec_of(virtual_service).get("hosts"))
    }


def named_services(virtual_services: Iterable[Mapping[str, Any]], domain: str) -> set[tuple[str, str]]:
    """Return namespace and name of each Service that the objects route the requests of, or send requests to."""
    found = set()
    for obj in virtual_services:
        for host in (*hosts_of(obj, domain), *_destinations(obj, domain)):
            name, dot, namespace = host.removesuffix(f".svc.{domain}").partition(".")
            if dot and host.endswith(f".svc.{domain}") and "." not in namespace:
                found.add((namespace, name))
    return found


def _destinations(obj: Mapping[str, Any], domain: str) -> Iterator[str]:
    for _at, route in model.http_routes(obj):
        copies = [mirror.get("destination") for mirror in model.list_of(route.get("mirrors"))]
        for place in (*map(model.destination_of, model.list_of(route.get("route"))), *copies, route.get("mirror")):
            yield model.resolve(model.dict_of(place).get("host"), model.namespace_of(obj), domain)
