# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which route of which object is meant by a host. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model, splits
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service

_POSITION = re.compile(r"(http|tcp|tls|rules)\[(\d+)\]")
_KEY = re.compile(r"(?P<host>[^:]+)(:(?P<port>\d{1,5}))?", re.ASCII)


@dataclass(frozen=True)
class Candidate:
    """One route of one object that sends to the Service."""

    obj: Mapping[str, Any]
    section: str
    index: int
    route: Mapping[str, Any]

    @property
    def position(self) -> str:
        return model.position_of(self.obj, self.section, self.index)

    def __str__(self) -> str:
        named = f" ({self.route['name']})" if self.route.get("name") else ""
        return f"{self.position}{named} of {model.kind_of(self.obj)} {model.label(self.obj)}"


@dataclass(frozen=True)
class Target:
    """The routes to edit; `obj` is None when one called `name` is to be created."""

    obj: Optional[Mapping[str, Any]]
    indexes: tuple[int, ...]
    name: str
    section: str = "http"


@dataclass(frozen=True)
class Request:
    """What the user asks for: all weights of a Service, and which object and route when there are several.

    weights: by subset, or by other Services (`name`, `name.namespace`, each with `:port` or without) when `services`
    is set; they are always Services in an object of the Gateway API. api: istio or gateway to consider only these.
    """

    service: Service
    weights: Mapping[str, int]
    virtual_service: Optional[str] = None
    route: Optional[str] = None
    services: bool = False
    api: Optional[str] = None


def destinations(request: Request, services: bool) -> dict[Destination, int]:
    """Return the weights by destination; MeshopsError for a key that is no Service's name."""
    if not services:
        return {Destination(request.service.fqdn, subset): weight for subset, weight in request.weights.items()}
    found: dict[Destination, int] = {}
    for key, weight in request.weights.items():
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise MeshopsError(f"weights has {key!r}, which is no Service (name or name:port). Correct it.")
        host = parts["host"]
        namespace = None if "." in host else request.service.namespace
        where = Destination(
            model.service_of(host, namespace, request.service.domain).fqdn,
            port=int(parts["port"]) if parts["port"] else None,
        )
        if where in found:
            raise MeshopsError(f"weights names the Service {key} twice. Give it one weight.")
        found[where] = weight
    return found


def candidates(objects: Sequence[Any], request: Request) -> list[Candidate]:
    """Return all routes to the Service, in the order of namespace, name and position.

    A split between other Services is also found where the host is that of the Service, if it is one of ours or one
    of them is used.
    """
    service = request.service
    return [
        Candidate(obj, section, index, route)
        for obj in sorted(_considered(objects, request), key=model.label)
        for section, index, route in model.routes_of(obj)
        if any(_sends(obj, entry, request) for entry in model.entries_of(obj, route))
        or (_fronts(obj, service) and (splits.is_split(obj, section, route) or _uses_others(obj, route, request)))
    ]


def named(objects: Sequence[Any], request: Request) -> list[Mapping[str, Any]]:
    """Return the objects that the request names by virtual_service."""
    wanted = _qualified(request.virtual_service or "", request.service.namespace)
    return [obj for obj in _considered(objects, request) if model.label(obj) == wanted]


def concerned(objects: Sequence[Any], request: Request) -> list[Mapping[str, Any]]:
    """Return the objects with a route to the Service, only the one that the request names if it names one."""
    found = {(model.kind_of(c.obj), model.label(c.obj)): c.obj for c in candidates(objects, request)}
    return [obj for obj in found.values() if not request.virtual_service or obj in named(objects, request)]


def _considered(objects: Sequence[Any], request: Request) -> list[Mapping[str, Any]]:
    wanted = {"istio": model.ISTIO, "gateway": model.GATEWAY}.get(request.api or "")
    return [obj for obj in objects if model.is_object(obj) and wanted in (None, model.form_of(obj))]


def _sends(obj: Mapping[str, Any], entry: Any, request: Request) -> bool:
    where = model.destination(obj, entry, request.service.domain)
    return where is not None and where.host == request.service.fqdn


def _uses_others(obj: Mapping[str, Any], route: Mapping[str, Any], request: Request) -> bool:
    if not request.services and model.form_of(obj) is model.ISTIO:
        return False
    hosts = {destination.host for destination in destinations(request, True)}
    found = (model.destination(obj, entry, request.service.domain) for entry in model.entries_of(obj, route))
    return any(where is not None and where.host in hosts for where in found)


def is_default(section: str, route: Mapping[str, Any]) -> bool:
    """Tell whether a route takes every request: no match, or one match entry that has no condition on the request."""
    matches = model.list_of(route.get("matches" if section == "rules" else "match"))
    return not matches or any(isinstance(match, dict) and _matches_all(section, match) for match in matches)


def _matches_all(section: str, match: Mapping[str, Any]) -> bool:
    conditions = {key: value for key, value in match.items() if value not in (None, {}, [], "", False)}
    if section in ("tcp", "tls"):
        # a connection is told from others by its port or name
        return set(conditions) <= {"gateways", "port", "sniHosts"}
    if section == "rules":
        path = conditions.pop("path", None)
        return not conditions and path in (None, {"type": "PathPrefix", "value": "/"})
    uri = conditions.pop("uri", None)
    whole = uri is None or uri in ({"prefix": "/"}, {"regex": ".*"})
    return whole and set(conditions) <= {"name", "gateways", "statPrefix", "ignoreUriCase"}


def takers(objects: Sequence[Any], service: Service) -> list[Mapping[str, Any]]:
    """Return the objects that already take, for callers inside the mesh, the name of the Service."""
    return [obj for obj in sorted(filter(model.is_object, objects), key=model.label) if _fronts(obj, service)]


def _fronts(obj: Mapping[str, Any], service: Service) -> bool:
    spec, namespace = model.spec_of(obj), model.namespace_of(obj)
    if model.form_of(obj) is model.GATEWAY:
        parents = [model.dict_of(parent) for parent in model.list_of(spec.get("parentRefs"))]
        named = [(parent.get("name"), parent.get("namespace") or namespace, parent.get("kind")) for parent in parents]
        return (service.name, service.namespace, "Service") in named
    gateways = model.list_of(spec.get("gateways"))
    hosts = (model.resolve(host, namespace, service.domain) for host in model.list_of(spec.get("hosts")))
    return (not gateways or "mesh" in gateways) and any(model.covers(host, service.fqdn) for host in hosts if host)


def choose(objects: Sequence[Any], request: Request) -> Target:
    """Return the one default route to the Service, or that one has to be created; MeshopsError when unclear.

    `virtual_service` (`name` or `namespace/name`) and `route` (a name, `http[N]`, `tcp[N]`, `tls[N]`, `rules[N]`, or
    `all` for each default route of one object) narrow the choice.
    """
    service = request.service
    every = candidates(objects, request)
    if request.virtual_service:
        wanted = _qualified(request.virtual_service, service.namespace)
        meant = named(objects, request)
        if not meant:
            return _create(objects, request, wanted)
        fitting = [candidate for candidate in every if model.label(candidate.obj) == wanted]
        if not fitting:
            raise MeshopsError(
                f"{model.kind_of(meant[0])} {wanted} has no http route with a destination {service}. "
                + _offer(every, "Correct virtual_service, or add the route to it.")
            )
    elif every:
        fitting = every
    else:
        return _create(objects, request, f"{service.namespace}/{service.name}")
    return _narrow(fitting, request)


def _narrow(fitting: list[Candidate], request: Request) -> Target:
    service, route = request.service, request.route
    if route and route != "all":
        position, rule = _POSITION.fullmatch(route), model.RULE_PREFIX + route
        chosen = [
            candidate
            for candidate in fitting
            if (candidate.position == route if position else candidate.route.get("name") in (route, rule))
        ]
        problem = f"No http route {route} sends to {service}." if not chosen else ""
    else:
        chosen = [candidate for candidate in fitting if is_default(candidate.section, candidate.route)]
        problem = f"Every route to {service} has match conditions, none is a default route." if not chosen else ""
    if problem:
        raise MeshopsError(f"{problem} {_offer(fitting, '')}")
    lists = {(model.kind_of(candidate.obj), model.label(candidate.obj), candidate.section) for candidate in chosen}
    if len(lists) > 1 or (len(chosen) > 1 and route != "all"):
        raise MeshopsError(f"Several routes to {service} fit. {_offer(chosen, '')}")
    first = chosen[0]
    return Target(first.obj, tuple(candidate.index for candidate in chosen), model.name_of(first.obj), first.section)


def _create(objects: Sequence[Any], request: Request, wanted: str) -> Target:
    service = request.service
    kind = "HTTPRoute" if request.api == "gateway" else "VirtualService"
    if request.route and request.route != "all":
        raise MeshopsError(f"There is no http route {request.route} to {service}. Leave route out to create one.")
    namespace, name = wanted.split("/", 1)
    if namespace != service.namespace:
        raise MeshopsError(
            f"There is no {kind} {wanted}. Correct virtual_service; a new one is only created in {service.namespace}."
        )
    blocking = takers(objects, service)
    if blocking:
        offered = candidates(objects, request)
        names = ", ".join(f"{model.kind_of(obj)} {model.label(obj)}" for obj in blocking)
        raise MeshopsError(
            f"{names} already routes the host {service}, so that a second one would compete with it. "
            + _offer(offered, f"Give it an http route with a destination {service.name}, or remove the host from it.")
        )
    if any(model.label(obj) == wanted and model.kind_of(obj) == kind for obj in filter(model.is_object, objects)):
        raise MeshopsError(
            f"{kind} {wanted} exists and does not route {service}. Set virtual_service to the name of a new one."
        )
    return Target(None, (), name, "rules" if kind == "HTTPRoute" else "http")


def _offer(offered: list[Candidate], otherwise: str) -> str:
    if not offered:
        return otherwise
    listed = "; ".join(str(candidate) for candidate in offered)
    return f"Choose by virtual_service and route among: {listed}."


def _qualified(name: str, namespace: str) -> str:
    return name if "/" in name else f"{namespace}/{name}"
