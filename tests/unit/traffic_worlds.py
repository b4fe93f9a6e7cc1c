# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds of odd but possible traffic objects around one Service, each made of one seed."""

from __future__ import annotations

import copy
from random import Random

from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import World

SERVICE = Service("reviews", "bookinfo")
FQDN = SERVICE.fqdn
SUBSETS = ("v1", "v2", "v3")
OURS = {"app.kubernetes.io/managed-by": "meshops.istio"}
# what looks like the Service and is none, and hosts from anywhere
STRANGERS = (
    "ratings",
    "reviews.bookinfo",
    "reviews.a.svc.cluster.local",
    "reviews.bookinfo.svc.cluster.example",
    "details.bookinfo.svc.cluster.local",
    "*.example.com",
    "api.example.com",
    "10.1.2.3",
)
URIS = (
    {"prefix": "/"},
    {"prefix": "/api"},
    {"prefix": "/api/v1/"},
    {"exact": "/health"},
    {"exact": "/api/v1/products"},
    {"regex": ".*"},
    {"regex": "/api/.*"},
    {"prefix": ""},
)
VALUES = ({"exact": "jason"}, {"prefix": "ja"}, {"regex": "j.*n"}, {"regex": "*"}, {}, {"exact": "x-y z"})


def make_world(seed: int, size: int, odd: int) -> World:
    """Return a world; size: how many routes and objects it has at most, odd: 0 for a plain one, 3 for the oddest."""
    return Maker(seed, odd).world(size)


class Maker:
    """Makes objects; every part that this collection does not know has a text `odd-N` of its own in it."""

    def __init__(self, seed: int, odd: int) -> None:
        self.random, self.odd, self.made = Random(seed), odd, 0

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def rare(self, share: float) -> bool:
        return self.odd > 0 and self.random.random() < share * self.odd / 2

    def pick(self, *values):
        return copy.deepcopy(self.random.choice(values))

    def token(self) -> str:
        self.made += 1
        return f"odd-{self.made}"

    def strange(self, fields: dict) -> dict:
        """Return the fields with, now and then, one that nobody knows, in an order of keys of chance."""
        if self.rare(0.1):
            token = self.token()
            fields[self.pick("x-vendor", "futureField", "zone", "priority")] = self.pick(
                token,
                {"deep": [{"er": token}, None, {}, []], "none": None, "50": 50.0},
                [token, None, "0s", "5.000s", True, 1.0, {"weight": 7}],
            )
        if self.rare(0.3):
            keys = list(fields)
            self.random.shuffle(keys)
            return {key: fields[key] for key in keys}
        return fields

    def meta(self, name: str, namespace: str, ours: bool = False) -> dict:
        made = {"name": name, "namespace": namespace, "resourceVersion": str(self.random.randint(1, 9999))}
        if ours:
            made["labels"] = dict(OURS)
        if self.rare(0.3):
            made.setdefault("labels", {}).update({"team": self.token(), "kiali_wizard": "weighted_routing"})
        if self.rare(0.4):
            made["annotations"] = self.pick(
                {"kubectl.kubernetes.io/last-applied-configuration": '{"spec":{}}\n', "team": self.token()},
                {"internal.istio.io/parents": "HTTPRoute/x.y", "note": self.token()},
                {},
            )
        if self.rare(0.2):
            owner = {"apiVersion": "example.com/v1", "kind": "App", "name": self.token(), "controller": True}
            made["ownerReferences"] = [owner]
        if self.rare(0.2):
            made["finalizers"] = [self.token()]
        if self.rare(0.3):
            made.update(
                generation=4, uid=self.token(), creationTimestamp=f"2025-0{self.random.randint(1, 9)}-01T00:00:00Z"
            )
            made["managedFields"] = [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {".": {}}}}]
        return self.strange(made)

    def object(self, kind: str, metadata: dict, spec: dict, version: str = "") -> dict:
        version = version or "networking.istio.io/" + self.pick("v1", "v1", "v1beta1", "v1alpha3")
        made = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": self.strange(spec)}
        if self.rare(0.3):
            made["status"] = self.pick({}, {"observedGeneration": 4, "conditions": [{"type": self.token()}]})
        return made

    # routes of VirtualServices

    def own_host(self, namespace: str) -> str:
        return self.pick("reviews", FQDN) if namespace == "bookinfo" else FQDN

    def destination(self, host: str, subset: str = "", port: int | None = None) -> dict:
        made = {"host": host}
        if subset or self.rare(0.03):
            made["subset"] = subset
        if port or self.rare(0.02):
            made["port"] = {"number": port} if port else self.pick({}, None)
        return self.strange(made)

    def weights(self, count: int) -> list:
        if count == 1:
            return [self.pick("", "", 100, 1, 0 if self.rare(1) else 100)]
        styles = [
            [50, 50, 0, 0, 0],
            [90, 10, 0, 0, 0],
            [1] * 5,
            [3, 1, 2, 7, 9],
            [0, 100, "", 0, ""],
            [7, "", "", 0, ""],
        ]
        style = self.pick(*styles, *([[0] * 5, [""] * 5] if self.rare(0.2) else []))
        return style[:count]

    def entries(self, namespace: str, subsets: tuple = (*SUBSETS, "")) -> list:
        chosen = self.random.sample(subsets, min(len(subsets), self.random.choice((1, 1, 2, 2, 3))))
        port = self.pick(None, None, 9080)
        host = self.own_host(namespace)
        made = [self.destination(host if not self.rare(0.1) else FQDN, subset, port) for subset in chosen]
        if self.rare(0.06):
            made.append(self.destination(host, chosen[0], self.pick(port, 9443)))
        if self.rare(0.2):
            made.insert(self.random.randint(0, len(made)), self.destination(self.pick(*STRANGERS), self.pick("", "v1")))
        weights = self.weights(len(made))
        made = [{"destination": where, **({} if w == "" else {"weight": w})} for where, w in zip(made, weights)]
        for entry in made:
            if self.rare(0.1):
                entry["headers"] = {"request": {"set": {"x-to": self.token()}, "remove": []}}
        return [self.strange(entry) for entry in made]

    def match(self) -> dict:
        made = {}
        for name, share, values in (
            ("uri", 0.6, URIS),
            ("method", 0.1, ({"exact": "GET"}, {"exact": "POST"}, {"regex": "P.*"})),
            ("scheme", 0.03, ({"exact": "https"},)),
            ("authority", 0.08, ({"exact": "reviews"}, {"prefix": "rev"})),
            ("port", 0.06, (80, 9080)),
            ("sourceLabels", 0.08, ({"app": "productpage"}, {"app": "gateway", "version": "v1"}, {})),
            ("sourceNamespace", 0.04, ("bookinfo", "a")),
            ("gateways", 0.08, (["mesh"], ["bookinfo/gw"], [])),
            ("ignoreUriCase", 0.05, (True, False)),
            ("name", 0.08, ("first", "second")),
            ("statPrefix", 0.03, ("stat",)),
        ):
            if self.often(share):
                made[name] = self.pick(*values)
        for name, share in (("headers", 0.4), ("withoutHeaders", 0.06), ("queryParams", 0.08)):
            if self.often(share):
                keys = self.random.sample(("end-user", "x-canary", "cookie"), self.pick(1, 1, 2))
                made[name] = {key: self.pick(*VALUES) for key in keys}
        return self.strange(made)

    def fault(self) -> dict | None:
        made = {}
        if self.often(0.6):
            made["delay"] = self.pick(
                {"fixedDelay": "5s", "percentage": {"value": 50}},
                {"fixedDelay": "0.5s", "percent": 10},
                {"fixedDelay": "5.000s", "percentage": {"value": 50.0}},
            )
        if self.often(0.5):
            made["abort"] = self.pick(
                {"httpStatus": 503, "percentage": {"value": 0.1}},
                {"grpcStatus": "UNAVAILABLE", "percentage": {}},
                {"httpStatus": 418},
            )
        return None if not made and self.odd > 1 else self.strange(made)

    def extras(self, namespace: str, route: dict) -> dict:
        """Add what a route can have beside its destinations."""
        if self.rare(0.15):
            route["fault"] = self.fault()
        if self.rare(0.12):
            route["mirror"] = self.destination(self.pick(self.own_host(namespace), *STRANGERS[:5]), self.pick("", "v2"))
            route[self.pick("mirrorPercentage", "mirrorPercentage")] = self.pick({"value": 100.0}, {"value": 5}, {})
        if self.rare(0.12) and ("mirror" not in route or self.rare(0.1)):
            where = self.destination(self.pick("audit", *STRANGERS[:2], FQDN), self.pick("", "v2"))
            mirror = self.strange({"destination": where, "percentage": self.pick({"value": 5}, {"value": 50.0}, {})})
            route["mirrors"] = self.pick([], None, [mirror], [mirror])
        if self.rare(0.15):
            route["timeout"] = self.pick("5s", "5.000s", "0s" if self.odd > 2 else "10s", "250ms")
        if self.rare(0.15):
            route["retries"] = self.strange(
                self.pick(
                    {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,reset"},
                    {"attempts": 0},
                    {"attempts": 2, "retryRemoteLocalities": None},
                    {} if self.odd > 2 else {"attempts": 1},
                )
            )
        if self.rare(0.1):
            route["rewrite"] = self.pick({"uri": "/"}, {"authority": "reviews.example.com"})
        if self.rare(0.1):
            route["headers"] = {"request": {"add": {"x-team": self.token()}}, "response": {}}
        if self.rare(0.1):
            route["corsPolicy"] = {"allowOrigins": [{"exact": "*"}], "maxAge": "24h", "allowCredentials": None}
        return self.strange(route)

    def http_route(self, namespace: str, names: list, last: bool, root: bool) -> dict:
        route: dict = {}
        if self.often(0.4):
            route["name"] = self.pick(*names) if names and self.rare(0.15) else f"route-{len(names)}"
            names.append(route["name"])
        if not last or self.often(0.2):
            route["match"] = [self.match() for dummy in range(self.pick(1, 1, 2))]
            if self.rare(0.05):
                route["match"] = self.pick([], [{}], None, [{"uri": None}])
        action = self.random.random()
        if action < 0.05:
            route["redirect"] = self.pick({"uri": "/new"}, {"authority": "x.example.com", "redirectCode": 302})
        elif action < 0.09:
            route["directResponse"] = {"status": 503, "body": {"string": self.token()}}
        elif action < 0.14 and root:
            route["delegate"] = self.pick({"name": "part", "namespace": "bookinfo"}, {"name": "nowhere"})
        elif self.rare(0.03):
            route["route"] = self.pick([], None, [{}], [{"weight": 1}], [{"destination": None}])
        else:
            subsets = (*SUBSETS, "") if self.often(0.7) else ("",)
            strangers = [{"destination": self.destination(self.pick(*STRANGERS))}] if action > 0.93 else None
            route["route"] = strangers or self.entries(namespace, subsets)
            self.extras(namespace, route)
        return self.strange(route)

    def virtual_service(self, name: str, namespace: str, size: int, hosts: list, gateways: list | None) -> dict:
        names: list = []
        count = self.random.randint(1, size + 1)
        spec: dict = {"hosts": hosts} if hosts else {}
        if gateways is not None and hosts:
            spec["gateways"] = gateways
        spec["http"] = [self.http_route(namespace, names, at == count - 1, bool(hosts)) for at in range(count)]
        if self.rare(0.15) and hosts:
            spec["exportTo"] = self.pick(["."], ["*"], ["a", "bookinfo"])
        if self.rare(0.12) and hosts:
            entries = [{"destination": self.destination(self.own_host(namespace), "v1", 9080)}]
            spec["tcp"] = [{"match": [{"port": 27017}], "route": entries}, {"route": self.entries(namespace)}]
        if self.rare(0.08) and hosts:
            match = [{"port": 443, "sniHosts": [*hosts]}]
            spec["tls"] = [{"match": match, "route": self.entries(namespace)}]
        return self.object("VirtualService", self.meta(name, namespace, count > 1 and self.often(0.15)), spec)

    # the Gateway API

    def backend(self, namespace: str) -> dict:
        made = {"name": self.pick("reviews", "reviews", "reviews-v2", "reviews-v3"), "port": 9080}
        if self.often(0.6):
            made = {"group": "", "kind": "Service", **made}
        if namespace != "bookinfo" and self.often(0.8):
            made["namespace"] = "bookinfo"
        if self.rare(0.1):
            made.update(self.pick({"namespace": "a"}, {"group": "multicluster.x-k8s.io", "kind": "ServiceImport"}))
        if self.often(0.7):
            made["weight"] = self.pick(1, 1, 50, 0, 10**6)
        if self.rare(0.15):
            added = [{"name": "x-to", "value": self.token()}]
            made["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": added}}]
        return self.strange(made)

    def gateway_route(self, kind: str, name: str, namespace: str, size: int) -> dict:
        rules = []
        for at in range(self.random.randint(1, size)):
            backends = [self.backend(namespace) for dummy in range(self.pick(1, 2, 3))]
            if not self.rare(0.1):
                backends = list({backend["name"]: backend for backend in backends}.values())
            rule = {"backendRefs": backends}
            if at or self.often(0.3):
                path = {"type": self.pick("PathPrefix", "Exact"), "value": self.pick("/", "/api")}
                rule["matches"] = [{"path": path} if kind == "HTTPRoute" else {"method": {"service": "a.B"}}]
            if self.rare(0.15):
                mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}
                redirect = {"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}
                rule["filters"] = [self.pick(mirror, mirror, redirect)]
                if rule["filters"] == [redirect]:
                    rule.pop("backendRefs")
            if self.rare(0.15):
                rule["timeouts"] = {"request": "10s", "backendRequest": "0s"}
            rules.append(self.strange(rule))
        parent = self.pick(
            {"group": "", "kind": "Service", "name": "reviews"}, {"name": "gateway", "namespace": "infra"}
        )
        spec = {"parentRefs": [self.strange(parent)], "rules": rules}
        if self.rare(0.2):
            spec["hostnames"] = ["reviews.example.com"]
        version = self.pick("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")
        return self.object(kind, self.meta(name, namespace), spec, version)

    # DestinationRules

    def rule(self, name: str, namespace: str, host: str, ours: bool = False) -> dict:
        names = self.random.sample(SUBSETS, self.pick(1 if ours else 0, 2, 2, 3, 3, 3))  # what is ours is never idle
        subsets = [self.strange({"name": subset, "labels": {"version": subset}}) for subset in names]
        for subset in subsets:
            if self.rare(0.15):
                subset["trafficPolicy"] = {"loadBalancer": {"simple": self.pick("LEAST_REQUEST", "RANDOM")}}
        if subsets and self.rare(0.04):
            subsets.append(copy.deepcopy(subsets[0]))
        spec = {"host": host, **({"subsets": subsets} if subsets or self.rare(0.3) else {})}
        if self.rare(0.3):
            spec["trafficPolicy"] = {"tls": {"mode": "ISTIO_MUTUAL"}, "outlierDetection": {"baseEjectionTime": "30s"}}
        if self.rare(0.1):
            spec["exportTo"] = self.pick(["."], ["*"])
        return self.object("DestinationRule", self.meta(name, namespace, ours), spec)

    def rules(self) -> list:
        made = []
        if self.often(0.8):
            namespace = "istio-system" if self.rare(0.05) else "bookinfo"
            made.append(self.rule("reviews", namespace, self.own_host(namespace), self.often(0.4)))
        if self.rare(0.1):
            made.append(self.rule("reviews-more", "bookinfo", FQDN))
        if self.rare(0.1):
            made.append(self.rule("reviews", "a", FQDN))
        if self.rare(0.15):
            made.append(self.rule("wild", "istio-system", self.pick("*.local", "*.bookinfo.svc.cluster.local", "*")))
        if self.often(0.3):
            made.append(self.rule("ratings", "bookinfo", "ratings"))
        return made

    def world(self, size: int) -> World:
        hosts = self.pick(["reviews"], [FQDN], ["reviews", "reviews.example.com"])
        routes = []
        if self.often(0.85):
            namespace = self.pick("bookinfo", "bookinfo", "bookinfo", "a")
            hosts = [FQDN] if namespace == "a" else hosts
            gateways = self.pick(None, None, ["mesh"], ["bookinfo/gw"], ["mesh", "bookinfo/gw"])
            routes.append(self.virtual_service("reviews", namespace, size, hosts, gateways))
        if self.rare(0.15):
            routes.append(self.virtual_service("part", "bookinfo", size, [], None))
        if self.rare(0.15):
            wild = self.pick(["*.example.com"], ["api.example.com"], ["*.bookinfo.svc.cluster.local"])
            routes.append(self.virtual_service("edge", "a", size, wild, ["bookinfo/gw"]))
        if self.often(0.3):
            other = self.virtual_service("ratings", "bookinfo", 1, ["ratings"], None)
            other["spec"]["http"] = [{"route": [{"destination": {"host": "ratings", "subset": "v1"}}]}]
            routes.append(other)
        if self.often(0.15):
            kind = self.pick("HTTPRoute", "HTTPRoute", "GRPCRoute")
            routes.append(self.gateway_route(kind, "reviews-route", self.pick("bookinfo", "a"), size))
        if not routes and self.often(0.5):
            routes.append(self.gateway_route("HTTPRoute", "reviews", "bookinfo", size))
        rules = self.rules()
        self.random.shuffle(routes)
        self.random.shuffle(rules)
        return World(SERVICE, routes, rules)
