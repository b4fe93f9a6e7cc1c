"""Mirrors, faults, timeouts, retries and subsets: only what is asked for changes, and taking it back restores."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import (
    faults,
    leaves,
    marks,
    mirroring,
    policy,
    rules,
    subsets,
)
from ansible_collections.meshops.istio.plugins.module_utils.traffic.faults import Fault
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination, Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule

REVIEWS = Service("reviews", "bookinfo")
V2 = Destination(REVIEWS.fqdn, "v2")
V3 = Destination(REVIEWS.fqdn, "v3")
SLOW = Fault(delay=faults.delay("2s", 50))
BROKEN = Fault(abort=faults.abort(503, 10))


def vs(**route):
    spec = {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}], **route}]}
    return {"kind": "VirtualService", "metadata": {"name": "reviews", "namespace": "bookinfo"}, "spec": spec}


def first(obj):
    return obj["spec"]["http"][0]


def mirror(percent=100, subset="v2", host="reviews"):
    return {"destination": {"host": host, "subset": subset}, "percentage": {"value": percent}}


# --- mirrors ---


def test_a_mirror_comes_and_goes():
    obj = vs()
    made = mirroring.set_mirror(obj, 0, REVIEWS, V2, 100)
    assert first(made)["mirrors"] == [mirror()]
    assert mirroring.set_mirror(made, 0, REVIEWS, V2, 100.0) is made
    less = mirroring.set_mirror(made, 0, REVIEWS, V2, 12.5)
    assert first(less)["mirrors"] == [mirror(12.5)]
    two = mirroring.set_mirror(less, 0, REVIEWS, V3, 1)
    assert mirroring.remove_mirror(two, 0, REVIEWS, V3) == less
    assert mirroring.remove_mirror(two, 0, REVIEWS) == obj
    assert mirroring.remove_mirror(obj, 0, REVIEWS) is obj


def test_the_mirror_of_another_team_stays():
    obj = vs(mirrors=[mirror(5, "v3"), mirror(7, "x", "audit")])
    both = mirroring.set_mirror(obj, 0, REVIEWS, V2, 1)
    assert first(both)["mirrors"][:2] == first(obj)["mirrors"]
    assert mirroring.remove_mirror(both, 0, REVIEWS) == obj
    assert mirroring.set_mirror(obj, 0, REVIEWS, V3, 5) is obj
    assert mirroring.remove_mirror(obj, 0, REVIEWS, V3) is obj
    with pytest.raises(MeshopsError, match="a mirror to v3 that this collection did not set"):
        mirroring.set_mirror(obj, 0, REVIEWS, V3, 6)
    with pytest.raises(MeshopsError, match="mirrors by the field mirror"):
        mirroring.set_mirror(vs(mirror={"host": "audit"}), 0, REVIEWS, V2, 1)
    with pytest.raises(MeshopsError, match="percentage of the mirror is 101"):
        mirroring.set_mirror(obj, 0, REVIEWS, V2, 101)


def test_a_mirror_to_another_service():
    audit = Destination("audit.other.svc.cluster.local", port=80)
    made = mirroring.set_mirror(vs(), 0, REVIEWS, audit, 1)
    assert first(made)["mirrors"][0]["destination"] == {"host": "audit.other.svc.cluster.local", "port": {"number": 80}}
    assert mirroring.remove_mirror(made, 0, REVIEWS, audit) == vs()


def test_a_rule_inherits_a_mirror_of_ours_as_ours():
    made = mirroring.set_mirror(vs(), 0, REVIEWS, V2, 5)
    obj = rules.set_rule(made, 0, REVIEWS, Rule("a", {"headers": {"a": {"exact": "b"}}}, {V3: 1}))
    assert first(obj)["mirrors"] == [mirror(5)]
    assert "mirrors" not in first(mirroring.remove_mirror(obj, 0, REVIEWS))
    assert rules.remove_rule(obj, "a") == made


# --- timeout and retries ---


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ({}, {"timeout": "2s"}, {"timeout": "2s"}),
        ({"timeout": "2.000s"}, {"timeout": "2s"}, None),
        # no timeout is no field, as Istio refuses 0s
        ({"timeout": "2s"}, {"timeout": "0s"}, {}),
        ({}, {"timeout": "0s"}, None),
        ({"timeout": "0.000s"}, {"timeout": "0s"}, None),
        # no retries have no other fields
        (
            {"retries": {"attempts": 2, "perTryTimeout": "1s", "retryOn": "5xx", "xNew": 1}},
            {"retries": {"attempts": 0}},
            {"retries": {"attempts": 0, "xNew": 1}},
        ),
        ({"timeout": "2s"}, {}, None),
        (
            {"retries": {"attempts": 1, "xNew": 1}},
            {"retries": {"attempts": 2}},
            {"retries": {"attempts": 2, "xNew": 1}},
        ),
        (
            {"retries": {"attempts": 1}},
            {"retries": {"perTryTimeout": "1s"}},
            {"retries": {"attempts": 1, "perTryTimeout": "1s"}},
        ),
        ({"retries": {"attempts": 1, "retryOn": "5xx"}}, {"retries": {"retryOn": None}}, {"retries": {"attempts": 1}}),
        (
            {"retries": None},
            {"timeout": "1s", "retries": {"attempts": 0}},
            {"timeout": "1s", "retries": {"attempts": 0}},
        ),
    ],
)
def test_policy(before, wanted, after):
    obj = vs(**before)
    edited = policy.set_policy(obj, 0, **wanted)
    assert edited["spec"] == vs(**(before if after is None else after))["spec"]
    assert (edited is obj) == (after is None)
    assert policy.set_policy(edited, 0, **wanted) is edited
    assert obj == vs(**before)
    assert json.dumps(policy.remove_policy(edited, 0), sort_keys=True) == json.dumps(obj, sort_keys=True)


def test_a_policy_of_somebody_else_is_not_taken_back():
    obj = vs(timeout="2s", retries={"attempts": 1})
    assert policy.remove_policy(obj, 0) is obj
    # what is in effect already is not ours by being wanted
    assert policy.remove_policy(policy.set_policy(obj, 0, timeout="2.0s"), 0) is obj
    edited = policy.set_policy(obj, 0, timeout="3s")
    first(edited)["retries"] = {"attempts": 7}
    assert first(policy.remove_policy(edited, 0)) == {**first(obj), "retries": {"attempts": 7}}


def test_what_was_there_before_the_first_policy_comes_back():
    obj = vs(timeout="2s")
    one = policy.set_policy(obj, 0, timeout="3s")
    two = policy.set_policy(one, 0, timeout="4s", retries={"attempts": 1})
    three = policy.set_policy(two, 0, timeout="2s")
    assert policy.remove_policy(two, 0) == policy.remove_policy(three, 0) == obj


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"timeout": "soon"}, "timeout is 'soon'"),
        ({"timeout": "10us"}, "timeout is '10us'"),
        ({"timeout": "1500us"}, "timeout is '1500us'"),
        ({"retries": {"retryOn": "5xx"}}, "retries has no attempts"),
        ({"retries": {"attempts": -1}}, "attempts of retries are -1"),
        ({"retries": {"attempts": 1, "perTryTimeout": "0s"}}, "perTryTimeout is '0s'"),
        ({"retries": {"attempts": 0, "retryOn": "5xx"}}, "attempts 0 and other fields"),
    ],
)
def test_policy_refuses(wanted, word):
    with pytest.raises(MeshopsError) as refusal:
        policy.set_policy(vs(), 0, **wanted)
    assert word in str(refusal.value)
    with pytest.raises(MeshopsError, match="is a delegate"):
        policy.set_policy(vs(delegate={"name": "x"}), 0, timeout="1s")
    with pytest.raises(MeshopsError, match="HTTPRoute bookinfo/reviews cannot have a timeout or retries"):
        policy.remove_policy({**vs(), "kind": "HTTPRoute"}, 0)


# --- subsets ---


def rule(*items, **spec):
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    content = {"host": "reviews", **({"subsets": list(items)} if items else {}), **spec}
    return {"kind": "DestinationRule", "metadata": metadata, "spec": content}


def subset(name, **more):
    return {"name": name, "labels": {"version": name}, **more}


def test_a_subset_comes_and_goes():
    for obj in (rule(), rule(subset("v1", xNew=1), trafficPolicy={})):
        made = subsets.set_subset(obj, "v2", traffic_policy={"connectionPool": {"tcp": {"maxConnections": 1}}})
        assert made["spec"]["subsets"][-1] == subset(
            "v2", trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 1}}}
        )
        assert subsets.set_subset(made, "v2") is made
        assert json.dumps(subsets.remove_subset(made, "v2")) == json.dumps(obj)
        assert subsets.remove_subset(obj, "v2") is obj


def test_only_the_named_settings_of_a_subset_change():
    policy_before = {
        "outlierDetection": {"baseEjectionTime": "30.000s", "xNew": 1},
        "loadBalancer": {"simple": "RANDOM"},
    }
    obj = rule(subset("v1", trafficPolicy=policy_before))
    same = {"outlierDetection": {"baseEjectionTime": "30s"}}
    assert subsets.set_subset(obj, "v1", traffic_policy=same) is obj
    edited = subsets.set_subset(
        obj, "v1", {"app": "x"}, {"outlierDetection": {"maxEjectionPercent": 5}, "loadBalancer": None}
    )
    assert edited["spec"]["subsets"][0] == {
        "name": "v1",
        "labels": {"app": "x"},
        "trafficPolicy": {"outlierDetection": {**policy_before["outlierDetection"], "maxEjectionPercent": 5}},
    }
    with pytest.raises(MeshopsError, match="has the subset v1 2 times"):
        subsets.remove_subset(rule(subset("v1"), subset("v1")), "v1")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (50, 50.0, True),
        ("0s", "0.000s", True),
        ("1s", "1000ms", True),
        ("a", "a", True),
        (True, 1, False),
        (None, "0s", False),
        ({"a": "1s"}, {"a": "1.0s"}, True),
        ({"a": 1}, {"a": 1, "b": 1}, False),
    ],
)
def test_same(one, other, expected):
    assert leaves.same(one, other) is expected


# --- properties ---------------------------------------------------------------------------------------------------

leftovers = st.sampled_from([None, {}])
delays = st.sampled_from([{"fixedDelay": "5.000s"}, {"percentage": {"value": 1.0}, "fixedDelay": "1s"}])
routes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x"),
        "fault": leftovers | st.fixed_dictionaries({}, optional={"delay": delays, "xNew": leftovers}),
        "mirrors": st.just(None) | st.lists(st.builds(mirror, st.integers(0, 100), st.just("v3")), max_size=2),
        "timeout": st.sampled_from(["0s", "5.000s"]),
        "retries": leftovers | st.just({"attempts": 3, "xNew": 1}),
        "xNew": leftovers,
    },
)
annotations = st.none() | st.fixed_dictionaries({"kubectl": st.just("x")})
operations = {
    "fault": (lambda o: faults.set_fault(o, 0, BROKEN), lambda o: faults.remove_fault(o, 0)),
    "mirror": (
        lambda o: mirroring.set_mirror(o, 0, REVIEWS, V2, 10),
        lambda o: mirroring.remove_mirror(o, 0, REVIEWS, V2),
    ),
    "policy": (
        lambda o: policy.set_policy(o, 0, "7s", {"attempts": 9}),
        lambda o: policy.remove_policy(o, 0),
    ),
    "rule": (
        lambda o: rules.set_rule(o, 0, REVIEWS, Rule("a", {"headers": {"a": {"exact": "b"}}}, {V2: 1})),
        lambda o: rules.remove_rule(o, "a"),
    ),
}


@settings(max_examples=300, deadline=None)
@given(routes, annotations, st.permutations(["fault", "mirror", "policy"]), st.booleans())
def test_what_is_added_and_removed_leaves_no_trace(route, notes, order, with_rule):
    obj = vs(**route)
    if notes is not None:
        obj["metadata"]["annotations"] = notes
    original = copy.deepcopy(obj)
    edited = obj
    for name in [*order, *(["rule"] if with_rule else [])]:
        before = copy.deepcopy(edited)
        after = operations[name][0](edited)
        assert edited == before, "the input is not changed"
        assert name == "rule" or operations[name][0](after) == after, "a repeat is no change"
        edited = after
    index_of_base = 1 if with_rule else 0
    touched = ("fault", "mirrors", "timeout", "retries")
    assert {key: value for key, value in edited["spec"]["http"][index_of_base].items() if key not in touched} == {
        key: value for key, value in first(original).items() if key not in touched
    }
    if with_rule:
        edited = operations["rule"][1](edited)
    for name in order:
        edited = operations[name][1](edited)
    assert json.dumps(edited, sort_keys=True) == json.dumps(original, sort_keys=True)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "5",
        "[]",
        '{"#x": 5}',
        '{"x": {"fault": 5, "mirror": []}}',
        '{"x": {"fault": {"parts": [5]}, "mirror": {}}}',
    ],
)
def test_damaged_marks_are_none(text):
    obj = vs(name="x", fault={"abort": {"httpStatus": 500}}, mirrors=[mirror()])
    obj["metadata"]["annotations"] = {marks.ANNOTATION: text}
    assert faults.injected(obj) == []
    assert faults.remove_fault(obj, 0) is obj
    assert mirroring.remove_mirror(obj, 0, REVIEWS) is obj
