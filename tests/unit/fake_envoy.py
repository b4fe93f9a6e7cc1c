# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sidecars of a fake cluster have, made of its objects as istiod makes it; one Service, one port."""

from __future__ import annotations

import json

PORT = 9080
_TYPE = "type.googleapis.com/envoy.admin.v3."


def host_of(name, namespace="bookinfo"):
    return name if "." in name else f"{name}.{namespace}.svc.cluster.local"


def cluster(destination):
    return f"outbound|{PORT}|{destination.get('subset', '')}|{host_of(destination['host'])}"


def answer_of(kube, argv):
    """The answer of an Envoy to `pilot-agent request GET ...`, or of istiod to its own: no proxy refused anything."""
    asked = argv[-1]
    if asked == "/debug/syncz":
        return "[]"
    if asked == "clusters?format=json":
        return json.dumps(clusters(kube))
    if asked == "config_dump?resource=dynamic_route_configs":
        return json.dumps(routes(kube))
    assert asked == "config_dump"
    section = {"@type": f"{_TYPE}RoutesConfigDump", "dynamic_route_configs": routes(kube)["configs"]}
    return json.dumps({"configs": [{"@type": f"{_TYPE}ClustersConfigDump", "all": clusters(kube)}, section]})


def clusters(kube, without=()):
    """All subsets are healthy, except those without a cluster."""
    found = {}
    for (kind, namespace, name), obj in list(kube.objects.items()):
        if kind == "Service":
            found[f"outbound|{PORT}||{host_of(name, namespace)}"] = None
        elif kind == "DestinationRule":
            for subset in obj["spec"].get("subsets") or []:
                if subset["name"] not in without:
                    found[f"outbound|{PORT}|{subset['name']}|{host_of(obj['spec']['host'], namespace)}"] = None
    healthy = [{"health_status": {"eds_health_status": "HEALTHY"}}]
    return {"cluster_statuses": [{"name": name, "host_statuses": healthy} for name in found]}


def routes(kube):
    hosts = []
    taken = set()
    for (kind, namespace, name), obj in list(kube.objects.items()):
        if kind == "VirtualService" and obj["spec"].get("hosts"):
            config = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/{name}"
            made = [envoy for route in obj["spec"].get("http") or [] for envoy in _routes(route, config)]
            host = host_of(obj["spec"]["hosts"][0], namespace)
            taken.add(host)
            hosts.append({"name": f"{host}:{PORT}", "domains": [host], "routes": made})
        if kind == "HTTPRoute":
            host = host_of(obj["spec"]["parentRefs"][0]["name"], namespace)
            made = [_rule(rule, f"{namespace}.{name}.{index}") for index, rule in enumerate(obj["spec"]["rules"])]
            taken.add(host)
            hosts.append({"name": f"{host}:{PORT}", "domains": [host], "routes": made})
    for kind, namespace, name in list(kube.objects):
        host = host_of(name, namespace)
        if kind == "Service" and host not in taken:
            plain = {"match": {"prefix": "/"}, "route": {"cluster": f"outbound|{PORT}||{host}"}, "name": "default"}
            hosts.append({"name": f"{host}:{PORT}", "domains": [host], "routes": [plain]})
    table = {"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "virtual_hosts": hosts}
    kind = f"{_TYPE}RoutesConfigDump.DynamicRouteConfig"
    return {"configs": [{"@type": kind, "route_config": {"name": str(PORT), **table}}]}


def _routes(route, config):
    metadata = {"filter_metadata": {"istio": {"config": config}}}
    for match in route.get("match") or [{}]:
        found = {"match": _match(match), "route": _action(route), "metadata": metadata}
        if route.get("name"):
            found["name"] = route["name"]
        if route.get("fault"):
            found["typed_per_filter_config"] = {"envoy.filters.http.fault": _fault(route["fault"])}
        yield found


def _rule(rule, name):
    """A rule of an HTTPRoute, which Envoy's route is named after."""
    entries = [{"destination": {"host": ref["name"]}, "weight": ref.get("weight", 1)} for ref in rule["backendRefs"]]
    return {"match": {"prefix": "/"}, "route": _action({"route": entries}), "name": name}


def _match(match):
    headers = [
        {"name": name, "string_match": value} for name, value in sorted((match.get("headers") or {}).items()) if value
    ]
    uri = match.get("uri") or {"prefix": "/"}
    path = {"path": uri["exact"]} if "exact" in uri else {"prefix": uri["prefix"]}
    return {**path, "case_sensitive": True, **({"headers": headers} if headers else {})}


def _action(route):
    entries = route["route"]
    if len(entries) == 1:
        action = {"cluster": cluster(entries[0]["destination"])}
    else:
        weighted = [{"name": cluster(e["destination"]), "weight": e.get("weight", 0)} for e in entries]
        action = {"weighted_clusters": {"clusters": [item for item in weighted if item["weight"]]}}
    action["timeout"] = route.get("timeout", "0s")
    action["retry_policy"] = {"num_retries": (route.get("retries") or {"attempts": 2})["attempts"]}
    mirrors = [
        {
            "cluster": cluster(mirror["destination"]),
            "runtime_fraction": {"default_value": _share(mirror.get("percentage", {"value": 100}))},
        }
        for mirror in route.get("mirrors") or []
    ]
    return {**action, **({"request_mirror_policies": mirrors} if mirrors else {})}


def _fault(fault):
    found = {}
    if "delay" in fault:
        found["delay"] = {
            "fixed_delay": fault["delay"]["fixedDelay"],
            "percentage": _share(fault["delay"]["percentage"]),
        }
    if "abort" in fault:
        found["abort"] = {
            "http_status": fault["abort"]["httpStatus"],
            "percentage": _share(fault["abort"]["percentage"]),
        }
    return found


def _share(percentage):
    return {"numerator": int(percentage["value"] * 10000), "denominator": "MILLION"}
