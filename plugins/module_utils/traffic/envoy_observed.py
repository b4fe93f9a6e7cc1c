# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the routes and clusters that a proxy has, read from its configuration. Pure.

Two notations are read: the arrays of `istioctl proxy-config routes|clusters -o json` (camelCase), and the answer of
Envoy's `config_dump`, whole or with `?resource=dynamic_route_configs` (snake_case).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import conditions, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy import Route, difference
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import (
    MESH,
    Ports,
    Viewer,
    expected_routes,
    expected_rules,
    shares,
)

_FAULT = "envoy.filters.http.fault"
_DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10**4, "MILLION": 10**6}
_MATCH_KINDS = {"safeRegex": "regex"}
_PATHS = (("path", "path"), ("prefix", "prefix"), ("pathSeparatedPrefix", "segments"))


def config_of(virtual_service: Mapping[str, Any]) -> str:
    """Return the name under which istiod's routes carry the VirtualService they are made of."""
    namespace, name = model.namespace_of(virtual_service), model.name_of(virtual_service)
    return f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/{name}"


def observed_routes(document: Any, config: str) -> dict[str, list[Route]]:
    """Return the routes made of one object, in order, for each virtual host (`name:port`) that has any."""
    found: dict[str, list[Route]] = {}
    for host, route in _routes(document):
        istio = _get(_get(_get(route, "metadata"), "filterMetadata"), "istio")
        if _get(istio, "config") == config:
            found.setdefault(str(_get(host, "name", "")), []).append(_read(route))
    return found


def has_host(document: Any, hosts: Collection[str]) -> bool:
    """Tell whether the proxy has a virtual host for one of the full names, whatever its routes are."""
    for table in _resources(document, "routeConfig", "dynamicRouteConfigs"):
        for host in _get(table, "virtualHosts", []):
            # the domain of a port that is known to no other Service is `*`, its name tells the host
            if str(_get(host, "name", "")).rpartition(":")[0] in hosts:
                return True
            if any(domain in hosts for domain in _get(host, "domains", [])):
                return True
    return False


def deviations(
    virtual_service: Mapping[str, Any],
    viewer: Viewer,
    document: Any,
    services: Optional[Mapping[str, Any]] = None,
    domain: str = "cluster.local",
) -> list[str]:
    """Return in words how a proxy's routes differ from those of the VirtualService; [] when it is in force there.

    virtual_service: merged with its delegates; services: the ports of each Service by full name.
    """
    services = services or {}
    seen = observed_routes(document, config_of(virtual_service))
    if not seen:
        concerned = _concerned(virtual_service, viewer, services, domain)
        return [f"no route of VirtualService {model.label(virtual_service)}"] if concerned else []
    found = []
    # at a port of a sidecar, istiod considers the Services with that port only, and of these no other port
    known = {} if MESH in viewer.gateways else services
    for host, routes in sorted(seen.items()):
        port = re.fullmatch(r".*:(\d+)", host)
        ports = Ports(int(port[1]) if port else 0, known, domain)
        differences = difference(expected_routes(virtual_service, viewer, ports), routes)
        found += [f"{host} has {text}" for text in differences]
    return found


def rule_deviations(route: Mapping[str, Any], document: Any, domain: str = "cluster.local") -> list[str]:
    """Return in words how a proxy's routes differ from the rules of an HTTPRoute or GRPCRoute; [] when in force."""
    seen: dict[str, list[Route]] = {}
    for _name, item in _routes(document):
        if _get(item, "name"):
            seen.setdefault(_get(item, "name"), []).append(_read(item))
    found = []
    for name, wanted in expected_rules(route, domain).items():
        if name not in seen:
            found.append(f"no route {name}")
        for one in seen.get(name, []):
            found += [f"{name} has {text}" for text in difference([Route(one.match, wanted)], [_only_shares(one)])]
    return list(dict.fromkeys(found))


def cluster_names(document: Any) -> set[str]:
    """Return the names of all clusters that the proxy has."""
    return {str(_get(cluster, "name")) for cluster in _resources(document, "cluster", "dynamicActiveClusters")}


def _concerned(virtual_service: Mapping[str, Any], viewer: Viewer, services: Mapping[str, Any], domain: str) -> bool:
    """Tell whether the proxy has to have any route, at the ports of the hosts where these are known."""
    namespace = model.namespace_of(virtual_service)
    hosts = [model.resolve(host, namespace, domain) for host in model.spec_of(virtual_service).get("hosts") or []]
    known = {port for host in hosts for port in services.get(host, ())}
    if MESH not in viewer.gateways or not known or not all(host in services for host in hosts):
        return bool(expected_routes(_on_any_port(virtual_service), viewer, Ports(0, services, domain)))
    return any(expected_routes(virtual_service, viewer, Ports(port, services, domain)) for port in known)


def _on_any_port(virtual_service: Mapping[str, Any]) -> dict[str, Any]:
    def free(route: Mapping[str, Any]) -> dict[str, Any]:
        return {**route, "match": [{k: v for k, v in m.items() if k != "port"} for m in route.get("match") or []]}

    spec = model.spec_of(virtual_service)
    return {**virtual_service, "spec": {**spec, "http": [free(r) for _at, r in model.http_routes(virtual_service)]}}


def _only_shares(route: Route) -> Route:
    return Route(route.match, route.shares)


def _routes(document: Any) -> Iterator[tuple[Any, Any]]:
    for table in _resources(document, "routeConfig", "dynamicRouteConfigs"):
        for host in _get(table, "virtualHosts", []):
            for route in _get(host, "routes", []):
                yield host, route


def _resources(document: Any, wrapper: str, group: str) -> Iterator[Any]:
    """Yield the resources of one kind: bare, in their wrapper, or in the section of a whole dump."""
    items = _get(document, "configs", []) if isinstance(document, dict) else document or []
    for item in items:
        members = _get(item, group)
        if members is not None:
            yield from (_get(member, wrapper, {}) for member in members)
        elif _get(item, wrapper) is not None:
            yield _get(item, wrapper)
        elif isinstance(document, list):
            yield item


def _get(value: Any, name: str, default: Any = None) -> Any:
    if not isinstance(value, dict):
        return default
    if name in value:
        return value[name]
    return value.get(re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name), default)


def _read(route: Mapping[str, Any]) -> Route:
    action = _get(route, "route", {})
    retry = _get(action, "retryPolicy")
    return Route(
        match=_match(_get(route, "match", {})),
        shares=_shares(action),
        mirrors=_mirrors(action),
        fault=_fault(_get(_get(route, "typedPerFilterConfig"), _FAULT, {})),
        timeout=seconds(_get(action, "timeout")) or Fraction(0),
        retries=None if retry is None else int(_get(retry, "numRetries", 1)),
        name=_get(route, "name", ""),
    )


def _shares(action: Any) -> dict[str, Fraction]:
    weighted = _get(action, "weightedClusters")
    if weighted is not None:
        clusters = _get(weighted, "clusters", [])
        # a lone cluster among weighted ones is chosen by its weight all the same
        return shares([(_get(cluster, "name"), int(_get(cluster, "weight", 0))) for cluster in clusters])
    cluster = _get(action, "cluster")
    return {cluster: Fraction(1)} if cluster else {}


def _mirrors(action: Any) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for policy in _get(action, "requestMirrorPolicies", []):
        fraction = _get(_get(policy, "runtimeFraction"), "defaultValue")
        share = Fraction(1) if fraction is None else _fraction(fraction)
        name = _get(policy, "cluster", "")
        found[name] = found.get(name, Fraction(0)) + share
    return found


def _fraction(value: Any) -> Fraction:
    return Fraction(int(_get(value, "numerator", 0)), _DENOMINATORS[_get(value, "denominator", "HUNDRED")])


def _fault(fault: Any) -> str:
    found = []
    delay, abort = _get(fault, "delay"), _get(fault, "abort")
    if delay:
        length = seconds(_get(delay, "fixedDelay")) or Fraction(0)
        found.append(conditions.delay(length, _fraction(_get(delay, "percentage"))))
    if abort:
        kind = "http" if _get(abort, "httpStatus") else "grpc"
        status = _get(abort, f"{kind}Status", 0)
        found.append(conditions.abort(kind, int(status), _fraction(_get(abort, "percentage"))))
    return ", ".join(found)


def _match(match: Any) -> str:
    found = [_condition(f"header {_get(item, 'name')}", item) for item in _get(match, "headers", [])]
    found += [_condition(f"query {_get(item, 'name')}", item) for item in _get(match, "queryParameters", [])]
    kind, value = next(
        ((word, _get(match, name)) for name, word in _PATHS if _get(match, name) is not None),
        ("regex", _get(_get(match, "safeRegex"), "regex", "")),
    )
    the_path = conditions.path(kind, value, _get(match, "caseSensitive", True))
    return conditions.fingerprint(the_path, found, len(_get(match, "dynamicMetadata", [])))


def _condition(subject: str, item: Any) -> str:
    kind, value = "present", ""
    text = _get(item, "stringMatch")
    if isinstance(text, dict):
        for name, content in text.items():
            shown = _get(content, "regex", content) if isinstance(content, dict) else content
            kind, value = _MATCH_KINDS.get(_camel(name), name), str(shown)
    return conditions.condition(subject, kind, value, bool(_get(item, "invertMatch")))


def _camel(name: str) -> str:
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)
