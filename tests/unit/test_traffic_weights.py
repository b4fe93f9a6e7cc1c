"""Weights of tcp and tls routes, and of the Gateway API; Services as destinations; the same promises for all."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from traffic_objects import bare, plan_split

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model, targets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

REVIEWS = Service("reviews", "bookinfo")
V1, V2 = "reviews-v1.bookinfo.svc.cluster.local", "reviews-v2.bookinfo.svc.cluster.local"


def vs(**spec):
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    return {"kind": "VirtualService", "metadata": metadata, "spec": {"hosts": ["reviews"], **spec}}


def to(host, weight=None, subset=None, port=None):
    destination = {
        "host": host,
        **({"subset": subset} if subset else {}),
        **({"port": {"number": port}} if port else {}),
    }
    return {"destination": destination, **({} if weight is None else {"weight": weight})}


def http_route(*backends, kind="HTTPRoute", parent="Service", **rule):
    refs = [{"group": "gateway.networking.k8s.io", "kind": parent, "name": "reviews"}]
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    return {
        "kind": kind,
        "metadata": metadata,
        "spec": {"parentRefs": refs, "rules": [{**rule, "backendRefs": list(backends)}]},
    }


def ref(name, weight=None, port=9080, **more):
    return {"name": name, "port": port, **({} if weight is None else {"weight": weight}), **more}


def rule(*subsets):
    spec = {"host": "reviews", "subsets": [{"name": name, "labels": {"version": name}} for name in subsets]}
    return {"kind": "DestinationRule", "metadata": {"name": "reviews", "namespace": "bookinfo"}, "spec": spec}


def split(obj, weights, **request):
    return plan_split(Request(REVIEWS, weights, **request), [obj], [rule("v1", "v2")])


@pytest.mark.parametrize("section", ["tcp", "tls"])
@pytest.mark.parametrize("match", [None, {"port": 9080}, {"gateways": ["gw"], "sniHosts": ["reviews"]}])
def test_tcp_and_tls(section, match):
    def obj(*weights):
        entries = [to("reviews", weight, subset) for subset, weight in zip(("v1", "v2"), weights)]
        return vs(**{section: [{**({"match": [match]} if match else {}), "route": entries}]})

    plan = split(obj(100, 0), {"v1": 9, "v2": 1})
    assert bare(plan) == obj(9, 1)
    assert split(obj(90, 10), {"v1": 9, "v2": 1}).steps == ()


def test_a_route_of_another_protocol_is_chosen_by_its_place():
    obj = vs(http=[{"route": [to("reviews", subset="v1")]}], tcp=[{"route": [to("reviews", subset="v1")]}])
    with pytest.raises(MeshopsError, match=r"Several.*http\[0\] of VirtualService.*tcp\[0\] of VirtualService"):
        split(obj, {"v2": 1})
    after = bare(split(obj, {"v2": 1}, route="tcp[0]"))
    assert after["spec"]["http"] == obj["spec"]["http"]
    assert after["spec"]["tcp"][0]["route"] == [to("reviews", 0, "v1"), to("reviews", 1, "v2")]


def test_conditions_on_the_source_of_a_connection_make_no_default_route():
    obj = vs(tcp=[{"match": [{"sourceLabels": {"app": "x"}}], "route": [to("reviews", subset="v1")]}])
    with pytest.raises(MeshopsError, match="none is a default route"):
        split(obj, {"v2": 1})


@pytest.mark.parametrize(
    ("before", "weights", "after"),
    [
        # absent is 1, and stays absent where it is wanted
        ([ref("reviews-v1")], {"reviews-v1": 1}, None),
        ([ref("reviews-v1")], {"reviews-v1": 100}, None),
        ([ref("reviews-v1"), ref("reviews-v2")], {"reviews-v1": 50, "reviews-v2": 50}, None),
        (
            [ref("reviews-v1"), ref("reviews-v2", 3)],
            {"reviews-v1": 1, "reviews-v2": 9},
            [ref("reviews-v1"), ref("reviews-v2", 9)],
        ),
        # a lone one with weight 0 has nothing
        ([ref("reviews-v1", 0)], {"reviews-v1": 5}, [ref("reviews-v1", 5)]),
        # the Service itself goes to 0, the others come behind it with its port
        (
            [ref("reviews", filters=[{"type": "x"}])],
            {"reviews-v1": 1, "reviews-v2:81": 1},
            [
                ref("reviews", 0, filters=[{"type": "x"}]),
                ref("reviews-v1", 1, group="", kind="Service"),
                ref("reviews-v2", 1, 81, group="", kind="Service"),
            ],
        ),
        (
            [ref("reviews-v1", 1)],
            {"reviews-v1": 1, "reviews-v2.other": 1},
            [ref("reviews-v1", 1), ref("reviews-v2", 1, group="", kind="Service", namespace="other")],
        ),
    ],
)
@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_gateway_api(before, weights, after, kind):
    plan = split(http_route(*before, kind=kind), weights)
    if after is None:
        assert plan.steps == ()
    else:
        assert bare(plan) == http_route(*after, kind=kind)


@pytest.mark.parametrize(
    ("obj", "weights", "word"),
    [
        (http_route(ref("reviews-v1"), ref("reviews-v1", 2)), {"reviews-v1": 1}, f"{V1} twice"),
        (http_route(ref("reviews-v1"), ref("other")), {"reviews-v1": 1}, "also sends 50 % to other.bookinfo.svc"),
        (http_route(ref("reviews-v1"), ref("x", kind="Bucket")), {"reviews-v1": 1}, "Bucket. bookinfo/x"),
        (http_route(ref("reviews-v1")), {"reviews-v1": 10**6 + 1, "reviews-v2": 1}, "up to 1000000"),
        (http_route(ref("reviews-v1"), {}), {"reviews-v1": 1}, "without a proper destination"),
        (http_route(ref("reviews-v1", "1")), {"reviews-v1": 1}, "the weight '1'"),
        (
            http_route(ref("reviews-v1", filters=[]), filters=[{"type": "RequestRedirect"}]),
            {"reviews-v1": 1},
            "redirect",
        ),
        (http_route(ref("reviews-v1", port=None)), {"reviews-v2": 1, "reviews-v1": 1}, "no port for reviews-v2"),
        (
            http_route(*[ref(f"s{n}", 0) for n in range(15)], ref("reviews-v1")),
            {"reviews-v1": 1, "b": 1},
            "more than 16",
        ),
        (http_route(ref("reviews-v1")), {"reviews-v1": 1, "*": 1}, "not the name of a Service"),
        (http_route(ref("reviews-v1")), {"reviews-v1": 1, "a:b:c": 1}, "is no Service"),
        (http_route(ref("reviews-v1")), {"reviews-v1": 1, "reviews-v1.bookinfo": 1}, "names the Service"),
    ],
)
def test_what_the_gateway_api_cannot_have_is_refused(obj, weights, word):
    with pytest.raises(MeshopsError) as refusal:
        split(obj, weights)
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "weights", "after"),
    [
        (
            [to("reviews")],
            {"reviews-v1": 1, "reviews-v2": 1},
            [to("reviews", 0), to("reviews-v1", 1), to("reviews-v2", 1)],
        ),
        (
            [to("reviews-v1", 1, port=80), to("reviews", 0, "v1", 80)],
            {"reviews-v1": 1, "reviews-v2": 3},
            [to("reviews-v1", 1, port=80), to("reviews", 0, "v1", 80), to("reviews-v2", 3, port=80)],
        ),
        ([to(V1)], {"reviews-v1": 1, "reviews-v2:81": 1}, [to(V1, 1), to(V2, 1, port=81)]),
        ([to("reviews-v1")], {"reviews-v1": 7}, None),
    ],
)
def test_services_in_a_virtual_service(before, weights, after):
    obj = vs(http=[{"route": before}])
    plan = split(obj, weights, services=True)
    assert bare(plan) == vs(http=[{"route": after or before}])
    assert [str(step) for step in plan.steps] == (["replace VirtualService bookinfo/reviews"] if after else [])


def test_a_split_between_services_is_created_without_subsets():
    plan = plan_split(Request(REVIEWS, {"reviews-v1": 1, "reviews-v2:81": 2}, services=True), [], [])
    (step,) = plan.steps
    route = step.after["spec"]["http"][0]["route"]
    assert route == [to("reviews-v1", 1), to("reviews-v2", 2, port=81)]
    assert plan_split(Request(REVIEWS, {"reviews-v1": 1, "reviews-v2": 2}, services=True), [step.after], []).steps == ()


def test_a_new_http_route_is_what_the_api_server_would_make_of_it():
    request = Request(REVIEWS, {"reviews-v1:9080": 1, "reviews-v2:9080": 3}, api="gateway")
    (step,) = plan_split(request, [], []).steps
    assert str(step) == "create HTTPRoute bookinfo/reviews"
    assert step.after["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert step.after["spec"]["rules"][0]["backendRefs"][1] == ref("reviews-v2", 3, group="", kind="Service")
    assert plan_split(request, [step.after], []).steps == ()
    with pytest.raises(MeshopsError, match="name:port"):
        plan_split(Request(REVIEWS, {"reviews-v1": 1}, api="gateway"), [], [])
    with pytest.raises(MeshopsError, match="HTTPRoute bookinfo/reviews already routes the host"):
        plan_split(Request(REVIEWS, {"v1": 1}, api="istio"), [step.after], [])


def test_the_api_narrows_the_choice():
    objects = [vs(http=[{"route": [to("reviews", subset="v1")]}]), http_route(ref("reviews"))]
    with pytest.raises(MeshopsError, match=r"Several routes.* HTTPRoute bookinfo/reviews"):
        targets.choose(objects, Request(REVIEWS, {"v1": 1}))
    assert targets.choose(objects, Request(REVIEWS, {"v1": 1}, api="gateway")).section == "rules"
    assert targets.choose(objects, Request(REVIEWS, {"v1": 1}, api="istio")).section == "http"


@pytest.mark.parametrize(
    ("matches", "default"),
    [
        ([{"path": {"type": "PathPrefix", "value": "/"}}], True),
        ([], True),
        ([{"path": {"type": "PathPrefix", "value": "/x"}}], False),
        ([{"headers": [{"name": "a", "value": "b"}]}], False),
    ],
)
def test_default_rules(matches, default):
    assert targets.is_default("rules", {"matches": matches}) is default


# --- properties ---------------------------------------------------------------------------------------------------

NAMES = ["reviews", "reviews-v1", "reviews-v2", "reviews-v3"]
extra = st.dictionaries(st.sampled_from(["filters", "xNew", "headers"]), st.sampled_from([None, {}, [], "0s", 1]))
wanted_maps = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 200), min_size=1).filter(lambda w: any(w.values()))


@st.composite
def objects(draw):
    """An object of any form with one route between Services, among strangers without weight."""
    section = draw(st.sampled_from(["http", "tcp", "tls", "rules"]))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    weights = [draw(st.none() | st.integers(0, 1000)) for _name in names]
    if section == "rules":
        entries = [{**draw(extra), **ref(name, weight)} for name, weight in zip(names, weights)]
        if draw(st.booleans()):
            entries.insert(draw(st.integers(0, len(entries))), ref("stranger", 0))
        return http_route(*entries, kind=draw(st.sampled_from(model.GATEWAY_KINDS)), xOther=draw(extra)), section
    entries = [{**draw(extra), **to(name, weight)} for name, weight in zip(names, weights)]
    return vs(**{section: [{"route": entries, **draw(extra)}]}), section


def shares(obj, section):
    entries = model.entries_of(obj, obj["spec"][section][0])
    absent = 1 if section == "rules" or len(entries) == 1 else 0
    weights = [absent if item.get("weight") is None else item["weight"] for item in entries]
    if section != "rules" and len(entries) == 1:
        weights = [1]
    total = sum(weights)
    hosts = [model.destination(obj, item, "cluster.local").host.split(".")[0] for item in entries]
    return {host: Fraction(weight, total) for host, weight in zip(hosts, weights) if weight}


def without_weights(obj, section, length):
    rest = copy.deepcopy(obj)
    entries = model.entries_of(rest, rest["spec"][section][0])
    del entries[length:]
    for item in entries:
        item.pop("weight", None)
    return json.dumps(rest)


@settings(max_examples=300, deadline=None)
@given(objects(), wanted_maps)
def test_properties_of_every_form(case, weights):
    obj, section = case
    request = Request(REVIEWS, weights, services=True)
    original = copy.deepcopy(obj)
    names = [item.host.split(".")[0] for item in entry_destinations(obj, section)]
    live = shares(obj, section)
    try:
        plan = plan_split(request, [obj], [])
    except MeshopsError:
        # a Service that nobody named has a share, or nothing in the route concerns the request
        assert set(live) - {*weights, "reviews"} or not set(names) & {*weights, "reviews"}
        return
    total = sum(weights.values())
    length = len(names)
    assert obj == original
    assert shares(bare(plan), section) == {name: Fraction(w, total) for name, w in weights.items() if w}
    assert without_weights(bare(plan), section, length) == without_weights(original, section, length)
    assert plan_split(request, [plan.main.after], []).steps == ()
    assert bool(plan.steps) == (live != shares(bare(plan), section))


def entry_destinations(obj, section):
    entries = model.entries_of(obj, obj["spec"][section][0])
    return [model.destination(obj, item, "cluster.local") for item in entries]


@settings(max_examples=200, deadline=None)
@given(objects(), st.data())
def test_there_and_back(case, data):
    obj, section = case
    names = [item.host.split(".")[0] for item in entry_destinations(obj, section)]
    own = [name for name in names if name != "stranger"]
    maps = st.fixed_dictionaries(dict.fromkeys(own, st.integers(0, 200))).filter(lambda w: any(w.values()))
    first, second = data.draw(maps), data.draw(maps)
    assume(len(own) > 1 or section == "rules")
    for item, name in zip(model.entries_of(obj, obj["spec"][section][0]), names):
        item["weight"] = first.get(name, 0)
    there = plan_split(Request(REVIEWS, second, services=True), [obj], []).main.after
    back = bare(plan_split(Request(REVIEWS, first, services=True), [there], []))
    ratios = [
        Fraction(first[name], sum(first.values())) == Fraction(second[name], sum(second.values())) for name in own
    ]
    assert json.dumps(back) == json.dumps(obj) or all(ratios)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["", "reviews", "Service"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["backendRefs", "name", "kind", "group", "namespace", "port", "weight", "matches", "filters"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
rules_of_any_shape = st.lists(
    anything | st.fixed_dictionaries({"backendRefs": st.lists(anything, max_size=3)}), max_size=3
)


@settings(max_examples=200, deadline=None)
@given(rules_of_any_shape | anything, anything)
def test_misshapen_routes_give_a_plan_or_a_sentence(rules, parents):
    obj = http_route()
    obj["spec"] = {"rules": rules, "parentRefs": parents}
    try:
        plan_split(Request(REVIEWS, {"reviews": 1, "reviews-v1:80": 1}), [obj], [])
    except MeshopsError as refusal:
        assert str(refusal).endswith(".")


def test_destinations_of_a_request():
    request = Request(REVIEWS, {"a": 1, "b.other:80": 2}, services=True)
    assert targets.destinations(request, True) == {
        Destination("a.bookinfo.svc.cluster.local"): 1,
        Destination("b.other.svc.cluster.local", port=80): 2,
    }
    assert targets.destinations(request, False)[Destination(REVIEWS.fqdn, "a")] == 1
