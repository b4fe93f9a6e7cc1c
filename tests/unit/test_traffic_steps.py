"""Make before break: whatever a proxy has of a plan that is under way, every request finds its destination."""

from __future__ import annotations

import copy
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model, provision
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import (
    Change,
    Subset,
    mentioned_subsets,
    named_subsets,
    order,
    owned_subsets,
)

DOMAIN = "cluster.local"
REVIEWS = Service("reviews", "b")


def vs(name="reviews", host="reviews", mirror=None, **weights):
    entries = [{"destination": {"host": host, "subset": s}, "weight": w} for s, w in weights.items()]
    route = {"route": entries, **({"mirrors": [{"destination": {"host": host, "subset": mirror}}]} if mirror else {})}
    return {
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "b", "resourceVersion": "1"},
        "spec": {"hosts": [host], "http": [route]},
    }


def dr(*names, host="reviews", policy=None, **labels):
    subsets = [{"name": name, "labels": {"version": labels.get(name, name)}} for name in names]
    spec = {"host": host, "subsets": subsets, **({"trafficPolicy": policy} if policy else {})}
    return {
        "kind": "DestinationRule",
        "metadata": {"name": host, "namespace": "b", "resourceVersion": "1"},
        "spec": spec,
    }


def steps(*changes):
    routes = [change.before for change in changes if change.before and change.before["kind"] == "VirtualService"]
    rules = [change.before for change in changes if change.before and change.before["kind"] == "DestinationRule"]
    return order(changes, routes, rules, DOMAIN)


def subset(name, host="reviews"):
    return Subset(f"{host}.b.svc.cluster.local", name)


def test_a_subset_is_live_before_a_route_names_it_and_unnamed_before_it_goes():
    made = steps(Change(vs(v1=1), vs(v2=1)), Change(dr("v1"), dr("v2")))
    assert [str(step) for step in made] == [
        "replace DestinationRule b/reviews",
        "replace VirtualService b/reviews",
        "replace DestinationRule b/reviews",
    ]
    assert [item["name"] for item in made[0].after["spec"]["subsets"]] == ["v2", "v1"]
    assert (made[1].live, made[1].unnamed) == ((subset("v2"),), ())
    assert (made[2].live, made[2].unnamed) == ((), (subset("v1"),))
    assert made[2].after["spec"] == dr("v2")["spec"]
    assert "resourceVersion" not in made[2].after["metadata"]
    assert made[2].before == made[0].after


def test_what_is_left_of_a_plan_that_was_stopped():
    whole = steps(Change(vs(v1=1), vs(v2=1)), Change(dr("v1"), dr("v2")))
    between = whole[0].after
    left = steps(Change(vs(v1=1), vs(v2=1)), Change(between, dr("v2")))
    assert [str(step) for step in left] == [str(step) for step in whole[1:]]
    assert left[0].live == whole[1].live
    assert steps(Change(vs(v2=1), vs(v2=1)), Change(between, dr("v2")))[0].unnamed == (subset("v1"),)
    assert steps(Change(vs(v2=1), vs(v2=1)), Change(dr("v2"), dr("v2"))) == ()


def test_a_route_of_a_subset_that_was_named_already_waits_for_nothing():
    (step,) = steps(Change(vs(v1=1, v2=1), vs(v1=1, v2=9)))
    assert (step.live, step.unnamed) == ((), ())


def test_a_whole_service_is_taken_down_and_set_up():
    down = steps(Change(vs(v1=1), None), Change(dr("v1"), None))
    assert [str(step) for step in down] == ["delete VirtualService b/reviews", "delete DestinationRule b/reviews"]
    assert down[1].unnamed == (subset("v1"),)
    up = steps(Change(None, vs(v1=1)), Change(None, dr("v1")))
    assert [str(step) for step in up] == ["create DestinationRule b/reviews", "create VirtualService b/reviews"]
    assert up[1].live == (subset("v1"),)


def test_a_service_is_there_before_a_route_names_it():
    other = {"destination": {"host": "other"}, "weight": 1}
    after = vs(v1=1)
    after["spec"]["http"][0]["route"].append(other)
    (step,) = order([Change(vs(v1=1), after)], [], [dr("v1")], DOMAIN)
    assert step.live == (subset("", "other"),)
    backends = [{"name": "a"}, {"name": "b", "weight": 0}, {"name": "c", "kind": "Bucket"}]
    route = {
        "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": "b"},
        "spec": {"rules": [{"backendRefs": backends}]},
    }
    (step,) = order([Change(None, route)], [], [], DOMAIN)
    assert step.live == (subset("", "a"),)


def test_delegates_come_before_their_roots_and_go_after():
    part = vs("part", v1=1)
    del part["spec"]["hosts"]
    root, plain = vs("root", v1=1), vs("root", v1=1)
    root["spec"]["http"] = [{"delegate": {"name": "part"}}]
    rules = [dr("v1")]
    names = [str(step) for step in order([Change(plain, root), Change(None, part)], [plain], rules, DOMAIN)]
    assert names == ["create VirtualService b/part", "replace VirtualService b/root"]
    names = [str(step) for step in order([Change(part, None), Change(root, plain)], [part, root], rules, DOMAIN)]
    assert names == ["replace VirtualService b/root", "delete VirtualService b/part"]


@pytest.mark.parametrize(
    ("changes", "routes", "rules", "word"),
    [
        (
            [Change(dr("v1", "v2"), dr("v1"))],
            [vs(v1=1, v2=1)],
            [dr("v1", "v2")],
            "Subset v2 of reviews.b.svc.cluster.local is named by VirtualService b/reviews",
        ),
        ([Change(dr("v1", "v2"), dr("v1"))], [vs(v1=1, mirror="v2")], [dr("v1", "v2")], "named by VirtualService"),
        ([Change(dr("v1"), None)], [vs(v1=1)], [dr("v1")], "named by VirtualService"),
        ([Change(vs(v1=1), vs(v2=1))], [vs(v1=1)], [dr("v1")], "would name the subset v2 of reviews.b.svc"),
        ([Change(dr("v1"), dr("v1", host="other"))], [], [dr("v1")], "would change its host from reviews to other"),
    ],
)
def test_changes_that_would_lose_requests_are_refused(changes, routes, rules, word):
    changes = [
        Change(before, {**after, "metadata": before["metadata"]} if after else None) for before, after in changes
    ]
    with pytest.raises(MeshopsError) as refusal:
        order(changes, routes, rules, DOMAIN)
    assert word in str(refusal.value)


def test_weightless_destinations_do_not_keep_a_subset():
    change = Change(dr("v1", "v2"), dr("v1"))
    obj = vs(v1=1, v2=0)
    assert len(order([change], [obj], [change.before], DOMAIN)) == 1
    assert named_subsets(obj, DOMAIN) == {subset("v1")}
    assert mentioned_subsets(obj, DOMAIN) == {subset("v1"), subset("v2")}
    assert mentioned_subsets(vs(v1=1, mirror="v3"), DOMAIN) == {subset("v1"), subset("v3")}
    assert mentioned_subsets(None, DOMAIN) == named_subsets(None, DOMAIN) == owned_subsets(None, DOMAIN) == set()


def test_a_subset_comes_and_goes_with_a_rule_of_ours():
    change = provision.change_subset(REVIEWS, "v1", [])
    assert change.before is None
    assert provision.remove_subset(REVIEWS, "v1", [change.after]) == Change(change.after, None)
    more = provision.change_subset(REVIEWS, "v2", [change.after], {"app": "x"}, {"loadBalancer": {"simple": "RANDOM"}})
    assert model.subsets_of([more.after]) == {"v1": {"version": "v1"}, "v2": {"app": "x"}}
    assert provision.remove_subset(REVIEWS, "v2", [more.after]).after == change.after
    assert provision.remove_subset(REVIEWS, "v9", [more.after]) == Change(None, None)
    assert order([provision.remove_subset(REVIEWS, "v9", [])], [], [], DOMAIN) == ()
    foreign = dr("v1")
    assert provision.remove_subset(REVIEWS, "v1", [foreign]).after["spec"] == {"host": "reviews"}
    with pytest.raises(MeshopsError, match=r"DestinationRule b/wide for \*.local governs it"):
        wide = {**dr(host="*.local"), "metadata": {"name": "wide", "namespace": "b"}}
        provision.change_subset(REVIEWS, "v1", [wide])


def test_a_subset_is_edited_in_the_rule_that_has_it():
    other = {**dr("v2"), "metadata": {"name": "other", "namespace": "b"}}
    change = provision.change_subset(REVIEWS, "v2", [dr("v1"), other], {"app": "x"})
    assert change.before is other
    assert provision.change_subset(REVIEWS, "v3", [dr("v1"), other]).before == other, "else the first one, by name"
    assert provision.remove_subset(REVIEWS, "v2", [dr("v1"), other]).before is other


# --- properties ---------------------------------------------------------------------------------------------------

NAMES = ["v1", "v2", "v3"]
HOSTS = ["reviews", "ratings"]


@st.composite
def states(draw):
    """Objects that are in order: every subset that is named is there."""
    found = {}
    for host in HOSTS:
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
        if names:
            policy = draw(st.sampled_from([None, {"loadBalancer": {"simple": "RANDOM"}}]))
            found["DestinationRule", host] = dr(*names, host=host, policy=policy)
        for name in (host, f"{host}-2"):
            if names and draw(st.booleans()):
                weights = draw(st.dictionaries(st.sampled_from(names), st.integers(0, 3), min_size=1))
                if any(weights.values()):
                    mirror = draw(st.none() | st.sampled_from(names))
                    found["VirtualService", name] = vs(name, host, mirror, **weights)
    return found


def plan_of(state, target):
    # what is wanted is written over what is there
    wanted = {key: {**state.get(key, obj), "spec": obj["spec"]} for key, obj in target.items()}
    changes = [Change(state.get(key), wanted.get(key)) for key in sorted({*state, *target})]
    routes = [obj for (kind, _name), obj in state.items() if kind == "VirtualService"]
    rules = [obj for (kind, _name), obj in state.items() if kind == "DestinationRule"]
    return order(changes, routes, rules, DOMAIN)


def applied(state, step):
    key = step.obj["kind"], step.obj["metadata"]["name"]
    rest = {other: obj for other, obj in state.items() if other != key}
    return rest if step.after is None else {**rest, key: step.after}


def named(state):
    return set().union(
        *(named_subsets(obj, DOMAIN) for (kind, _name), obj in state.items() if kind == "VirtualService")
    )


def owned(state):
    return set().union(
        *(owned_subsets(obj, DOMAIN) for (kind, _name), obj in state.items() if kind == "DestinationRule")
    )


def specs(state):
    return {key: obj["spec"] for key, obj in state.items()}


class Proxies:
    """All that proxies can have: routes of one version and clusters of another, never older than what was proved."""

    def __init__(self, state):
        self.versions, self.possible = [state], {(0, 0)}

    def prove(self, step):
        """Go on with the proxies that fulfil what the step waits for; those that lag are waited for."""
        self.possible = {
            (routes, clusters)
            for routes, clusters in self.possible
            if set(step.live) <= owned(self.versions[clusters]) and not set(step.unnamed) & named(self.versions[routes])
        }
        assert self.possible, "what a step waits for comes true"

    def write(self, step):
        self.versions.append(applied(self.versions[-1], step))
        last = len(self.versions) - 1
        self.possible = {
            newer
            for routes, clusters in self.possible
            for newer in product(range(routes, last + 1), range(clusters, last + 1))
        }

    def check(self):
        for routes, clusters in self.possible:
            missing = named(self.versions[routes]) - owned(self.versions[clusters])
            assert not missing, f"requests to {missing} are lost"


@settings(max_examples=300, deadline=None)
@given(states(), states(), st.data())
def test_every_prefix_of_every_plan_loses_no_request(state, target, data):
    """Also when the run is stopped at any step, before or after its proof, and started again."""
    kept = copy.deepcopy((state, target))
    proxies = Proxies(state)
    left = list(plan_of(state, target))
    assert (state, target) == kept
    count = len(left)
    while left:
        if data.draw(st.booleans(), label="stopped"):
            again = list(plan_of(proxies.versions[-1], target))
            assert [str(step) for step in again] == [str(step) for step in left]
            left = again
        step = left.pop(0)
        proxies.prove(step)
        proxies.write(step)
        proxies.check()
        assert len(proxies.versions) <= count + 1
    assert specs(proxies.versions[-1]) == specs(target)
    assert plan_of(proxies.versions[-1], target) == ()


@settings(max_examples=50, deadline=None)
@given(states(), states())
def test_the_check_would_see_a_loss(state, target):
    """The same proxies without proofs, rules last: requests are lost as soon as a subset is new."""
    proxies = Proxies(state)
    for step in sorted(plan_of(state, target), key=lambda step: step.obj["kind"], reverse=True):
        proxies.write(step)
    if named(target) - owned(state):
        with pytest.raises(AssertionError, match="are lost"):
            proxies.check()
