# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the Envoy routes that istiod makes of a VirtualService or an HTTPRoute. Pure.

The rules are those of istio/istio pilot/pkg/networking/core/route/route.go (BuildHTTPRoutesForVirtualService).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import conditions, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy import Cluster, Route

MESH = "mesh"
_EVERYTHING = {conditions.path(*every, case) for every in (("prefix", "/"), ("regex", ".*")) for case in (True, False)}


@dataclass(frozen=True)
class Viewer:
    """A proxy: the gateways it serves (`namespace/name`, or `mesh` for a sidecar), its namespace and pod labels."""

    gateways: frozenset[str] = frozenset({MESH})
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ports:
    """What a destination without port means: `services` has the ports of each full name, `listener` the proxy's own."""

    listener: int
    services: Mapping[str, Sequence[int]] = field(default_factory=dict)
    domain: str = "cluster.local"

    def cluster(self, destination: Any, namespace: str) -> str:
        """Return the name of the cluster for one destination of an object in the namespace."""
        fields = destination if isinstance(destination, dict) else {}
        host = model.resolve(fields.get("host"), namespace, self.domain)
        known = self.services.get(host, ())
        stated = (fields.get("port") or {}).get("number")
        port = stated or (known[0] if len(known) == 1 else self.listener)
        return str(Cluster(host, port, fields.get("subset") or ""))


def expected_routes(virtual_service: Mapping[str, Any], viewer: Viewer, ports: Ports) -> list[Route]:
    """Return the http routes that the proxy has to have of this VirtualService (merged with its delegates), in order.

    [] when it is not meant for the proxy. Routes behind one that takes every request are not made by istiod.
    """
    namespace = model.namespace_of(virtual_service)
    serves = {_gateway(name, namespace) for name in model.spec_of(virtual_service).get("gateways") or [MESH]}
    mine = serves & viewer.gateways
    found: list[Route] = []
    for _at, route in model.http_routes(virtual_service) if mine else ():
        for match in route.get("match") or [None]:
            if match and not _concerns(match, viewer, mine, namespace, ports.listener):
                continue
            made = _route(route, match, namespace, ports)
            found.append(made)
            if not match or made.match in _EVERYTHING:
                return found
    return found


def _gateway(name: str, namespace: str) -> str:
    return name if name == MESH or "/" in name else f"{namespace}/{name}"


def _concerns(match: Mapping[str, Any], viewer: Viewer, mine: set[str], namespace: str, listener: int) -> bool:
    if match.get("port") and match["port"] != listener:
        return False
    if match.get("gateways"):
        return any(_gateway(name, namespace) in mine for name in match["gateways"])
    labels = (match.get("sourceLabels") or {}).items()
    return labels <= viewer.labels.items() and match.get("sourceNamespace") in (None, "", viewer.namespace)


def _route(route: Mapping[str, Any], match: Optional[Mapping[str, Any]], namespace: str, ports: Ports) -> Route:
    fault = _fault(route.get("fault") or {})
    named = ".".join(name for name in (route.get("name"), (match or {}).get("name")) if name)
    fingerprint = conditions.of_istio(match)
    if route.get("redirect") or route.get("directResponse"):
        return Route(fingerprint, {}, fault=fault, name=named)
    retries = route.get("retries")
    return Route(
        match=fingerprint,
        shares=shares(
            [(ports.cluster(e.get("destination"), namespace), e.get("weight")) for e in route.get("route") or []]
        ),
        mirrors=_mirrors(route, namespace, ports),
        fault=fault,
        timeout=seconds(route.get("timeout")) or Fraction(0),
        retries=None if retries is None else max(0, retries.get("attempts") or 0),
        name=named,
    )


def shares(clusters: Iterable[tuple[str, Any]], absent: int = 0) -> dict[str, Fraction]:
    """Return the effective share of each cluster: weights are relative, a lone one has all, zero is left out.

    clusters: name and weight, which may be None; absent: what None means when there are several.
    """
    weighted = [(name, absent if weight is None else weight) for name, weight in clusters]
    if len(weighted) == 1 and not absent:
        weighted = [(weighted[0][0], 1)]
    total = sum(weight for _name, weight in weighted)
    found: dict[str, Fraction] = {}
    for name, weight in weighted:
        if weight:
            found[name] = found.get(name, Fraction(0)) + Fraction(weight, total)
    return found


def _mirrors(route: Mapping[str, Any], namespace: str, ports: Ports) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    policies = [(mirror.get("destination"), mirror.get("percentage"), None) for mirror in route.get("mirrors") or []]
    if route.get("mirror"):
        policies.insert(0, (route["mirror"], route.get("mirrorPercentage"), route.get("mirrorPercent")))
    for destination, percentage, whole in policies:
        share = _share(percentage) if percentage is not None else Fraction(100 if whole is None else whole, 100)
        if share:
            name = ports.cluster(destination, namespace)
            found[name] = found.get(name, Fraction(0)) + share
    return found


def _share(percentage: Mapping[str, Any]) -> Fraction:
    # Envoy gets whole millionths
    return Fraction(int(percentage.get("value", 0) * 10000), 10**6)


def _fault(fault: Mapping[str, Any]) -> str:
    found = []
    delay, abort = fault.get("delay"), fault.get("abort")
    if delay and delay.get("fixedDelay"):
        stated = delay.get("percentage")
        share = _share(stated) if stated is not None else Fraction(delay.get("percent") or 0, 100)
        found.append(conditions.delay(seconds(delay["fixedDelay"]) or Fraction(0), share))
    if abort and (abort.get("httpStatus") or abort.get("grpcStatus")):
        share = _share(abort.get("percentage") or {})
        if abort.get("httpStatus"):
            found.append(conditions.abort("http", abort["httpStatus"], share))
        elif abort["grpcStatus"] in conditions.GRPC_CODES:
            found.append(conditions.abort("grpc", conditions.GRPC_CODES.index(abort["grpcStatus"]), share))
    return ", ".join(found)


def expected_rules(route: Mapping[str, Any], domain: str = "cluster.local") -> dict[str, dict[str, Fraction]]:
    """Return the shares of the clusters for each rule of an HTTPRoute or GRPCRoute, by the name of its Envoy routes.

    istiod merges the rules of several objects and orders them by itself, but keeps a name for each rule.
    Rules with a backend that is no Service are left out.
    """
    namespace, found = model.namespace_of(route), {}
    for index, rule in enumerate(model.spec_of(route).get("rules") or []):
        backends = rule.get("backendRefs") or []
        if backends and all(backend.get("kind", "Service") == "Service" for backend in backends):
            name = rule.get("name") or f"{namespace}.{model.name_of(route)}.{index}"
            found[name] = shares([(_backend(b, namespace, domain), b.get("weight")) for b in backends], absent=1)
    return found


def _backend(backend: Mapping[str, Any], namespace: str, domain: str) -> str:
    host = f"{backend['name']}.{backend.get('namespace') or namespace}.svc.{domain}"
    return str(Cluster(host, backend.get("port") or 0))
