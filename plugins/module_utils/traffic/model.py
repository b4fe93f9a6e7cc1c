# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what VirtualServices and DestinationRules say about one Service. Pure.

Objects are plain dicts as the API has them, however odd: what cannot be understood is passed over here and refused
where it would be edited.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

API_VERSION = "networking.istio.io/v1"
MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = "meshops.istio"
ROOT_NAMESPACE = "istio-system"
_POSITION = re.compile(r"http\[(\d+)\]")


@dataclass(frozen=True)
class Service:
    """A Kubernetes Service; `domain` is the DNS domain of its cluster."""

    name: str
    namespace: str
    domain: str = "cluster.local"

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{self.namespace}.svc.{self.domain}"

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}"


@dataclass(frozen=True)
class Candidate:
    """One http route of one VirtualService that sends to the Service."""

    virtual_service: Mapping[str, Any]
    index: int
    route: Mapping[str, Any]

    @property
    def position(self) -> str:
        return f"http[{self.index}]"

    def __str__(self) -> str:
        named = f" ({self.route['name']})" if self.route.get("name") else ""
        return f"{self.position}{named} of VirtualService {label(self.virtual_service)}"


@dataclass(frozen=True)
class Target:
    """The routes to edit; `virtual_service` is None when one called `name` is to be created."""

    virtual_service: Optional[Mapping[str, Any]]
    indexes: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Request:
    """What the user asks for: all weights of a Service, and which object and route when there are several."""

    service: Service
    weights: Mapping[str, int]
    virtual_service: Optional[str] = None
    route: Optional[str] = None


def service_of(host: str, namespace: str | None, domain: str = "cluster.local") -> Service:
    """Return the Service a user means by `name`, `name.namespace`, `name.namespace.svc` or the full name."""
    parts = host.split(".")
    tail = ".".join(parts[2:])
    if not all(parts) or tail not in ("", "svc", f"svc.{domain}") or "*" in host:
        raise MeshopsError(
            f"host {host!r} is not the name of a Service (name, name.namespace or name.namespace.svc.{domain})."
            " Correct host, or set cluster_domain."
        )
    if len(parts) == 1:
        if not namespace:
            raise MeshopsError(f"The namespace of Service {host} is not known. Set namespace.")
        return Service(host, namespace, domain)
    if namespace and namespace != parts[1]:
        raise MeshopsError(
            f"host {host} is in namespace {parts[1]}, but namespace is {namespace}."
            " Correct one of them, or leave namespace out."
        )
    return Service(parts[0], parts[1], domain)


def resolve(host: Any, namespace: str, domain: str = "cluster.local") -> str:
    """Return the full name of a host in an object of `namespace`, as istiod resolves it ("" when it is no name).

    Only a name without a dot is short: `reviews.bookinfo` in an object is not a Service for Istio
    (istio/istio pilot/pkg/model/config.go ResolveShortnameToFQDN).
    """
    if not isinstance(host, str) or not host:
        return ""
    if host == "*" or "." in host or _is_address(host):
        return host
    return f"{host}.{namespace}.svc.{domain}"


def covers(host: str, fqdn: str) -> bool:
    """Tell whether a resolved host, maybe with a wildcard in front, matches the full name."""
    return fqdn.endswith(host[1:]) if host.startswith("*") else host == fqdn


def label(obj: Mapping[str, Any]) -> str:
    """Return `namespace/name` of an object."""
    return f"{namespace_of(obj)}/{name_of(obj)}"


def namespace_of(obj: Mapping[str, Any]) -> str:
    return str(_dict(obj.get("metadata")).get("namespace") or "default")


def name_of(obj: Mapping[str, Any]) -> str:
    return str(_dict(obj.get("metadata")).get("name") or "")


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Tell whether this collection created the object."""
    return _dict(_dict(obj.get("metadata")).get("labels")).get(MANAGED_BY) == OWNER


def spec_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    return _dict(obj.get("spec"))


def http_routes(virtual_service: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the position and the content of each http route that is an object at all."""
    for index, route in enumerate(_list(spec_of(virtual_service).get("http"))):
        if isinstance(route, dict):
            yield index, route


def destination_of(entry: Any) -> Mapping[str, Any]:
    """Return the destination of one entry of `route`, {} when it has none."""
    return _dict(_dict(entry).get("destination"))


def targets_service(entry: Any, namespace: str, service: Service) -> bool:
    """Tell whether one entry of `route` sends to the Service, any subset and port of it."""
    return resolve(destination_of(entry).get("host"), namespace, service.domain) == service.fqdn


def candidates(virtual_services: list, service: Service) -> list[Candidate]:
    """Return all http routes to the Service, in the order of namespace, name and position."""
    return [
        Candidate(obj, index, route)
        for obj in sorted(filter(_is_object, virtual_services), key=label)
        for index, route in http_routes(obj)
        if any(targets_service(entry, namespace_of(obj), service) for entry in _list(route.get("route")))
    ]


def is_default(route: Mapping[str, Any]) -> bool:
    """Tell whether a route takes every request: no match, or one match entry that has no condition on the request."""
    matches = _list(route.get("match"))
    return not matches or any(isinstance(match, dict) and _matches_all(match) for match in matches)


def takers(virtual_services: list, service: Service) -> list[Mapping[str, Any]]:
    """Return the VirtualServices that already take, for callers inside the mesh, the name of the Service."""
    found = []
    for obj in sorted(filter(_is_object, virtual_services), key=label):
        gateways = _list(spec_of(obj).get("gateways"))
        hosts = (resolve(host, namespace_of(obj), service.domain) for host in _list(spec_of(obj).get("hosts")))
        if (not gateways or "mesh" in gateways) and any(covers(host, service.fqdn) for host in hosts if host):
            found.append(obj)
    return found


def choose(virtual_services: list, request: Request) -> Target:
    """Return the one default http route to the Service, or that one has to be created; MeshopsError when unclear.

    `virtual_service` (`name` or `namespace/name`) and `route` (a name, `http[N]`, or `all` for each default route
    of one VirtualService) narrow the choice.
    """
    service = request.service
    every = candidates(virtual_services, service)
    if request.virtual_service:
        wanted = _qualified(request.virtual_service, service.namespace)
        if not any(label(obj) == wanted for obj in filter(_is_object, virtual_services)):
            return _create(virtual_services, request, wanted)
        fitting = [candidate for candidate in every if label(candidate.virtual_service) == wanted]
        if not fitting:
            raise MeshopsError(
                f"VirtualService {wanted} has no http route with a destination {service}. "
                + _offer(every, "Correct virtual_service, or add the route to it.")
            )
    elif every:
        fitting = every
    else:
        return _create(virtual_services, request, f"{service.namespace}/{service.name}")
    return _narrow(fitting, request)


def _narrow(fitting: list[Candidate], request: Request) -> Target:
    service, route = request.service, request.route
    if route and route != "all":
        position = _POSITION.fullmatch(route)
        chosen = [
            candidate
            for candidate in fitting
            if (candidate.index == int(position[1]) if position else candidate.route.get("name") == route)
        ]
        problem = f"No http route {route} sends to {service}." if not chosen else ""
    else:
        chosen = [candidate for candidate in fitting if is_default(candidate.route)]
        problem = f"Every route to {service} has match conditions, none is a default route." if not chosen else ""
    if problem:
        raise MeshopsError(f"{problem} {_offer(fitting, '')}")
    objects = {label(candidate.virtual_service) for candidate in chosen}
    if len(objects) > 1 or (len(chosen) > 1 and route != "all"):
        raise MeshopsError(f"Several routes to {service} fit. {_offer(chosen, '')}")
    first = chosen[0].virtual_service
    return Target(first, tuple(candidate.index for candidate in chosen), name_of(first))


def _create(virtual_services: list, request: Request, wanted: str) -> Target:
    service = request.service
    if request.route and request.route != "all":
        raise MeshopsError(f"There is no http route {request.route} to {service}. Leave route out to create one.")
    namespace, name = wanted.split("/", 1)
    if namespace != service.namespace:
        raise MeshopsError(
            f"There is no VirtualService {wanted}."
            f" Correct virtual_service; a new one is only created in {service.namespace}."
        )
    blocking = takers(virtual_services, service)
    if blocking:
        offered = candidates(virtual_services, service)
        names = ", ".join(label(obj) for obj in blocking)
        raise MeshopsError(
            f"VirtualService {names} already routes the host {service}, so that a second one would compete with it. "
            + _offer(offered, f"Give it an http route with a destination {service.name}, or remove the host from it.")
        )
    if any(label(obj) == wanted for obj in filter(_is_object, virtual_services)):
        raise MeshopsError(
            f"VirtualService {wanted} exists and does not route {service}."
            " Set virtual_service to the name of a new one."
        )
    return Target(None, (), name)


def _offer(offered: list[Candidate], otherwise: str) -> str:
    if not offered:
        return otherwise
    listed = "; ".join(str(candidate) for candidate in offered)
    return f"Choose by virtual_service and route among: {listed}."


def governing_rules(rules: list, service: Service, route_namespace: str) -> list[Mapping[str, Any]]:
    """Return the DestinationRules that Istio uses for the Service: those of one namespace with the closest host.

    The namespaces are tried as istiod does: the client's (taken to be the route's), the Service's, the root
    (istio/istio pilot/pkg/model/push_context.go destinationRule). Rules with the same host are merged by Istio.
    """
    for namespace in dict.fromkeys((route_namespace, service.namespace, ROOT_NAMESPACE)):
        by_host: dict[str, list[Mapping[str, Any]]] = {}
        for obj in sorted(filter(_is_object, rules), key=label):
            host = resolve(spec_of(obj).get("host"), namespace_of(obj), service.domain)
            if namespace_of(obj) == namespace and host and covers(host, service.fqdn):
                by_host.setdefault(host, []).append(obj)
        if by_host:
            return by_host[max(by_host, key=lambda host: (not host.startswith("*"), len(host)))]
    return []


def subsets_of(rules: list[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """Return the labels of each subset; the first of a name counts."""
    found: dict[str, Mapping[str, str]] = {}
    for rule in rules:
        for subset in _list(spec_of(rule).get("subsets")):
            if isinstance(subset, dict) and isinstance(subset.get("name"), str):
                found.setdefault(subset["name"], _dict(subset.get("labels")))
    return found


def is_exact(rule: Mapping[str, Any], service: Service) -> bool:
    """Tell whether the DestinationRule names the Service itself, not by a wildcard."""
    return resolve(spec_of(rule).get("host"), namespace_of(rule), service.domain) == service.fqdn


def _matches_all(match: Mapping[str, Any]) -> bool:
    conditions = {key: value for key, value in match.items() if value not in (None, {}, [], "", False)}
    uri = conditions.pop("uri", None)
    whole = uri is None or uri in ({"prefix": "/"}, {"regex": ".*"})
    return whole and set(conditions) <= {"name", "gateways", "statPrefix", "ignoreUriCase"}


def _qualified(name: str, namespace: str) -> str:
    return name if "/" in name else f"{namespace}/{name}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_object(obj: Any) -> bool:
    return isinstance(obj, dict)


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []
