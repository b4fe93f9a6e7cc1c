"""An edit changes the weights it was asked to change and nothing else."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic_objects import plan_split

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request, destinations

REVIEWS = Service("reviews", "bookinfo")
FQDN = "reviews.bookinfo.svc.cluster.local"


def entry(subset=None, weight=None, host="reviews", **more):
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": destination, **({} if weight is None else {"weight": weight}), **more}


def vs(*entries, **route):
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "bookinfo", "resourceVersion": "7"},
        "spec": {"hosts": ["reviews"], "http": [{**route, "route": list(entries)}]},
    }


def set_weights(obj, indexes, service, weights):
    """The split between subsets."""
    return edit.set_weights(obj, indexes, service, destinations(Request(service, weights), False))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"v1": 50, "v3": 50}, {"v1": 50, "v3": 50}),
        ({"v1": "50", "v3": " 0 "}, {"v1": 50, "v3": 0}),
        ({1: 3}, {"1": 3}),
    ],
)
def test_parse_weights(weights, expected):
    assert edit.parse_weights(weights) == expected


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        ({}, "empty"),
        (None, "empty"),
        ({"v1": -1, "v2": 5}, "weight of v1 is -1, which is negative"),
        ({"v1": "-3"}, "negative"),
        ({"v1": 0, "v3": 0}, "v1, v3 are all zero"),
        ({"v1": "many"}, "'many', which is no whole number"),
        ({"v1": 33.3}, "no whole number"),
        ({"v1": True}, "no whole number"),
        ({"v1": None}, "no whole number"),
        ({"v1": [1]}, "no whole number"),
        ({"v1": "--1"}, "no whole number"),
        ({"v1": "²"}, "no whole number"),
        ({"v1": 2**31}, "add up to more"),
    ],
)
def test_parse_weights_refuses(weights, word):
    try:
        edit.parse_weights(weights)
    except MeshopsError as error:
        assert word in str(error)
    else:
        pytest.fail("accepted")


def test_the_order_of_the_keys_is_of_no_account():
    assert list(edit.parse_weights({"v3": 1, "v1": 1})) == ["v1", "v3"]


def test_percentages():
    assert edit.percentages({"v1": 1, "v2": 2, "v3": 0}) == {"v1": 33.33, "v2": 66.67, "v3": 0}
    assert repr(edit.percentages({"v1": 1, "v3": 1})) == "{'v1': 50, 'v3': 50}"


@pytest.mark.parametrize(
    ("before", "weights", "after"),
    [
        ([entry("v1", 80), entry("v3", 20)], {"v1": 50, "v3": 50}, [entry("v1", 50), entry("v3", 50)]),
        # not named: weight 0, in its place, with its headers
        (
            [entry("v2", 90, headers={"request": {"set": {"a": "b"}}}), entry("v1", 10)],
            {"v1": 1},
            [entry("v2", 0, headers={"request": {"set": {"a": "b"}}}), entry("v1", 1)],
        ),
        ([entry()], {"v1": 50, "v3": 50}, [entry(weight=0), entry("v1", 50), entry("v3", 50)]),
        ([entry("v1")], {"v1": 9, "v2": 1}, [entry("v1", 9), entry("v2", 1)]),
        # absent is 0 among several, and stays absent
        ([entry("v1", 1), entry("v2")], {"v1": 0, "v3": 1}, [entry("v1", 0), entry("v2"), entry("v3", 1)]),
        # all zero has no shares, so anything is a change
        ([entry("v1", 0), entry("v2", 0)], {"v1": 1, "v2": 1}, [entry("v1", 1), entry("v2", 1)]),
        # a new destination is spelled like its brothers
        ([entry("v1", 1, host=FQDN)], {"v2": 1}, [entry("v1", 0, host=FQDN), entry("v2", 1, host=FQDN)]),
        # a stranger without share stays
        ([entry(None, 0, "old"), entry("v1", 1)], {"v2": 2}, [entry(None, 0, "old"), entry("v1", 0), entry("v2", 2)]),
    ],
)
def test_set_weights(before, weights, after):
    assert set_weights(vs(*before), [0], REVIEWS, weights) == vs(*after)


@pytest.mark.parametrize(
    ("before", "weights"),
    [
        ([entry("v1", 50), entry("v3", 50)], {"v1": 1, "v3": 1}),
        ([entry("v3", 7), entry("v1", 7)], {"v1": 50, "v3": 50}),
        ([entry("v1")], {"v1": 100}),
        ([entry("v1", 3)], {"v1": 100, "v2": 0}),
        ([entry("v1", 3), entry("v2", 0), entry()], {"v1": 100}),
    ],
)
def test_shares_in_effect_are_not_written_again(before, weights):
    obj = vs(*before)
    assert set_weights(obj, [0], REVIEWS, weights) is obj


def test_a_new_destination_gets_the_port_of_its_brothers():
    first = {"destination": {"host": "reviews", "port": {"number": 9080}, "subset": "v1"}}
    after = set_weights(vs(first), [0], REVIEWS, {"v1": 1, "v2": 1})
    assert after["spec"]["http"][0]["route"][1]["destination"]["port"] == {"number": 9080}


@pytest.mark.parametrize(
    ("obj", "word"),
    [
        (vs(entry("v1", 50), entry("v1", 50)), "subset v1 of reviews.bookinfo twice"),
        (vs(entry(None, 50), entry(None, 50), entry("v1")), "without subset twice"),
        (vs(entry("v1", 50), entry(None, 50, "old")), "also sends 50 % to old"),
        (vs(entry("v1", 50), entry("v2", 50, "reviews.other.svc.cluster.local")), "also sends 50 %"),
        (vs(entry("v1", "50")), "the weight '50'"),
        (vs(entry("v1", -1), entry("v2", 2)), "the weight -1"),
        (vs(entry("v1", 1), {"weight": 1}), "without a proper destination"),
        (vs(entry("v1", 1), None), "without a proper destination"),
        (vs(entry(["v1"], 1)), "without a proper destination"),
        (vs(entry("v1"), delegate={"name": "x"}), "is a delegate"),
        (vs(entry("v1"), redirect={"uri": "/"}), "is a redirect"),
    ],
)
def test_what_cannot_be_edited_is_refused(obj, word):
    with pytest.raises(MeshopsError) as refusal:
        set_weights(obj, [0], REVIEWS, {"v1": 1, "v2": 1})
    assert word in str(refusal.value)
    assert "http[0] of VirtualService bookinfo/reviews" in str(refusal.value)


def test_several_ports_and_a_new_subset_are_refused():
    ports = [{"destination": {"host": "reviews", "subset": f"v{n}", "port": {"number": n}}} for n in (1, 2)]
    with pytest.raises(MeshopsError, match="several ports"):
        set_weights(vs(*ports), [0], REVIEWS, {"v3": 1})


# --- properties ---------------------------------------------------------------------------------------------------

SUBSETS = ["v1", "v2", "v3", "canary"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "0s", "5.000s", "é"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "route"]), inner, max_size=2)
    ),
    max_leaves=4,
)
unknown = st.dictionaries(st.sampled_from(["mirror", "fault", "xNew", "timeout", "retries", "headers"]), json_values)
weights_maps = st.dictionaries(st.sampled_from(SUBSETS), st.integers(0, 200), min_size=1).filter(
    lambda weights: any(weights.values())
)


@st.composite
def routes(draw):
    own = draw(st.lists(st.sampled_from([None, *SUBSETS]), min_size=1, max_size=4, unique=True))
    host = draw(st.sampled_from(["reviews", FQDN]))
    entries = [{**draw(unknown), **entry(subset, draw(st.none() | st.integers(0, 100)), host)} for subset in own]
    if draw(st.booleans()):
        entries.insert(
            draw(st.integers(0, len(entries))), entry("v1", draw(st.sampled_from([None, 0])), "reviews.other")
        )
    return {**draw(unknown), "route": entries}


@st.composite
def virtual_services(draw):
    others = st.one_of(
        json_values,
        st.just({"match": [{"uri": {"exact": "/x"}}], "route": [entry("v1")]}),
        st.just({"redirect": {"uri": "/y"}}),
        st.just({"delegate": {"name": "z"}}),
    )
    before, after = draw(st.lists(others, max_size=2)), draw(st.lists(others, max_size=2))
    spec = {**draw(unknown), "hosts": ["reviews"], "http": [*before, draw(routes()), *after], "tcp": draw(json_values)}
    metadata = {"name": "reviews", "namespace": "bookinfo", "annotations": {"kubectl": "x"}, "finalizers": ["keep"]}
    obj = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}
    return {**obj, "status": draw(json_values)}, len(before)


def shares(route):
    entries = route["route"]
    weights = [1] if len(entries) == 1 else [item.get("weight") or 0 for item in entries]
    total = sum(weights)
    found = {}
    for item, weight in zip(entries, weights):
        if weight:
            found[item["destination"]["host"], item["destination"].get("subset")] = Fraction(weight, total)
    return found


def without_weights(obj, index, length):
    """The object without the weights, and the appended destinations, of one route."""
    rest = copy.deepcopy(obj)
    entries = rest["spec"]["http"][index]["route"]
    del entries[length:]
    for item in entries:
        item.pop("weight", None)
    return json.dumps(rest, sort_keys=False)


@settings(max_examples=300, deadline=None)
@given(virtual_services(), weights_maps)
def test_properties_of_an_edit(case, weights):
    obj, index = case
    original = copy.deepcopy(obj)
    after = set_weights(obj, [index], REVIEWS, weights)
    route = after["spec"]["http"][index]
    host = next(
        item["destination"]["host"] for item in route["route"] if item["destination"]["host"] != "reviews.other"
    )
    total = sum(weights.values())

    assert obj == original, "the input is not changed"
    wanted = {(host, subset): Fraction(weight, total) for subset, weight in weights.items() if weight}
    assert shares(route) == wanted, "the effective shares are those asked for"
    length = len(original["spec"]["http"][index]["route"])
    assert without_weights(after, index, length) == without_weights(original, index, length), "only weights differ"
    assert all(set(item) == {"destination", "weight"} for item in route["route"][length:])
    assert set_weights(after, [index], REVIEWS, weights) is after, "a repeat is no change"


@settings(max_examples=300, deadline=None)
@given(virtual_services(), st.data())
def test_split_and_back_restores(case, data):
    """For weights that are all written out; other teams' fields, and destinations without subset, come through too."""
    start, index = case
    entries = start["spec"]["http"][index]["route"]
    own = [item for item in entries if item["destination"]["host"] != "reviews.other"]
    names = [item["destination"]["subset"] for item in own if "subset" in item["destination"]]
    maps = st.fixed_dictionaries(dict.fromkeys(names, st.integers(0, 200))).filter(
        lambda weights: any(weights.values())
    )
    if not names:
        return
    first, second = data.draw(maps), data.draw(maps)
    for item in own:
        item["weight"] = first.get(item["destination"].get("subset"), 0)

    there = set_weights(start, [index], REVIEWS, second)
    assert json.dumps(set_weights(there, [index], REVIEWS, first)) == json.dumps(start)


@settings(max_examples=200, deadline=None)
@given(st.lists(json_values | virtual_services().map(lambda case: case[0]), max_size=3), weights_maps)
def test_odd_objects_give_a_plan_or_a_sentence(objects, weights):
    request = Request(REVIEWS, weights)
    for rules in ([], objects):
        try:
            plan = plan_split(request, objects, rules)
        except MeshopsError as refusal:
            assert str(refusal).endswith(".")
        else:
            assert plan.main.after["kind"] == "VirtualService"


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["metadata", "spec", "kind"]),
        st.recursive(
            json_values,
            lambda inner: st.dictionaries(
                st.sampled_from(
                    ["http", "route", "destination", "host", "hosts", "subset", "match", "name", "labels", "subsets"]
                ),
                inner | st.lists(inner, max_size=2) | st.just("reviews"),
            ),
            max_leaves=12,
        ),
    )
)
def test_misshapen_objects_never_give_a_traceback(obj):
    try:
        plan_split(Request(REVIEWS, {"v1": 1}), [obj], [obj])
    except MeshopsError as refusal:
        assert str(refusal).endswith(".")


def test_a_second_route_is_not_touched_by_route_all_when_it_has_matches():
    obj = vs(entry("v1", 1))
    obj["spec"]["http"].insert(0, {"match": [{"headers": {"a": {"exact": "b"}}}], "route": [entry("v2")]})
    plan = plan_split(Request(REVIEWS, {"v3": 1}, route="all"), [obj], [])
    assert plan.main.after["spec"]["http"][0] == obj["spec"]["http"][0]
    assert model.label(plan.main.after) == "bookinfo/reviews"
