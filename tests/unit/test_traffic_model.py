"""Which Service, which route, which DestinationRule is meant."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model, targets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

REVIEWS = Service("reviews", "bookinfo")
FQDN = "reviews.bookinfo.svc.cluster.local"


def vs(name="reviews", namespace="bookinfo", http=None, **spec):
    return {
        "apiVersion": model.API_VERSION,
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": ["reviews"], "http": http if http is not None else [to("reviews")], **spec},
    }


def dr(name="reviews", namespace="bookinfo", host="reviews", subsets=("v1", "v2", "v3")):
    return {
        "apiVersion": model.API_VERSION,
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"host": host, "subsets": [{"name": subset, "labels": {"version": subset}} for subset in subsets]},
    }


def to(host, subset=None, **route):
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {**route, "route": [{"destination": destination}]}


@pytest.mark.parametrize(
    ("host", "namespace", "expected"),
    [
        ("reviews", "bookinfo", REVIEWS),
        ("reviews.bookinfo", None, REVIEWS),
        ("reviews.bookinfo", "bookinfo", REVIEWS),
        ("reviews.bookinfo.svc", None, REVIEWS),
        (FQDN, None, REVIEWS),
    ],
)
def test_service_of(host, namespace, expected):
    assert model.service_of(host, namespace) == expected


@pytest.mark.parametrize(
    ("host", "namespace", "word"),
    [
        ("reviews", None, "Set namespace"),
        ("reviews.bookinfo", "default", "namespace is default"),
        ("reviews.bookinfo.svc.other.domain", None, "cluster_domain"),
        ("*.bookinfo", None, "not the name"),
        ("", "bookinfo", "not the name"),
        ("reviews..svc", None, "not the name"),
    ],
)
def test_service_of_refuses(host, namespace, word):
    with pytest.raises(MeshopsError, match=word):
        model.service_of(host, namespace)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("reviews", "reviews.a.svc.cluster.local"),
        ("reviews.bookinfo", "reviews.bookinfo"),  # istiod does not complete it
        (FQDN, FQDN),
        ("*", "*"),
        ("10.0.0.1", "10.0.0.1"),
        ("", ""),
        (None, ""),
        (["reviews"], ""),
    ],
)
def test_resolve_as_istiod(host, expected):
    assert model.resolve(host, "a") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [(FQDN, True), ("*", True), ("*.bookinfo.svc.cluster.local", True), ("*.other.svc.cluster.local", False)],
)
def test_covers(host, expected):
    assert model.covers(host, FQDN) is expected


JASON = {"match": [{"headers": {"end-user": {"exact": "jason"}}}]}
OTHER_NAMESPACE = vs("shop", "ingress", [to(FQDN, name="main")], hosts=["shop.example.com"], gateways=["gw"])


@pytest.mark.parametrize(
    ("objects", "virtual_service", "route", "expected"),
    [
        ([], None, None, (None, (), "reviews")),
        ([], "mine", None, (None, (), "mine")),
        ([], "mine", "all", (None, (), "mine")),
        ([vs()], None, None, ("reviews", (0,), "reviews")),
        ([vs(http=[to("reviews", "v2", **JASON), to("reviews", "v3")])], None, None, ("reviews", (1,), "reviews")),
        ([vs(http=[to("reviews", "v2", **JASON), to("reviews")])], None, "http[0]", ("reviews", (0,), "reviews")),
        ([vs(http=[to("reviews", name="a"), to("reviews", name="b")])], None, "b", ("reviews", (1,), "reviews")),
        ([vs(http=[to("reviews"), to("reviews")])], None, "all", ("reviews", (0, 1), "reviews")),
        ([vs(http=[to("reviews", match=[{"uri": {"prefix": "/"}}])])], None, None, ("reviews", (0,), "reviews")),
        ([vs(http=[to("reviews", match=[{"gateways": ["mesh"]}])])], None, None, ("reviews", (0,), "reviews")),
        ([vs(), OTHER_NAMESPACE], "reviews", None, ("reviews", (0,), "reviews")),
        ([vs(), OTHER_NAMESPACE], "ingress/shop", "main", ("shop", (0,), "shop")),
        ([OTHER_NAMESPACE], None, None, ("shop", (0,), "shop")),
        # beside a gateway's object one for the mesh can be asked for
        ([OTHER_NAMESPACE], "reviews", None, (None, (), "reviews")),
        # the same short name means another Service in another namespace
        ([vs("reviews", "other")], None, None, (None, (), "reviews")),
        ([vs("reviews", "bookinfo", [to("ratings")], hosts=["ratings"])], "mine", None, (None, (), "mine")),
        # a root that delegates: the route is in the delegate
        (
            [vs("root", http=[{"delegate": {"name": "part"}}]), vs("part", hosts=[])],
            None,
            None,
            ("part", (0,), "part"),
        ),
    ],
)
def test_choose(objects, virtual_service, route, expected):
    target = targets.choose(objects, Request(REVIEWS, {"v1": 1}, virtual_service, route))
    name = target.obj and model.name_of(target.obj)
    assert (name, target.indexes, target.name) == expected


@pytest.mark.parametrize(
    ("objects", "virtual_service", "route", "words"),
    [
        ([vs(), OTHER_NAMESPACE], None, None, ["Several", "bookinfo/reviews", "http[0] (main)", "ingress/shop"]),
        ([vs(), OTHER_NAMESPACE], None, "all", ["Several", "bookinfo/reviews", "ingress/shop"]),
        ([vs(http=[to("reviews"), to("reviews")])], None, None, ["Several", "http[0]", "http[1]"]),
        ([vs(http=[to("reviews", **JASON)])], None, None, ["none is a default route", "http[0]"]),
        ([vs()], None, "nope", ["No http route nope", "http[0]"]),
        ([vs()], None, "http[7]", ["No http route http[7]"]),
        ([vs()], "nope", None, ["already routes", "bookinfo/reviews"]),
        ([vs()], "other/nope", None, ["There is no VirtualService other/nope"]),
        ([vs("r", http=[to("ratings")]), vs("s", "x", [to(FQDN)])], "r", None, ["r has no http route", "x/s"]),
        ([vs(http=[to("ratings")])], None, None, ["already routes the host", "Give it an http route"]),
        ([vs(http=[], hosts=["*.bookinfo.svc.cluster.local"])], None, None, ["already routes the host"]),
        ([vs("reviews", http=[to("ratings")], hosts=["ratings"])], None, None, ["exists and does not route"]),
        ([], None, "main", ["no http route main"]),
    ],
)
def test_choose_refuses_with_the_candidates(objects, virtual_service, route, words):
    with pytest.raises(MeshopsError) as refusal:
        targets.choose(objects, Request(REVIEWS, {"v1": 1}, virtual_service, route))
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("rules", "route_namespace", "expected"),
    [
        ([], "bookinfo", []),
        ([dr()], "bookinfo", ["reviews"]),
        ([dr(), dr("more", subsets=["v4"])], "bookinfo", ["more", "reviews"]),
        ([dr("far", "other", "reviews")], "bookinfo", []),
        ([dr("far", "other", FQDN)], "bookinfo", []),
        ([dr("far", "other", FQDN), dr()], "other", ["far"]),
        ([dr("root", "istio-system", FQDN), dr()], "bookinfo", ["reviews"]),
        ([dr("root", "istio-system", "*.local")], "bookinfo", ["root"]),
        ([dr("wide", host="*.bookinfo.svc.cluster.local"), dr()], "bookinfo", ["reviews"]),
        ([dr("dead", host="reviews.bookinfo")], "bookinfo", []),
    ],
)
def test_governing_rules(rules, route_namespace, expected):
    assert [model.name_of(rule) for rule in model.governing_rules(rules, REVIEWS, route_namespace)] == expected


def test_the_first_subset_of_a_name_counts():
    other = dr("b", subsets=["v4"])
    other["spec"]["subsets"].append({"name": "v1", "labels": {"version": "other"}})
    subsets = model.subsets_of([dr("a"), other])
    assert list(subsets) == ["v1", "v2", "v3", "v4"]
    assert subsets["v1"] == {"version": "v1"}
