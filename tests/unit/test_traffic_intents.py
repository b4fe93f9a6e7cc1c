"""What is put in by a task and taken back leaves the objects as they were, to the byte; what we made goes with it."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic_objects import OURS, REVIEWS, bare, canonical, dr, plan, result, split_of, to, vs, words

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import faults, intents, model, provision
from ansible_collections.meshops.istio.plugins.module_utils.traffic.faults import Fault
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

ANY = Request(REVIEWS, {})
JASON = Rule("jason", {"headers": {"end-user": {"exact": "jason"}}})
V2 = Destination(REVIEWS.fqdn, "v2")


def unsplit(world, **options):
    return intents.unsplit(world, Request(REVIEWS, {}, **options))


def pure(objects):
    return [model.unmarked(obj) for obj in objects]


def run(routes, rules, *todo):
    """Do one intent after the other, each a second time, which has to change nothing."""
    for intent in todo:
        routes, rules = result(plan(intent, routes, rules))
        assert plan(intent, routes, rules).steps == ()
    return routes, rules


# --- splits ---


@pytest.mark.parametrize(
    "route",
    [
        [to("v1")],
        [to("v1", 100)],
        [to("v1", 30), to("v2", 70)],
        [to("v1", 1), to("v3")],
        [to()],
        [to("v1", 1), to(None, 0, "stranger")],
        [{**to("v1"), "headers": {"request": {"set": {"a": "b"}}}}],
    ],
)
@pytest.mark.parametrize("section", ["http", "tcp", "tls"])
def test_a_split_that_is_taken_back_leaves_no_trace(route, section):
    obj = vs(**{section: [{"route": route}]}, annotations={"team": "a"})
    routes, rules = run([obj], [dr("v1", "v2", "v3")], split_of({"v1": 5, "v2": 15}))
    assert canonical(pure(routes)) != canonical([obj])
    routes, rules = run(routes, rules, unsplit)
    assert canonical(pure(routes)) == canonical([obj])
    assert canonical(rules) == canonical([dr("v1", "v2", "v3")])


def test_several_splits_are_taken_back_at_once():
    obj = vs({"route": [to("v1", 90), to("v2", 10)]}, {"match": [{"uri": {"exact": "/"}}], "route": [to("v3")]})
    todo = [split_of({"v1": 1, "v2": 1}), split_of({"v3": 1}), split_of({"v2": 1, "v3": 1}), unsplit]
    routes, _rules = run([obj], [dr("v1", "v2", "v3")], *todo)
    assert canonical(pure(routes)) == canonical([obj])


def test_what_others_did_to_the_route_meanwhile_stays():
    routes, rules = run([vs({"route": [to("v1", 7)]})], [dr("v1", "v2", "v3")], split_of({"v1": 1, "v2": 1}))
    obj = copy.deepcopy(routes[0])
    obj["spec"]["http"][0]["timeout"] = "3s"
    obj["spec"]["http"][0]["route"].append(to("v3", 0))
    routes, _rules = run([obj], rules, unsplit)
    assert bare_spec(routes) == vs({"timeout": "3s", "route": [to("v1", 7), to("v3", 0)]})["spec"]


def bare_spec(objects):
    (obj,) = objects
    return obj["spec"]


def test_what_would_have_no_weight_any_more_is_refused():
    routes, _rules = run([vs({"route": [to("v1", 0), to("v2", 5)]})], [dr("v1", "v2")], split_of({"v1": 1, "v2": 1}))
    obj = copy.deepcopy(routes[0])
    del obj["spec"]["http"][0]["route"][1]
    obj["spec"]["http"][0]["route"].append(to("v3", 0))
    with pytest.raises(MeshopsError) as refusal:
        plan(unsplit, [obj], [dr("v1", "v2", "v3")])
    assert str(refusal.value) == (
        "http[0] of VirtualService bookinfo/reviews would have no destination with a weight without this split, as"
        " somebody changed it since. Set the weights that it is to have."
    )


def test_objects_that_were_made_for_a_split_are_gone_with_it():
    made = plan(split_of({"v1": 1, "v2": 1}))
    assert words(made) == ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]
    gone = plan(unsplit, *result(made))
    assert words(gone) == ["delete VirtualService bookinfo/reviews", "delete DestinationRule bookinfo/reviews"]
    assert [(subset.host, subset.name) for subset in gone.steps[1].unnamed] == [
        (REVIEWS.fqdn, "v1"),
        (REVIEWS.fqdn, "v2"),
    ]
    assert result(gone) == ([], [])
    assert plan(unsplit).steps == ()


def test_everything_else_finds_the_route_of_a_split_between_services():
    routes, rules = run([], [], split_of({"reviews-v1": 1, "reviews-v2": 1}, services=True))
    routes, rules = run(routes, rules, WISHES["mirror"][0], unsplit)
    assert [route["mirrors"][0]["destination"]["subset"] for route in bare_spec(routes)["http"]] == ["v2"]
    assert run(routes, rules, WISHES["mirror"][1]) == ([], [])


@pytest.mark.parametrize(
    ("api", "weights", "services"),
    [
        ("gateway", {"reviews-v1:9080": 1, "reviews-v2:9080": 3}, False),
        ("istio", {"reviews-v1": 1, "reviews-v2:9080": 3}, True),
    ],
)
def test_a_split_between_services_goes_as_well(api, weights, services):
    routes, rules = run([], [], split_of(weights, api=api, services=services))
    assert rules == []
    todo = (lambda world: unsplit(world, api=api, services=services), unsplit)
    for intent in todo:
        assert result(plan(intent, routes, rules)) == ([], [])


def test_an_object_of_ours_that_somebody_uses_for_more_stays():
    routes, rules = run([], [], split_of({"v1": 1}))
    obj = copy.deepcopy(routes[0])
    obj["spec"]["http"].insert(0, {"match": [{"uri": {"exact": "/x"}}], "redirect": {"uri": "/y"}})
    routes, rules = run([obj], rules, unsplit)
    assert bare_spec(routes)["http"] == [obj["spec"]["http"][0], {"route": [to()]}]
    assert rules == []


def test_a_subset_that_was_made_for_a_split_goes_with_it_and_one_of_its_own_stays():
    def subset(world):
        return intents.subset(world, "v1", None, None)

    routes, rules = run([], [], subset, split_of({"v1": 1, "v2": 1}))
    assert provision.made_for_splits(rules[0]) == ["v2"]
    routes, rules = run(routes, rules, unsplit)
    assert routes == []
    assert canonical(rules) == canonical([dr("v1", labels=OURS)])
    # whoever wants a subset by its own task keeps it, whatever it was made for
    routes, rules = run([], [], split_of({"v1": 1, "v2": 1}), subset, unsplit)
    assert [model.subsets_of([rule]) for rule in rules] == [{"v1": {"version": "v1"}}]
    assert run(routes, rules, lambda world: intents.no_subset(world, "v1")) == ([], [])


def test_a_subset_that_another_route_mentions_stays():
    other = vs({"route": [to("v1", 1), to("v2", 0)]}, name="other", hosts=["shop.example.com"], gateways=["g"])
    routes, rules = run([], [], split_of({"v1": 1, "v2": 1, "v3": 1}))
    _routes, rules = run([*routes, other], rules, lambda world: unsplit(world, virtual_service="reviews"))
    assert list(model.subsets_of(rules)) == ["v1", "v2"]


def test_the_rule_of_somebody_else_is_never_touched():
    theirs = dr("v1", "v2", trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}})
    routes, rules = run([], [theirs], split_of({"v1": 1, "v2": 1}), unsplit)
    assert (routes, rules) == ([], [theirs])
    with pytest.raises(MeshopsError, match=r"no subset v9 \(subsets: v1, v2\)\. Add it with traffic_subset"):
        plan(split_of({"v9": 1}), [], [theirs])
    with pytest.raises(MeshopsError, match="no subset v9"):
        plan(lambda world: intents.mirror(world, ANY, Destination(REVIEWS.fqdn, "v9"), 1), [], [theirs])


def test_absent_finds_nothing_to_do():
    assert plan(unsplit, [vs({"route": [to("v1")]})], [dr("v1")]).steps == ()
    assert plan(lambda world: unsplit(world, virtual_service="nothing"), [vs({"route": [to("v1")]})]).steps == ()
    other = vs({"route": [to(host="ratings")]}, hosts=["ratings"])
    assert plan(unsplit, [other]).steps == ()


# --- everything else, on a host that may have no route yet ---

WISHES = {
    "rule": (
        lambda world: intents.rule(world, Request(REVIEWS, {"v2": 1}), JASON),
        lambda world: intents.no_rule(world, ANY, "jason"),
    ),
    "weighted rule": (
        lambda world: intents.rule(world, Request(REVIEWS, {"v1": 1, "v2": 3}), JASON),
        lambda world: intents.no_rule(world, ANY, "jason"),
    ),
    "rule without weights": (
        lambda world: intents.rule(world, ANY, JASON),
        lambda world: intents.no_rule(world, ANY, "jason"),
    ),
    "mirror": (
        lambda world: intents.mirror(world, ANY, V2, 10),
        lambda world: intents.no_mirror(world, ANY, V2),
    ),
    "fault": (
        lambda world: intents.fault(world, ANY, Fault(faults.delay("1s"), faults.abort(503, 1))),
        lambda world: intents.no_fault(world, ANY),
    ),
    "policy": (
        lambda world: intents.route_policy(world, ANY, "2s", {"attempts": 1}),
        lambda world: intents.no_route_policy(world, ANY),
    ),
    "split": (split_of({"v1": 1, "v2": 3}), unsplit),
}


@pytest.mark.parametrize("name", WISHES)
def test_on_a_host_without_a_route_one_is_made_and_goes_again(name):
    there, back = WISHES[name]
    routes, rules = run([], [], there)
    assert [obj["metadata"]["labels"] for obj in routes] == [OURS]
    assert all(rule["metadata"]["labels"] == OURS for rule in rules)
    gone = plan(back, routes, rules)
    assert words(gone)[0] == "delete VirtualService bookinfo/reviews"
    assert result(gone) == ([], [])
    assert plan(back).steps == ()


def test_a_rule_goes_before_a_route_that_sends_everything_to_the_service():
    routes, rules = run([], [], WISHES["weighted rule"][0])
    assert bare_spec(routes) == {
        "hosts": ["reviews"],
        "http": [
            {
                "name": "meshops-jason",
                "match": [{"headers": {"end-user": {"exact": "jason"}}}],
                "route": [to("v1", 1), to("v2", 3)],
            },
            {"route": [to()]},
        ],
    }
    made = plan(WISHES["weighted rule"][0])
    assert made.effective == {"v1": 25, "v2": 75}
    assert [subset.name for subset in made.needs] == ["v1", "v2"]
    assert list(model.subsets_of(rules)) == ["v1", "v2"]
    moved = plan(lambda world: intents.rule(world, Request(REVIEWS, {"v2": 1}), JASON), routes, rules)
    assert bare(moved)["spec"]["http"][0]["route"] == [to("v1", 0), to("v2", 1)]


@pytest.mark.parametrize("name", sorted(set(WISHES) - {"split"}))
@pytest.mark.parametrize("section", ["tcp", "tls"])
def test_a_route_that_is_not_http_has_weights_and_nothing_else(name, section):
    obj = vs(**{section: [{"route": [to("v1")]}]})
    sentence = (
        rf"one of {section} in VirtualService \S*reviews, which has weights and nothing else\. Choose an http route"
    )
    with pytest.raises(MeshopsError, match=sentence):
        plan(WISHES[name][0], [obj], [dr("v1", "v2")])
    assert plan(WISHES[name][1], [obj], [dr("v1", "v2")]).steps == ()


def test_a_rule_is_removed_from_whichever_object_of_the_host_has_it():
    first = vs({"route": [to("v1")]}, name="a", gateways=["g"])
    second = vs({"route": [to("v1")]}, name="b")
    request = Request(REVIEWS, {"v1": 1}, virtual_service="b")
    routes, rules = run([first, second], [dr("v1")], lambda world: intents.rule(world, request, JASON))
    gone = plan(lambda world: intents.no_rule(world, ANY, "jason"), routes, rules)
    assert words(gone) == ["replace VirtualService bookinfo/b"]
    assert canonical(pure(result(gone)[0])) == canonical([first, second])
    elsewhere = Request(REVIEWS, {}, virtual_service="a")
    assert plan(lambda world: intents.no_rule(world, elsewhere, "jason"), routes, rules).steps == ()


def test_nothing_goes_back_where_there_is_nothing_or_too_much():
    with pytest.raises(MeshopsError, match=r"Nothing routes to reviews\.bookinfo, so there is nothing to"):
        plan(lambda world: intents.back(world, ANY, None, intents.Point()))
    both = [vs({"route": [to("v1")]}, name="a"), vs({"route": [to("v1")]}, name="b")]
    sentence = (
        r"Several objects route to reviews\.bookinfo: VirtualService bookinfo/a, VirtualService bookinfo/b\."
        r" Choose one by virtual_service\."
    )
    with pytest.raises(MeshopsError, match=sentence):
        plan(lambda world: intents.back(world, ANY, None, intents.Point()), both)


# --- properties ---------------------------------------------------------------------------------------------------

NOTHING = ([], [])
THEIRS = (
    [
        vs(
            {"match": [{"uri": {"exact": "/x"}}], "route": [to("v1")]},
            {"route": [to("v1", 90), to("v2", 10)], "timeout": "5.000s", "xNew": {"a": None}},
            annotations={"team": "a"},
        )
    ],
    [dr("v1", "v2", trafficPolicy={"xNew": None})],
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([NOTHING, THEIRS]), st.data())
def test_any_of_them_in_any_order_and_back_in_any_order_leaves_no_trace(start, data):
    names = data.draw(st.lists(st.sampled_from(["weighted rule", "mirror", "fault", "policy", "split"]), unique=True))
    routes, rules = copy.deepcopy(start)
    for name in names:
        routes, rules = run(routes, rules, WISHES[name][0])
    for name in data.draw(st.permutations(names)):
        routes, rules = run(routes, rules, WISHES[name][1])
    assert canonical([pure(routes), rules]) == canonical(start)
