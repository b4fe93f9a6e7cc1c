# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the gateways of a mesh, and by which addresses they are reached. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.mesh_state import annotations_of, is_running, labels_of
from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, model


def gateways(
    services: Iterable[Mapping[str, Any]],
    deployments: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    nodes: Iterable[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the Services in front of gateway pods, with ports, addresses, URLs and the number of ready pods."""
    running = [pod for pod in pods if is_running(pod)]
    templates = [_template(obj) for obj in deployments]
    on_nodes = node_addresses(nodes)
    found = []
    for service in services:
        selector = model.dict_of(model.spec_of(service).get("selector"))
        namespace = model.namespace_of(service)
        behind = [pod for pod in running if _selected(pod, namespace, selector)]
        made = [obj for obj in templates if _selected(obj, namespace, selector)]
        if any(map(is_gateway, [*behind, *made])):
            found.append(_row(service, sum(map(consumers.is_ready, behind)), on_nodes))
    return sorted(found, key=lambda row: (row["namespace"], row["name"]))


def is_gateway(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod, or the template of one, is a gateway: its proxy is a router, or will be by injection."""
    if consumers.proxy_kind(pod) == "router":
        return True
    return "gateway" in str(annotations_of(pod).get("inject.istio.io/templates") or "").split(",")


def _template(deployment: Mapping[str, Any]) -> dict[str, Any]:
    template = model.dict_of(model.spec_of(deployment).get("template"))
    meta = {**model.dict_of(template.get("metadata")), "namespace": model.namespace_of(deployment)}
    return {**template, "metadata": meta}


def _selected(pod: Mapping[str, Any], namespace: str, selector: Mapping[str, str]) -> bool:
    return bool(selector) and model.namespace_of(pod) == namespace and selector.items() <= labels_of(pod).items()


def _row(service: Mapping[str, Any], ready: int, on_nodes: list[str]) -> dict[str, Any]:
    spec = model.spec_of(service)
    kind = spec.get("type") or "ClusterIP"
    ports = [
        {
            "name": port.get("name") or "",
            "port": port["port"],
            "node_port": port.get("nodePort"),
            "protocol": port.get("protocol") or "TCP",
        }
        for port in model.list_of(spec.get("ports"))
    ]
    addresses, by_node = _addresses(service, kind, on_nodes)
    return {
        "name": model.name_of(service),
        "namespace": model.namespace_of(service),
        "type": kind,
        "ready_pods": ready,
        "ports": ports,
        "addresses": addresses,
        "urls": [url for address in addresses for port in ports for url in _url(address, port, by_node)],
        "pending": kind == "LoadBalancer" and not outside_addresses(service),
    }


def outside_addresses(service: Mapping[str, Any]) -> list[str]:
    """Return the addresses that a load balancer gave to a Service, and its external ones."""
    status = model.dict_of(model.dict_of(service.get("status")).get("loadBalancer"))
    given = [item.get("ip") or item.get("hostname") or "" for item in model.list_of(status.get("ingress"))]
    return list(dict.fromkeys(filter(None, [*given, *model.list_of(model.spec_of(service).get("externalIPs"))])))


def node_addresses(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one address of each ready node, its external one where it has one."""
    found = []
    for node in nodes:
        if not consumers.is_ready(node):
            continue
        by_type = {item.get("type"): item.get("address") for item in model.list_of(node["status"].get("addresses"))}
        found.append(by_type.get("ExternalIP") or by_type.get("InternalIP") or "")
    return list(filter(None, found))


def _addresses(service: Mapping[str, Any], kind: str, on_nodes: list[str]) -> tuple[list[str], bool]:
    """Return where the Service is reached from outside, and whether by the ports of the nodes."""
    outside = outside_addresses(service)
    if outside or kind not in ("NodePort", "LoadBalancer"):
        return outside, False
    return on_nodes, True


def _url(address: str, port: Mapping[str, Any], by_node: bool) -> list[str]:
    number = port["node_port"] if by_node else port["port"]
    scheme = scheme_of(port)
    if not scheme or not number:
        return []
    host = f"[{address}]" if ":" in address else address
    usual = {"http": 80, "https": 443}[scheme] == number
    return [f"{scheme}://{host}" if usual else f"{scheme}://{host}:{number}"]


def scheme_of(port: Mapping[str, Any]) -> str:
    """Return http or https for a port that a browser can open, by its number and its name; "" for another."""
    if port["protocol"] != "TCP":
        return ""
    first = port["name"].split("-")[0]
    if port["port"] == 443 or first == "https":
        return "https"
    return "http" if port["port"] == 80 or first in ("http", "http2") else ""
