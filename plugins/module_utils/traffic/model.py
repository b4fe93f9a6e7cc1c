# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the traffic objects of Istio and of the Gateway API say about Services. Pure.

Objects are plain dicts as the API has them, however odd: what cannot be understood is passed over here and refused
where it would be edited.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

API_VERSION = "networking.istio.io/v1"
MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = "meshops.istio"
ROOT_NAMESPACE = "istio-system"
BOOKKEEPING = ("meshops.istio/journal", "meshops.istio/marks")  # annotations of ours, no part of a diff
RULE_PREFIX = "meshops-"  # of the names of routes that are rules of ours


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
class Form:
    """How a family of objects writes its routes.

    sections: the fields of spec with routes; entries: the field of a route with its destinations; absent: what a
    weight is that is not there, when there are several; limit: the greatest weight.
    """

    sections: tuple[str, ...]
    entries: str
    absent: int
    limit: int


ISTIO = Form(("http", "tcp", "tls"), "route", 0, 2**31 - 1)
GATEWAY = Form(("rules",), "backendRefs", 1, 10**6)
GATEWAY_KINDS = ("HTTPRoute", "GRPCRoute")


@dataclass(frozen=True)
class Destination:
    """Where an entry of a route sends: a resolved host, its subset, and a port if one is given.

    The host of a backend that is no Service is its kind and name, which is no host of any Service.
    """

    host: str
    subset: str = ""
    port: Optional[int] = None


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
    """Return the namespace of an object, `default` when it states none."""
    return str(dict_of(obj.get("metadata")).get("namespace") or "default")


def name_of(obj: Mapping[str, Any]) -> str:
    """Return the name of an object, "" without one."""
    return str(dict_of(obj.get("metadata")).get("name") or "")


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Tell whether this collection created the object."""
    return dict_of(dict_of(obj.get("metadata")).get("labels")).get(MANAGED_BY) == OWNER


def new_object(
    kind: str, namespace: str, name: str, spec: dict[str, Any], api_version: str = API_VERSION
) -> dict[str, Any]:
    """Return an object of ours."""
    metadata = {"name": name, "namespace": namespace, "labels": {MANAGED_BY: OWNER}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def unmarked(obj: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """Return the object without our bookkeeping, as a diff shows it."""
    annotations = dict_of(dict_of((obj or {}).get("metadata")).get("annotations"))
    if obj is None or not set(annotations) & set(BOOKKEEPING):
        return obj
    metadata = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    left = {key: value for key, value in annotations.items() if key not in BOOKKEEPING}
    return {**obj, "metadata": {**metadata, **({"annotations": left} if left else {})}}


def spec_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the spec of an object, {} without one."""
    return dict_of(obj.get("spec"))


def http_routes(virtual_service: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the position and the content of each http route that is an object at all."""
    for index, route in enumerate(list_of(spec_of(virtual_service).get("http"))):
        if isinstance(route, dict):
            yield index, route


def form_of(obj: Mapping[str, Any]) -> Form:
    """Return how objects of this kind write their routes."""
    return GATEWAY if obj.get("kind") in GATEWAY_KINDS else ISTIO


def kind_of(obj: Mapping[str, Any]) -> str:
    """Return the kind of an object with routes."""
    return str(obj.get("kind") or "VirtualService")


def routes_of(obj: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Yield section, position and content of each route of any protocol that is an object at all."""
    for section in form_of(obj).sections:
        for index, route in enumerate(list_of(spec_of(obj).get(section))):
            if isinstance(route, dict):
                yield section, index, route


def position_of(obj: Mapping[str, Any], section: str, index: int) -> str:
    """Return what a route is called by its position, as `http[0]`: rules of ours are not counted, they come and go."""
    before = list_of(spec_of(obj).get(section))[:index]
    ours = sum(str(dict_of(route).get("name") or "").startswith(RULE_PREFIX) for route in before)
    return f"{section}[{index - ours}]"


def entries_of(obj: Mapping[str, Any], route: Mapping[str, Any]) -> list:
    """Return the destinations of a route of the object with their weights, as they are written."""
    return list_of(route.get(form_of(obj).entries))


def destination_of(entry: Any) -> Mapping[str, Any]:
    """Return the destination of one entry of a VirtualService's `route`, {} when it has none."""
    return dict_of(dict_of(entry).get("destination"))


def destination(obj: Mapping[str, Any], entry: Any, domain: str) -> Optional[Destination]:
    """Return where an entry of a route of the object sends; None when it is malformed."""
    if form_of(obj) is GATEWAY:
        return _backend(dict_of(entry), namespace_of(obj), domain)
    fields = destination_of(entry)
    host, subset = resolve(fields.get("host"), namespace_of(obj), domain), fields.get("subset") or ""
    port = _number(dict_of(fields.get("port")).get("number"))
    return Destination(host, subset, port) if host and isinstance(subset, str) else None


def _backend(entry: Mapping[str, Any], namespace: str, domain: str) -> Optional[Destination]:
    name, kind, group = entry.get("name"), entry.get("kind") or "Service", entry.get("group") or ""
    namespace, port = entry.get("namespace") or namespace, _number(entry.get("port"))
    if not isinstance(name, str) or not name or not isinstance(namespace, str):
        return None
    if (kind, group) == ("Service", ""):
        return Destination(Service(name, namespace, domain).fqdn, "", port)
    return Destination(f"{kind}.{group} {namespace}/{name}", "", port)


def _number(port: Any) -> Optional[int]:
    return port if isinstance(port, int) and not isinstance(port, bool) else None


def governing_rules(rules: list, service: Service, route_namespace: str) -> list[Mapping[str, Any]]:
    """Return the DestinationRules that Istio uses for the Service: those of one namespace with the closest host.

    The namespaces are tried as istiod does: the client's (taken to be the route's), the Service's, the root
    (istio/istio pilot/pkg/model/push_context.go destinationRule). Rules with the same host are merged by Istio.
    """
    for namespace in dict.fromkeys((route_namespace, service.namespace, ROOT_NAMESPACE)):
        by_host: dict[str, list[Mapping[str, Any]]] = {}
        for obj in sorted(filter(is_object, rules), key=label):
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
        for subset in list_of(spec_of(rule).get("subsets")):
            if isinstance(subset, dict) and isinstance(subset.get("name"), str):
                found.setdefault(subset["name"], dict_of(subset.get("labels")))
    return found


def is_exact(rule: Mapping[str, Any], service: Service) -> bool:
    """Tell whether the DestinationRule names the Service itself, not by a wildcard."""
    return resolve(spec_of(rule).get("host"), namespace_of(rule), service.domain) == service.fqdn


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_object(obj: Any) -> bool:
    """Tell whether something read is an object at all."""
    return isinstance(obj, dict)


def dict_of(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a dict, else {}."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list:
    """Return the value if it is a list, else []."""
    return value if isinstance(value, list) else []
