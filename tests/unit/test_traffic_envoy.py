"""What proxies have to have and what they have: recorded from Envoy, and translated from generated objects."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.module_utils.traffic import envoy
from ansible_collections.meshops.istio.plugins.module_utils.traffic.delegates import merged, roots_of
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import (
    Ports,
    Viewer,
    expected_routes,
    expected_rules,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_observed import (
    cluster_names,
    config_of,
    deviations,
    observed_routes,
    rule_deviations,
)

REVIEWS = "reviews.bookinfo.svc.cluster.local"
GATEWAY = Viewer(frozenset({"bookinfo/bookinfo-gateway"}), "istio-system")
SIDECAR = Viewer(frozenset({"mesh"}), "bookinfo", {"app": "productpage"})
SERVICES = {REVIEWS: [9080]}
PRODUCTPAGE = {"destination": {"host": "productpage", "port": {"number": 9080}}}
PATHS = [{"exact": "/productpage"}, {"prefix": "/static"}, {"exact": "/login"}, {"exact": "/logout"}]


def recorded(name):
    return json.loads((Path(__file__).parent / "recorded" / f"envoy_{name}.json").read_text(encoding="utf-8"))


def vs(*http, name="reviews", **spec):
    return {
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "bookinfo"},
        "spec": {"hosts": ["reviews"], "http": list(http), **spec},
    }


def to(**weights):
    return [
        {"destination": {"host": "reviews", "subset": subset}, **({} if weight is None else {"weight": weight})}
        for subset, weight in weights.items()
    ]


def cluster(subset="", host=REVIEWS, port=9080):
    return f"outbound|{port}|{subset}|{host}"


BOOKINFO = vs(
    {"match": [{"uri": uri} for uri in [*PATHS, {"prefix": "/api/v1/products"}]], "route": [PRODUCTPAGE]},
    name="bookinfo",
    hosts=["*"],
    gateways=["bookinfo-gateway"],
)


def test_the_recorded_gateway_has_the_routes_of_bookinfo():
    routes = recorded("gateway_routes")
    assert deviations(BOOKINFO, GATEWAY, routes) == []
    (seen,) = list(observed_routes(routes, config_of(BOOKINFO)).values())
    assert [route.match for route in seen] == [
        "path /productpage",
        "prefix /static",
        "path /login",
        "path /logout",
        "prefix /api/v1/products",
    ]


def test_the_recorded_gateway_differs_from_another_object():
    routes = recorded("gateway_routes")
    other = copy.deepcopy(BOOKINFO)
    other["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v2"
    other["spec"]["http"][0]["timeout"] = "2s"
    assert deviations(other, GATEWAY, routes)[:2] == [
        "*:8080 has productpage.bookinfo 100 % instead of v2 of productpage.bookinfo 100 % for path /productpage",
        "*:8080 has timeout 0 s instead of 2 s for path /productpage",
    ]
    other = copy.deepcopy(BOOKINFO)
    other["spec"]["http"][0]["match"][1] = {"uri": {"prefix": "/other"}}
    assert deviations(other, GATEWAY, routes) == [
        "*:8080 has no route for prefix /other",
        "*:8080 has still a route for prefix /static",
    ]
    other["spec"]["http"][0]["match"] = list(reversed(BOOKINFO["spec"]["http"][0]["match"]))
    assert "in the order path /productpage, prefix /static" in deviations(other, GATEWAY, routes)[0]


def test_a_sidecar_without_the_route_lags_and_others_are_not_concerned():
    routes = recorded("sidecar_routes")
    assert deviations(vs({"route": to(v1=1)}), SIDECAR, routes) == ["no route of VirtualService bookinfo/reviews"]
    assert deviations(vs({"match": [{"port": 9080}], "route": to(v1=1)}), SIDECAR, routes) != []
    assert deviations(BOOKINFO, SIDECAR, routes) == []


def test_clusters_recorded():
    names = cluster_names(recorded("sidecar_clusters"))
    assert {cluster("v1"), cluster("v3"), "BlackHoleCluster"} <= names
    ports = Ports(9080)
    assert envoy.missing_clusters(expected_routes(vs({"route": to(v1=1, v3=1)}), SIDECAR, ports), names) == []
    wanted = expected_routes(vs({"route": to(v1=1, v9=1), "mirror": {"host": "ratings"}}), SIDECAR, ports)
    assert envoy.missing_clusters(wanted, names) == [
        cluster("v9"),
        cluster(host="ratings.bookinfo.svc.cluster.local"),
    ]


def test_a_subset_is_free_when_no_route_of_any_proxy_names_it():
    document = [
        recorded("sidecar_routes"),
        {"cluster": cluster("v2")},
        {"tcpProxy": {"cluster": cluster("v1", port=1)}},
    ]
    assert envoy.unnamed_subsets(REVIEWS, ["v1", "v2", "v3"], [document[0], document[1:]]) == ["v3"]
    assert envoy.Cluster(REVIEWS, 9080) in envoy.named_clusters(document[0])


def snake(value):
    """The same document in the notation of config_dump."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key): snake(item)
        for key, item in value.items()
    }


def test_both_notations_and_a_whole_dump_are_read():
    routes = recorded("gateway_routes")
    wrapped = [{"@type": "x", "version_info": "1", "route_config": snake(table)} for table in routes]
    other = {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapDump", "bootstrap": {}}
    whole = {"configs": [other, {"@type": "RoutesConfigDump", "dynamic_route_configs": wrapped}]}
    for document in ({"configs": wrapped}, whole):
        assert observed_routes(document, config_of(BOOKINFO)) == observed_routes(routes, config_of(BOOKINFO))
    clusters = [{"version_info": "1", "cluster": item} for item in snake(recorded("sidecar_clusters"))]
    assert cluster_names({"configs": clusters}) == cluster_names(recorded("sidecar_clusters"))
    assert observed_routes({}, "x") == observed_routes(None, "x") == {}


@pytest.mark.parametrize(
    ("route", "shares"),
    [
        ({"route": to(v1=50, v3=50)}, {"v1": Fraction(1, 2), "v3": Fraction(1, 2)}),
        ({"route": to(v1=1, v2=0, v3=2)}, {"v1": Fraction(1, 3), "v3": Fraction(2, 3)}),
        ({"route": to(v1=None)}, {"v1": 1}),
        ({"route": to(v1=0)}, {"v1": 1}),
        ({"route": to(v1=None, v2=7)}, {"v2": 1}),
        ({"redirect": {"uri": "/"}}, {}),
        ({"directResponse": {"status": 503}}, {}),
    ],
)
def test_shares(route, shares):
    (made,) = expected_routes(vs(route), SIDECAR, Ports(9080))
    assert made.shares == {cluster(subset): share for subset, share in shares.items()}


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (None, "prefix /"),
        ({}, "prefix /"),
        ({"uri": {"exact": "/a"}, "ignoreUriCase": True}, "path /a in any case"),
        ({"uri": {"regex": "/a+"}}, "regex /a+"),
        ({"headers": {"end-user": {"exact": "jason"}}}, "prefix / and header end-user = jason"),
        ({"headers": {"a": {}, "b": {"regex": "*"}}}, "prefix / and header a and header b"),
        ({"withoutHeaders": {"a": {"prefix": "x"}}}, "prefix / and not header a starts with x"),
        ({"queryParams": {"a": {"regex": "x+"}}}, "prefix / and query a ~ x+"),
        ({"method": {"exact": "GET"}, "port": 80, "gateways": ["mesh"]}, "prefix / and header :method = GET"),
        ({"headers": {"@request.auth.claims.group": {"exact": "x"}}}, "prefix / and 1 claims"),
    ],
)
def test_match_in_words(match, words):
    http = {"route": to(v1=1), **({} if match is None else {"match": [match]})}
    (made,) = expected_routes(vs(http), SIDECAR, Ports(80))
    assert made.match == words


@pytest.mark.parametrize(
    ("match", "viewer", "concerned"),
    [
        ({"port": 80}, SIDECAR, False),
        ({"port": 9080}, SIDECAR, True),
        ({"gateways": ["bookinfo-gateway"]}, SIDECAR, False),
        ({"gateways": ["bookinfo-gateway"]}, GATEWAY, True),
        ({"gateways": ["bookinfo/bookinfo-gateway", "mesh"]}, GATEWAY, True),
        ({"sourceLabels": {"app": "productpage"}}, SIDECAR, True),
        ({"sourceLabels": {"app": "other"}}, SIDECAR, False),
        ({"sourceNamespace": "other"}, SIDECAR, False),
        ({"sourceNamespace": "bookinfo"}, SIDECAR, True),
    ],
)
def test_which_proxies_a_match_concerns(match, viewer, concerned):
    obj = vs({"match": [match], "route": to(v1=1)}, gateways=["mesh", "bookinfo-gateway"])
    assert len(expected_routes(obj, viewer, Ports(9080))) == concerned


def test_nothing_follows_a_route_for_everything():
    obj = vs({"match": [{"uri": {"prefix": "/"}}, {"uri": {"exact": "/x"}}], "route": to(v1=1)}, {"route": to(v2=1)})
    assert [route.match for route in expected_routes(obj, SIDECAR, Ports(9080))] == ["prefix /"]


@pytest.mark.parametrize(
    ("services", "destination", "port"),
    [
        ({}, {"host": "reviews"}, 7),
        ({REVIEWS: [9080]}, {"host": "reviews"}, 9080),
        ({REVIEWS: [9080, 9443]}, {"host": "reviews"}, 7),
        ({REVIEWS: [9080]}, {"host": "reviews", "port": {"number": 1}}, 1),
    ],
)
def test_the_port_of_a_cluster(services, destination, port):
    (made,) = expected_routes(vs({"route": [{"destination": destination}]}), SIDECAR, Ports(7, services))
    assert made.shares == {cluster(port=port): 1}


EXTRAS = {
    "route": to(v1=9, v2=1),
    "match": [{"headers": {"end-user": {"exact": "jason"}}, "uri": {"prefix": "/r"}}],
    "mirrors": [{"destination": {"host": "reviews", "subset": "v3"}, "percentage": {"value": 12.5}}],
    "fault": {
        "delay": {"fixedDelay": "2s", "percentage": {"value": 50}},
        "abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 1}},
    },
    "timeout": "0.5s",
    "retries": {"attempts": 3},
    "name": "canary",
}
EXTRAS_IN_ENVOY = {
    "name": "canary",
    "match": {
        "prefix": "/r",
        "caseSensitive": True,
        "headers": [{"name": "end-user", "stringMatch": {"exact": "jason"}}],
    },
    "route": {
        "weightedClusters": {
            "clusters": [{"name": cluster("v1"), "weight": 9}, {"name": cluster("v2"), "weight": 1}],
        },
        "timeout": "0.500s",
        "retryPolicy": {"numRetries": 3},
        "requestMirrorPolicies": [
            {
                "cluster": cluster("v3"),
                "runtimeFraction": {"defaultValue": {"numerator": 125000, "denominator": "MILLION"}},
            }
        ],
    },
    "metadata": {"filterMetadata": {"istio": {"config": config_of(vs())}}},
    "typedPerFilterConfig": {
        "envoy.filters.http.fault": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixedDelay": "2s", "percentage": {"numerator": 500000, "denominator": "MILLION"}},
            "abort": {"grpcStatus": 14, "percentage": {"numerator": 10000, "denominator": "MILLION"}},
        }
    },
}


def document(*routes):
    return [{"name": "9080", "virtualHosts": [{"name": f"{REVIEWS}:9080", "routes": list(routes)}]}]


def test_mirror_fault_timeout_and_retries():
    assert deviations(vs(EXTRAS), SIDECAR, document(EXTRAS_IN_ENVOY), SERVICES) == []
    assert deviations(vs(EXTRAS), SIDECAR, {"configs": [{"route_config": snake(document(EXTRAS_IN_ENVOY)[0])}]}) == []
    bare = {key: EXTRAS[key] for key in ("route", "match")}
    assert deviations(vs({**bare, "retries": {"attempts": 0}}), SIDECAR, document(EXTRAS_IN_ENVOY)) == [
        f"{REVIEWS}:9080 has {text} for prefix /r and header end-user = jason"
        for text in (
            "mirror v3 of reviews.bookinfo 12.5 % instead of nowhere",
            "delay of 2 s for 50 %, abort with grpc 14 for 1 % instead of no fault",
            "timeout 0.5 s instead of 0 s",
            "3 retries instead of 0",
        )
    ]


def test_delegates_are_merged():
    root = vs({"match": [{"uri": {"prefix": "/r"}}], "delegate": {"name": "part", "namespace": "shop"}, "name": "top"})
    part = vs(
        {"match": [{"uri": {"prefix": "/r/x"}}], "route": to(v1=1), "name": "x"},
        {"match": [{"uri": {"prefix": "/other"}}], "route": to(v1=1)},
        {"route": to(v2=1)},
    )
    part["metadata"] = {"name": "part", "namespace": "shop"}
    whole, problems = merged(root, [root, part])
    assert [(route["name"], route["match"]) for route in whole["spec"]["http"]] == [
        ("top-x", [{"uri": {"prefix": "/r/x"}}]),
        ("top", [{"uri": {"prefix": "/r"}}]),
    ]
    assert whole["spec"]["http"][0]["route"][0]["destination"]["host"] == "reviews.shop.svc.cluster.local"
    assert len(problems) == 1
    assert "http[1] of VirtualService shop/part is not in force" in problems[0]
    assert roots_of([root, part], part) == [root]
    assert "which is not there" in merged(root, [root])[1][0]


@pytest.mark.parametrize(
    ("backends", "shares"),
    [
        ([("reviews-v1", None), ("reviews-v2", 3)], {"reviews-v1": Fraction(1, 4), "reviews-v2": Fraction(3, 4)}),
        ([("reviews-v1", None)], {"reviews-v1": 1}),
        ([("reviews-v1", 0), ("reviews-v2", 5)], {"reviews-v2": 1}),
        ([("reviews-v1", 0)], {}),
    ],
)
def test_http_routes(backends, shares):
    refs = [{"name": name, "port": 80, **({} if weight is None else {"weight": weight})} for name, weight in backends]
    http_route = {"metadata": {"name": "r", "namespace": "bookinfo"}, "spec": {"rules": [{"backendRefs": refs}]}}
    wanted = {cluster(host=f"{name}.bookinfo.svc.cluster.local", port=80): share for name, share in shares.items()}
    assert expected_rules(http_route) == {"bookinfo.r.0": wanted}
    clusters = [{"name": name, "weight": int(share * 4)} for name, share in wanted.items()]
    seen = {"name": "bookinfo.r.0", "match": {"prefix": "/"}, "route": {"weightedClusters": {"clusters": clusters}}}
    assert rule_deviations(http_route, document(seen)) == []
    assert rule_deviations(http_route, document()) == ["no route bookinfo.r.0"]
    other = {**seen, "route": {"cluster": "x"}}
    assert rule_deviations(http_route, document(other))[0].startswith("bookinfo.r.0 has x 100 % instead of")


# --- properties ---------------------------------------------------------------------------------------------------

strings = st.sampled_from([{"exact": "/a"}, {"prefix": "/b"}, {"regex": "c+"}, {}])
matches = st.fixed_dictionaries(
    {},
    optional={
        "uri": strings,
        "headers": st.dictionaries(st.sampled_from("xyz"), strings, max_size=2),
        "queryParams": st.dictionaries(st.sampled_from("xyz"), strings, max_size=2),
        "port": st.sampled_from([9080, 80]),
    },
)
splits = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 100), min_size=1).filter(
    lambda weights: any(weights.values())
)
http_routes = st.builds(lambda m, w: {"match": m, "route": to(**w)}, st.lists(matches, max_size=2), splits)


def envoy_string(match):
    ((kind, value),) = match.items() or {("present", None)}
    if kind == "present":
        return {"presentMatch": True}
    return {"stringMatch": {"safeRegex": {"regex": value}} if kind == "regex" else {kind: value}}


def to_envoy(route, match):
    """What istiod writes for one match of one route, made independently of the code under test."""
    uri = (match or {}).get("uri") or {"prefix": "/"}
    ((kind, value),) = uri.items()
    path = {"exact": {"path": value}, "prefix": {"prefix": value}, "regex": {"safeRegex": {"regex": value}}}[kind]
    conditions = {
        target: [{"name": name, **envoy_string(item)} for name, item in (match or {}).get(field, {}).items()]
        for field, target in (("headers", "headers"), ("queryParams", "queryParameters"))
    }
    entries = [(cluster(item["destination"]["subset"]), item["weight"]) for item in route["route"]]
    if len(entries) == 1:
        action = {"cluster": entries[0][0]}
    else:
        action = {"weightedClusters": {"clusters": [{"name": n, "weight": w} for n, w in entries if w]}}
    metadata = {"filterMetadata": {"istio": {"config": config_of(vs())}}}
    return {"match": {**path, **conditions}, "route": {**action, "timeout": "0s"}, "metadata": metadata}


@settings(max_examples=200, deadline=None)
@given(st.lists(http_routes, min_size=1, max_size=4))
def test_what_istiod_makes_is_what_is_expected(http):
    made = [to_envoy(route, match) for route in http for match in route["match"] or [None]]
    pairs = [match for route in http for match in route["match"] or [None]]
    made = [item for item, match in zip(made, pairs) if (match or {}).get("port") in (None, 9080)]
    for index, item in enumerate(made):
        alone = not item["match"]["headers"] and not item["match"]["queryParameters"]
        if item["match"].get("prefix") == "/" and alone:
            del made[index + 1 :]
            break
    before = copy.deepcopy(http)
    for doc in (document(*made), {"configs": [{"route_config": snake(document(*made)[0])}]}):
        assert deviations(vs(*http), SIDECAR, doc, SERVICES) == []
    assert http == before
    if made:
        assert deviations(vs(*http), SIDECAR, document(*made[:-1]), SERVICES) != []
