# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is asked of the proxies: routes in force, subsets there, subsets no longer used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, delegates, envoy_clusters, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import MESH, Viewer
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_observed import (
    config_of,
    deviations,
    has_host,
    observed_routes,
    rule_deviations,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Subset

_READ = ("pilot-agent", "request", "GET")
READ_ROUTES = (*_READ, "config_dump?resource=dynamic_route_configs")
READ_CLUSTERS = (*_READ, "clusters?format=json")
READ_ALL = (*_READ, "config_dump")
Routed = list[Mapping[str, Any]]
Views = list[tuple[Mapping[str, Any], Viewer]]


class _Consumers:
    """The proxies that see an object with routes, and what of it they are to have."""

    def __init__(self, kube: Any, obj: Mapping[str, Any], domain: str) -> None:
        self.kube, self.obj, self.domain = kube, obj, domain
        self.routed: Routed = []
        self.selectors: dict[str, Mapping[str, str]] = {}

    def look(self) -> str:
        # somebody may have written meanwhile: what the proxies are to have is what the API has
        self.routed = self._routed()
        self.selectors = self._selectors()
        return json.dumps([(model.label(obj), obj["spec"]) for obj in self.routed])

    def view(self, pod: Mapping[str, Any]) -> Optional[Views]:
        views = [(obj, view) for obj in self.routed if (view := consumers.viewer_of(obj, pod, self.selectors))]
        return views or None

    def namespaces(self) -> list[str]:
        gateways = {label.split("/")[0] for obj in self.routed for label in consumers.gateways_of(obj) if label != MESH}
        return sorted({model.namespace_of(self.obj), *map(model.namespace_of, self.routed), *gateways})

    def _routed(self) -> Routed:
        """Return the object merged with its delegates, or those that delegate to it."""
        if model.form_of(self.obj) is model.GATEWAY:
            live = self.kube.get(
                self.obj["apiVersion"], self.obj["kind"], model.name_of(self.obj), model.namespace_of(self.obj)
            )
            return [live or self.obj]
        try:
            objects = self.kube.list(model.API_VERSION, "VirtualService")
        except Forbidden:
            objects = self.kube.list(model.API_VERSION, "VirtualService", model.namespace_of(self.obj))
        meant = next((obj for obj in objects if model.label(obj) == model.label(self.obj)), self.obj)
        roots = [meant] if model.spec_of(meant).get("hosts") else delegates.roots_of(objects, meant)
        return [delegates.merged(root, objects, self.domain)[0] for root in roots]

    def _selectors(self) -> dict[str, Mapping[str, str]]:
        found = {}
        for obj in self.routed:
            if model.form_of(obj) is model.GATEWAY:
                found.update(consumers.parent_selectors(obj))
                continue
            for label in set(consumers.gateways_of(obj)) - {MESH}:
                namespace, name = label.split("/", 1)
                gateway = self.kube.get(model.API_VERSION, "Gateway", name, namespace)
                if gateway:
                    found[label] = model.dict_of(model.spec_of(gateway).get("selector"))
        return found


class RoutesInForce(_Consumers):
    """Does the proxy have the routes of the object, in their present form?"""

    argv = READ_ROUTES

    def __init__(self, kube: Any, obj: Mapping[str, Any], domain: str) -> None:
        super().__init__(kube, obj, domain)
        self.ports: dict[tuple[str, str], list[int]] = {}
        self.services: dict[str, list[int]] = {}

    def look(self) -> str:
        wanted = super().look()
        for namespace, name in consumers.named_services(self.routed, self.domain) - self.ports.keys():
            try:
                service = self.kube.get("v1", "Service", name, namespace)
            except Forbidden:
                continue
            if service:
                listed = model.list_of(model.spec_of(service).get("ports"))
                self.ports[namespace, name] = [port["port"] for port in listed]
        self.services = {f"{name}.{space}.svc.{self.domain}": ports for (space, name), ports in self.ports.items()}
        return wanted

    def judge(self, document: Any, view: Views) -> Optional[str]:
        counted = False
        for obj, viewer in view:
            if model.form_of(obj) is model.GATEWAY:
                if viewer.gateways == {MESH} and not has_host(document, consumers.parent_services(obj, self.domain)):
                    continue
                differences = rule_deviations(obj, document, self.domain)
            elif viewer.gateways == {MESH} and not _has_any(obj, document, self.domain):
                continue  # a Sidecar object keeps the hosts from it
            else:
                differences = deviations(obj, viewer, document, self.services, self.domain)
            if differences:
                return differences[0]
            counted = True
        return "" if counted else None


def _has_any(obj: Mapping[str, Any], document: Any, domain: str) -> bool:
    return has_host(document, consumers.hosts_of(obj, domain)) or bool(observed_routes(document, config_of(obj)))


class SubsetsThere(_Consumers):
    """Does the proxy have the clusters of the subsets, each with a healthy endpoint?"""

    argv = READ_CLUSTERS

    def __init__(self, kube: Any, obj: Mapping[str, Any], live: Iterable[Subset], domain: str) -> None:
        super().__init__(kube, obj, domain)
        self.live = tuple(live)

    def _routed(self) -> Routed:
        # the object itself is not written yet
        return super()._routed() if not model.spec_of(self.obj).get("hosts") else [self.obj]

    def judge(self, document: Any, view: Views) -> Optional[str]:
        return envoy_clusters.missing(document, self.live)


class SubsetsUnused:
    """Does no route of the proxy name the subsets any more?"""

    argv = READ_ALL

    def __init__(self, namespace: str, unnamed: Iterable[Subset]) -> None:
        self.unnamed, self._namespaces = tuple(unnamed), [namespace]

    def look(self) -> str:
        return ""

    def view(self, pod: Mapping[str, Any]) -> Optional[str]:
        running = model.dict_of(pod.get("status")).get("phase") not in ("Succeeded", "Failed", "Pending")
        kind = consumers.proxy_kind(pod) if running else ""
        return kind if kind in ("sidecar", "router") else None

    def judge(self, document: Any, view: str) -> Optional[str]:
        named = envoy_clusters.named_by_routes(document, self.unnamed)
        return f"its routes still name {named}" if named else ""

    def namespaces(self) -> list[str]:
        return self._namespaces


class RoutesGone(SubsetsUnused):
    """Does the proxy have no route of a deleted VirtualService any more?"""

    argv = READ_ROUTES

    def __init__(self, obj: Mapping[str, Any]) -> None:
        super().__init__(model.namespace_of(obj), ())
        self.obj = obj

    def judge(self, document: Any, view: str) -> Optional[str]:
        gone = not observed_routes(document, config_of(self.obj))
        return "" if gone else f"it still has routes of VirtualService {model.label(self.obj)}"
