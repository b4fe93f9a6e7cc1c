"""The order of the writes, what is written of them in the object itself, and what is refused before the first."""

from __future__ import annotations

import copy

import pytest
from traffic_objects import NOW, OURS, REVIEWS, STAMP, bare, dr, plan, plan_split, split_of, to, vs, words

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import faults, journal, marks, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Wish, World, concerns, planned
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Change
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

FQDN = "reviews.bookinfo.svc.cluster.local"


def rule(name="reviews", namespace="bookinfo", host="reviews", subsets=("v1", "v2", "v3"), labels=None):
    return dr(*subsets, name=name, namespace=namespace, host=host, labels=labels)


def split(weights, virtual_services=(), rules=()):
    return plan_split(Request(REVIEWS, weights), virtual_services, rules)


def test_nothing_there_creates_the_subsets_before_the_route():
    made = split({"v1": 50, "v3": 50})
    assert words(made) == [
        "create DestinationRule bookinfo/reviews",
        "create VirtualService bookinfo/reviews",
    ]
    assert made.steps[0].after["metadata"]["labels"] == OURS
    assert made.steps[0].after["spec"] == {
        "host": "reviews",
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v3", "labels": {"version": "v3"}}],
    }
    assert model.unmarked(made.steps[1].after) == {
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
    assert made.main == Change(None, made.steps[1].after)


def test_what_was_made_needs_nothing_more():
    made = split({"v1": 50, "v3": 50})
    again = split({"v1": 50, "v3": 50}, [made.steps[1].after], [made.steps[0].after])
    assert again.steps == ()
    assert again.main.before is again.main.after is made.steps[1].after


def test_an_existing_rule_is_used_as_it_is():
    assert words(split({"v1": 1}, rules=[rule()])) == ["create VirtualService bookinfo/reviews"]


def test_a_rule_of_ours_gets_the_new_subset_first():
    ours = rule(labels=OURS, subsets=["v1"])
    kept = copy.deepcopy(ours)
    made = split({"v1": 1, "v2": 1}, rules=[ours])
    assert [step.action for step in made.steps] == ["replace", "create"]
    assert made.steps[0].after["spec"]["subsets"] == rule(subsets=["v1", "v2"])["spec"]["subsets"]
    assert model.subsets_of([made.steps[0].after])["v2"] == {"version": "v2"}
    assert [(subset.host, subset.name) for subset in made.needs] == [(FQDN, "v1"), (FQDN, "v2")]
    assert ours == kept


@pytest.mark.parametrize(
    ("rules", "weights", "sentence"),
    [
        (
            [rule()],
            {"v1": 1, "v4": 1},
            "reviews.bookinfo has no subset v4 (subsets: v1, v2, v3). Add it with traffic_subset, or correct weights.",
        ),
        (
            [rule(subsets=[])],
            {"v1": 1, "v4": 1},
            "reviews.bookinfo has no subsets v1, v4 (subsets: none). Add them with traffic_subset, or correct weights.",
        ),
        (
            [rule("root", "istio-system", FQDN, ["v1"])],
            {"v4": 1},
            "reviews.bookinfo has no subset v4 (subsets: v1). Add it with traffic_subset, or correct weights.",
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
        split(weights, rules=rules)
    assert str(refusal.value) == sentence


# --- what is recorded, and what is tidied up ---


def test_a_change_is_in_the_journal_of_its_object_with_its_name_and_its_writer():
    route = {"route": [to("v1")]}
    made = plan(split_of({"v1": 1, "v2": 3}), [vs(route)], [rule()], point="release 5")
    (entry,) = journal.read(made.main.after)
    assert (entry.when, entry.by, entry.point) == (STAMP.when, STAMP.by, "release 5")
    assert entry.what == "split v1 25 %, v2 75 %"
    assert journal.spec_before(entry, made.main.after) == vs(route)["spec"]
    assert made.effective == {"v1": 25, "v2": 75}


def test_a_diff_shows_no_bookkeeping_and_keeps_the_annotations_of_others():
    route = {"route": [to("v1")]}
    made = plan(split_of({"v2": 1}), [vs(route, annotations={"team": "a"})], [rule()])
    assert set(made.main.after["metadata"]["annotations"]) == {"team", *model.BOOKKEEPING}
    assert bare(made)["metadata"]["annotations"] == {"team": "a"}
    made = plan(split_of({"v2": 1}), [vs(route)], [rule()])
    assert bare(made)["metadata"] == vs()["metadata"]


def test_a_destination_rule_has_marks_and_no_journal():
    made = split({"v1": 1})
    (rule_made,) = [step.after for step in made.steps if step.obj["kind"] == "DestinationRule"]
    assert set(rule_made["metadata"]["annotations"]) == {marks.ANNOTATION}


def broken(expires, *, index=0, route=None):
    fault = faults.Fault(abort=faults.abort(503), expires=expires)
    return faults.set_fault(vs(*(route or [{"route": [to("v1")]}])), index, fault)


def test_what_is_over_goes_with_the_next_change_of_the_same_object():
    made = plan(split_of({"v1": 1, "v2": 1}), [broken("2025-12-31T23:59:59Z")], [rule()])
    assert words(made) == ["replace VirtualService bookinfo/reviews"]
    assert bare(made) == vs({"route": [to("v1", 1), to("v2", 1)]})
    assert made.expired == ("http[0] of VirtualService bookinfo/reviews (2025-12-31T23:59:59Z)",)
    assert [entry.what for entry in journal.read(made.main.after)] == ["split v1 50 %, v2 50 %"]


def test_what_is_over_goes_even_when_nothing_else_is_to_be_done():
    made = plan(split_of({"v1": 1}), [broken("2025-12-31T23:59:59Z")], [rule()])
    assert bare(made)["spec"] == vs({"route": [to("v1")]})["spec"]
    assert [entry.what for entry in journal.read(made.main.after)] == ["expired faults removed"]


@pytest.mark.parametrize(
    ("expires", "tidy", "goes"),
    [
        ("2026-01-01T00:00:00Z", True, True),
        ("2026-01-01T00:00:01Z", True, False),
        ("", True, False),
        ("2025-01-01T00:00:00Z", False, False),
    ],
)
def test_what_is_not_over_stays(expires, tidy, goes):
    made = plan(split_of({"v1": 1}), [broken(expires)], [rule()], tidy=tidy)
    assert bool(made.expired) == bool(made.steps) == goes


def test_the_objects_of_other_hosts_are_not_tidied():
    other = {**broken("2025-01-01T00:00:00Z")}
    other["metadata"]["name"] = "other"
    other["spec"]["hosts"], other["spec"]["http"][0]["route"] = ["ratings"], [to(host="ratings")]
    assert not concerns(other, REVIEWS)
    made = plan(split_of({"v1": 1}), [vs({"route": [to("v1")]}), other], [rule()])
    assert made.steps == ()
    # a gateway's host that sends to the Service is one of its objects
    through = broken("2025-01-01T00:00:00Z")
    through["metadata"]["name"] = "through"
    through["spec"]["hosts"] = ["shop.example.com"]
    assert concerns(through, REVIEWS)
    # one that sends elsewhere is not, whatever names it accepts
    through["spec"].update(hosts=["*"], gateways=["shop"])
    through["spec"]["http"][0]["route"] = [to(host="ratings")]
    assert not concerns(through, REVIEWS)
    del through["spec"]["gateways"]
    assert concerns(through, REVIEWS)


def test_changes_of_one_object_become_one_write_from_its_first_state_to_its_last():
    one, two, three = (vs({"route": [to("v1")], "timeout": f"{n}s"}) for n in (1, 2, 3))
    world = World(REVIEWS, [one], [rule()])
    wish = Wish([Change(one, two), Change(two, three)], Change(two, three), (), "twice")
    made = planned(world, lambda _world: wish, NOW, STAMP)
    (step,) = made.steps
    assert (step.before, model.unmarked(step.after)) == (one, three)
    back = planned(world, lambda _world: Wish([Change(one, two), Change(two, one)], Change(one, one)), NOW, STAMP)
    assert back.steps == ()


def test_the_world_after_changes_has_each_object_in_its_place():
    first, second = vs(name="a"), vs(name="b")
    world = World(REVIEWS, [first, second], [rule()])
    moved = vs(name="a", gateways=["g"])
    after = world.after([Change(first, moved), Change(None, vs(name="c")), Change(rule(), None)])
    assert [model.name_of(obj) for obj in after.routes] == ["a", "b", "c"]
    assert after.routes[0] is moved
    assert after.rules == []
