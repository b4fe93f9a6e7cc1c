"""The order of the writes, and what is refused before the first of them."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import plan_split
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

REVIEWS = Service("reviews", "bookinfo")
FQDN = "reviews.bookinfo.svc.cluster.local"
OURS = {"app.kubernetes.io/managed-by": "meshops.istio"}


def rule(name="reviews", namespace="bookinfo", host="reviews", subsets=("v1", "v2", "v3"), labels=None):
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {"host": host, "subsets": [{"name": subset, "labels": {"version": subset}} for subset in subsets]},
    }


def plan(weights, virtual_services=(), rules=()):
    return plan_split(Request(REVIEWS, weights), list(virtual_services), list(rules))


def test_nothing_there_creates_the_subsets_before_the_route():
    made = plan({"v1": 50, "v3": 50})
    assert [str(step) for step in made.steps] == [
        "create DestinationRule bookinfo/reviews",
        "create VirtualService bookinfo/reviews",
    ]
    assert made.steps[0].after["spec"] == {
        "host": "reviews",
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v3", "labels": {"version": "v3"}}],
    }
    assert made.steps[1].after == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "bookinfo", "labels": OURS},
        "spec": {
            "hosts": ["reviews"],
            "http": [
                {
                    "route": [
                        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 50},
                        {"destination": {"host": "reviews", "subset": "v3"}, "weight": 50},
                    ]
                }
            ],
        },
    }
    assert made.before is None


def test_what_was_made_needs_nothing_more():
    made = plan({"v1": 50, "v3": 50})
    again = plan({"v1": 50, "v3": 50}, [made.steps[1].after], [made.steps[0].after])
    assert again.steps == ()
    assert again.before is again.after


def test_an_existing_rule_is_used_as_it_is():
    assert [str(step) for step in plan({"v1": 1}, rules=[rule()]).steps] == ["create VirtualService bookinfo/reviews"]


def test_a_rule_of_ours_gets_the_new_subset_first():
    ours = rule(labels=OURS, subsets=["v1"])
    kept = copy.deepcopy(ours)
    made = plan({"v1": 1, "v2": 1}, rules=[ours])
    assert [step.action for step in made.steps] == ["replace", "create"]
    assert made.steps[0].after["spec"]["subsets"] == rule(subsets=["v1", "v2"])["spec"]["subsets"]
    assert made.subsets["v2"] == {"version": "v2"}
    assert ours == kept


@pytest.mark.parametrize(
    ("rules", "weights", "sentence"),
    [
        (
            [rule()],
            {"v1": 1, "v4": 1},
            "reviews.bookinfo has no subset v4 (subsets: v1, v2, v3)."
            " Correct weights, or add the subset to DestinationRule reviews.",
        ),
        (
            [rule(subsets=[])],
            {"v1": 1, "v4": 1},
            "reviews.bookinfo has no subsets v1, v4 (subsets: none)."
            " Correct weights, or add the subsets to DestinationRule reviews.",
        ),
        (
            [rule("root", "istio-system", FQDN, ["v1"])],
            {"v4": 1},
            "reviews.bookinfo has no subset v4 (subsets: v1)."
            " Correct weights, or add the subset to DestinationRule istio-system/root.",
        ),
        (
            [rule("default", "istio-system", "*.local", [])],
            {"v1": 1},
            "reviews.bookinfo has no subset v1 (subsets: none):"
            " DestinationRule istio-system/default for *.local governs it, and a new one would end its policy."
            " Write a DestinationRule for reviews with the subset and that policy.",
        ),
        (
            [rule(host="ratings")],
            {"v1": 1},
            "reviews.bookinfo has no DestinationRule, and the name bookinfo/reviews is taken by that of another host."
            " Write one for reviews with the subsets v1.",
        ),
    ],
)
def test_subsets_that_cannot_be_had_are_refused(rules, weights, sentence):
    with pytest.raises(MeshopsError) as refusal:
        plan(weights, rules=rules)
    assert str(refusal.value) == sentence
