# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: read from the proxies themselves whether a VirtualService is in force.

Neither the object's status nor istiod's view of its proxies shows that, only the routes that Envoy has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, delegates, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import MESH, Viewer
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_observed import (
    config_of,
    deviations,
    has_host,
    observed_routes,
)

READ_ROUTES = ["pilot-agent", "request", "GET", "config_dump?resource=dynamic_route_configs"]
THREADS = 4
EXEC_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between two rounds
NAMED = 5  # lagging proxies that an error names


@dataclass
class _Round:
    """One look at the proxies, by `namespace/name` of the pod; `wanted` is what they are to have, as text."""

    wanted: str
    services: Mapping[str, list[int]]
    current: set[str] = field(default_factory=set)
    lagging: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def prove(kube: Any, written: Mapping[str, Any], timeout: float, domain: str, warnings: list[str]) -> dict[str, Any]:
    """Wait until all proxies that are to have the routes of the written VirtualService have them.

    timeout: seconds; domain: of the cluster. Returns proxies (how many have them), seconds, lagging (none).
    Missing rights end in `warnings`; MeshopsError names the proxies that lag at the deadline.
    """
    started = time.monotonic()
    what = f"VirtualService {model.label(written)} is written, but"
    try:
        last = _Prover(kube, written, domain, started + timeout).wait(warnings)
    except Forbidden as error:
        warnings.append(f"{what} not proved to be in force: {error}")
        last = None
    except KubeError as error:
        raise MeshopsError(f"{what} not proved to be in force: {error}") from error
    passed = round(time.monotonic() - started, 2)
    if last is None:
        return {"proxies": 0, "seconds": passed, "lagging": []}
    if last.lagging:
        raise MeshopsError(f"{what} after {passed:g} s not yet in force in {_in_words(last)}")
    if last.refused:
        error = next(iter(last.refused.values()))
        warnings.append(f"{what} not proved to be in force in {len(last.refused)} of the proxies: {error}")
    elif not last.current:
        warnings.append(f"{what} not proved to be in force: no proxy that is running has a route for its hosts.")
    return {"proxies": len(last.current), "seconds": passed, "lagging": []}


def _in_words(last: _Round) -> str:
    names = sorted(last.lagging)
    shown = ", ".join(f"{name} ({last.lagging[name]})" for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"{len(names)} of {len(names) + len(last.current)} proxies: {shown}{more};"
        " see whether istiod runs and these pods reach it, or give more time by wait_timeout."
    )


class _Prover:
    def __init__(self, kube: Any, written: Mapping[str, Any], domain: str, deadline: float) -> None:
        self.kube, self.written, self.domain, self.deadline = kube, written, domain, deadline
        self.ports: dict[tuple[str, str], list[int]] = {}
        self.narrow = False

    def wait(self, warnings: list[str]) -> _Round:
        """Return the first round without a lagging proxy, or the last one before the deadline."""
        pause = FIRST_PAUSE
        before: Optional[_Round] = None
        while True:
            before = self._look(before, warnings)
            if not before.lagging or time.monotonic() + pause > self.deadline:
                return before
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)

    def _look(self, before: Optional[_Round], warnings: list[str]) -> _Round:
        # somebody may have written meanwhile: what the proxies are to have is what the API has
        routed = self._routed()
        found = _Round(json.dumps([(model.label(obj), obj["spec"]) for obj in routed]), self._services(routed))
        selectors = self._selectors(routed)
        asked = []
        for pod in self._pods(routed, warnings):
            label = model.label(pod)
            views = [(obj, view) for obj in routed if (view := consumers.viewer_of(obj, pod, selectors))]
            if not views:
                continue
            if before and before.wanted == found.wanted and label in before.current:
                found.current.add(label)
            else:
                asked.append((pod, views))
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda item: self._ask(found, *item), asked))
        return found

    def _routed(self) -> list[Mapping[str, Any]]:
        """Return the written object merged with its delegates, or those that delegate to it."""
        namespace, name = model.namespace_of(self.written), model.name_of(self.written)
        try:
            objects = self.kube.list(model.API_VERSION, "VirtualService")
        except Forbidden:
            objects = self.kube.list(model.API_VERSION, "VirtualService", namespace)
        written = next((obj for obj in objects if model.label(obj) == f"{namespace}/{name}"), self.written)
        roots = [written] if model.spec_of(written).get("hosts") else delegates.roots_of(objects, written)
        return [delegates.merged(root, objects, self.domain)[0] for root in roots]

    def _services(self, routed: list[Mapping[str, Any]]) -> dict[str, list[int]]:
        for namespace, name in consumers.named_services(routed, self.domain) - self.ports.keys():
            try:
                service = self.kube.get("v1", "Service", name, namespace)
            except Forbidden:
                continue
            if service:
                listed = model.list_of(model.spec_of(service).get("ports"))
                self.ports[namespace, name] = [port["port"] for port in listed]
        return {f"{name}.{namespace}.svc.{self.domain}": ports for (namespace, name), ports in self.ports.items()}

    def _selectors(self, routed: list[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
        found = {}
        for label in {label for obj in routed for label in consumers.gateways_of(obj)} - {MESH}:
            namespace, name = label.split("/", 1)
            gateway = self.kube.get(model.API_VERSION, "Gateway", name, namespace)
            if gateway:
                found[label] = model.dict_of(model.spec_of(gateway).get("selector"))
        return found

    def _pods(self, routed: list[Mapping[str, Any]], warnings: list[str]) -> list[dict]:
        if not self.narrow:
            try:
                return self.kube.list("v1", "Pod")
            except Forbidden as error:
                self.narrow = True
                namespaces = ", ".join(self._namespaces(routed))
                warnings.append(f"Only proxies in the namespaces {namespaces} are asked for their routes. {error}")
        return [pod for namespace in self._namespaces(routed) for pod in self.kube.list("v1", "Pod", namespace)]

    def _namespaces(self, routed: list[Mapping[str, Any]]) -> list[str]:
        gateways = {label.split("/")[0] for obj in routed for label in consumers.gateways_of(obj) if label != MESH}
        return sorted({model.namespace_of(self.written), *map(model.namespace_of, routed), *gateways})

    def _ask(self, found: _Round, pod: Mapping[str, Any], views: list[tuple[Mapping[str, Any], Viewer]]) -> None:
        namespace, name, label = model.namespace_of(pod), model.name_of(pod), model.label(pod)
        left = self.deadline - time.monotonic()
        try:
            text = self.kube.exec(
                namespace, name, consumers.CONTAINER, READ_ROUTES, timeout=max(1.0, min(EXEC_SECONDS, left))
            )
            document = json.loads(text)
        except NotFound:
            return  # it has ended since
        except Forbidden as error:
            found.refused[label] = str(error)
        except (KubeError, ValueError) as error:
            found.lagging[label] = str(error).rstrip(".") if isinstance(error, KubeError) else "no readable answer"
        else:
            self._compare(found, label, document, views)

    def _compare(self, found: _Round, label: str, document: Any, views: list[tuple[Mapping[str, Any], Viewer]]) -> None:
        for obj, viewer in views:
            hosts = consumers.hosts_of(obj, self.domain)
            if viewer.gateways == {MESH} and not (
                has_host(document, hosts) or observed_routes(document, config_of(obj))
            ):
                continue  # a Sidecar object keeps the hosts from it
            differences = deviations(obj, viewer, document, found.services, self.domain)
            if differences:
                found.lagging.setdefault(label, differences[0])
            else:
                found.current.add(label)
        if label in found.lagging:
            found.current.discard(label)
