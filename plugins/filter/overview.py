# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter overview: what a cluster is and what is wrong with it, on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import rollout
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, model

DOCUMENTATION = r"""
name: overview
short_description: Describe a cluster and its mesh on one screen
version_added: 0.1.0
author: meshops maintainers (@meshops)
description:
  - Makes the text of the playbooks overview and summary from objects that were read.
positional: _input
options:
  _input:
    description:
      - Lists of objects, as the module meshops.istio.kube_info returns them, in this order.
      - C(Node), C(Pod), C(Service), C(Deployment) of istiod, C(VirtualService), C(DestinationRule).
    type: list
    elements: list
    required: true
  gateway:
    description: Name of the Service of the ingress gateway.
    type: str
    default: istio-ingressgateway
  seen:
    description: The fact C(bookinfo_result) of the role bookinfo.
    type: dict
    default: {}
  commands:
    description: Commands to try next.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the cluster
  ansible.builtin.debug:
    msg: "{{ cluster.found | meshops.istio.overview }}"
"""

RETURN = r"""
_value:
  description: The text, lines separated by newlines.
  type: str
"""

ROLE_LABEL = "node-role.kubernetes.io/"
MAX_PROBLEMS = 12  # lines, so that the overview stays on one screen


def line(label: str, text: str) -> str:
    """Return one line of the table."""
    return f"{label:<10} {text}"


def nodes_line(nodes: list[dict]) -> str:
    """Return names and roles of the nodes, and the versions that run on them."""
    names = []
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        roles = sorted(key[len(ROLE_LABEL) :] for key in labels if key.startswith(ROLE_LABEL))
        names.append(" ".join([node["metadata"]["name"], *roles]))
    info = [node.get("status", {}).get("nodeInfo", {}) for node in nodes]
    kubelets = sorted({item["kubeletVersion"] for item in info if item.get("kubeletVersion")})
    runtimes = sorted(
        {item["containerRuntimeVersion"].replace("://", " ") for item in info if item.get("containerRuntimeVersion")}
    )
    return " · ".join(filter(None, [", ".join(names), " ".join(["Kubernetes", *kubelets]), ", ".join(runtimes)]))


def address(service: Mapping[str, Any]) -> str:
    """Return the address that a Service of type LoadBalancer got, or its external one; "" for none."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
    external = (service.get("spec") or {}).get("externalIPs") or [""]
    return ingress[0].get("ip") or ingress[0].get("hostname") or external[0]


def istio_line(deployments: list[dict], gateway: str) -> str:
    """Return versions and revisions of the control planes, and the gateway's address."""
    planes = []
    for plane in deployments:
        labels = plane["metadata"].get("labels") or {}
        images = [item["image"] for item in plane["spec"]["template"]["spec"]["containers"]]
        version = labels.get("operator.istio.io/version") or images[0].rpartition(":")[2]
        planes.append(f"{version} ({labels.get('istio.io/rev', 'default')})")
    found = ", ".join(planes) or "no control plane"
    return f"{found} · gateway {gateway or 'without address'}"


def path(route: Mapping[str, Any]) -> str:
    """Return the first path that a route of a VirtualService answers to."""
    for match in route.get("match") or []:
        uri = match.get("uri") or {}
        if uri.get("exact") or uri.get("prefix"):
            return uri.get("exact") or uri.get("prefix")
    return "/"


def open_lines(services: list[dict], gateway: str, seen: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses to open in a browser."""
    if seen:
        yield line("Bookinfo", f"{seen['url']}      {seen['title']} ✓")
        return
    for service in services if gateway else []:
        spec = service.get("spec") or {}
        if set(spec.get("gateways") or ["mesh"]) == {"mesh"}:
            continue
        name = "{namespace}/{name}".format(**service["metadata"])
        for route in (spec.get("http") or [])[:1]:
            yield line(
                "Open", f"http://{gateway}{path(route)}      ({name}, hosts {' '.join(spec.get('hosts') or [])})"
            )


def splits(service: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the host and the weights of each HTTP route that chooses a subset or has several destinations."""
    for _index, route in model.http_routes(service):
        targets = route.get("route") or []
        places = [model.destination_of(target) for target in targets]
        if len(targets) < 2 and not any(place.get("subset") for place in places):
            continue
        one_host = len({place.get("host") for place in places}) == 1
        weights: dict[str, int] = {}
        for target, place in zip(targets, places):
            host, subset = place.get("host", ""), place.get("subset")
            name = subset if subset and one_host else "/".join(filter(None, [host, subset]))
            weights[name] = weights.get(name, 0) + target.get("weight", 100 if len(targets) == 1 else 0)
        yield places[0].get("host", "").split(".")[0], weights


def shares(percent: Mapping[str, float]) -> str:
    """Return shares in percent as words."""
    return "   ".join(f"{name} {share:g} %" for name, share in percent.items())


def split_lines(services: list[dict], seen: Mapping[str, Any]) -> Iterator[str]:
    """Yield the splits in force, and what was seen of the one that was asked."""
    for service in services:
        for host, weights in splits(service):
            text = shares(edit.percentages(weights)) if sum(weights.values()) else "no weight"
            observed = ""
            if seen and host == "reviews" and "seen" in seen:
                observed = f"seen in {seen['requests']} requests: {shares(seen['seen'])}   errors {seen['errors']}   "
            yield line(host, f"{text}      {observed}({model.label(service)})")


def pod_problem(pod: Mapping[str, Any]) -> str:
    """Return why a pod does not do its work, "" when it does, has ended well or is on its way out."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded" or pod["metadata"].get("deletionTimestamp"):
        return ""
    if status.get("phase") == "Running" and rollout.condition(pod, "Ready").get("status") == "True":
        return ""
    return rollout.pod_problem(pod) or status.get("message") or f"{status.get('phase', 'Unknown')}, not ready yet"


def problems(found: list[list[dict]]) -> Iterator[str]:
    """Yield what is wrong in the cluster."""
    nodes, pods, services, _planes, routes, rules = found
    for node in nodes:
        ready = rollout.condition(node, "Ready")
        if ready.get("status") != "True":
            yield f"Node {node['metadata']['name']} is not ready: {ready.get('message', 'no cause is given')}"
    for pod in pods:
        trouble = pod_problem(pod)
        if trouble:
            yield f"Pod {model.label(pod)}: {trouble}"
    for service in services:
        if (service.get("spec") or {}).get("type") == "LoadBalancer" and not address(service):
            yield f"Service {model.label(service)} of type LoadBalancer has no address"
    yield from missing_subsets(routes, rules)


def missing_subsets(routes: list[dict], rules: list[dict]) -> Iterator[str]:
    """Yield the subsets that routes send requests to and no DestinationRule has."""
    for route in routes:
        namespace = model.namespace_of(route)
        for _index, http in model.http_routes(route):
            for target in http.get("route") or []:
                place = model.destination_of(target)
                parts = model.resolve(place.get("host"), namespace).split(".")
                subset = place.get("subset")
                if not subset or not target.get("weight", 100) or parts[2:] != ["svc", "cluster", "local"]:
                    continue
                service = model.Service(parts[0], parts[1])
                if subset not in model.subsets_of(model.governing_rules(rules, service, namespace)):
                    yield (
                        f"VirtualService {model.label(route)} sends requests to subset {subset} of {service},"
                        " which no DestinationRule has"
                    )


def overview(
    found: list[list[dict]],
    gateway: str = "istio-ingressgateway",
    seen: Mapping[str, Any] | None = None,
    commands: list[str] | None = None,
) -> str:
    """Return the overview of a cluster as lines of text."""
    nodes, _pods, services, planes, routes, _rules = found
    if not nodes:
        return "The cluster does not answer yet, so there is nothing to show."
    gateways = [service for service in services if service["metadata"]["name"] == gateway]
    where = address(gateways[0]) if gateways else ""
    wrong = list(problems(found))
    if len(wrong) > MAX_PROBLEMS:
        wrong[MAX_PROBLEMS:] = [f"and {len(wrong) - MAX_PROBLEMS} more"]
    lines = [
        line("Nodes", nodes_line(nodes)),
        line("Istio", istio_line(planes, where)),
        *open_lines(routes, where, seen or {}),
        *split_lines(routes, seen or {}),
        *(line("" if number else "Wrong", text) for number, text in enumerate(wrong or ["nothing"])),
        *(line("" if number else "Try", text) for number, text in enumerate(commands or [])),
    ]
    return "\n".join(text.rstrip() for text in lines)


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"overview": overview}
