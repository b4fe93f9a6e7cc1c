"""What goes wrong on the way: conflicts, lost answers, errors between two writes, proxies that lag or refuse."""

from __future__ import annotations

import json
import time

import fake_envoy
import pytest
from fake_cluster import FakeKube
from traffic_objects import OURS, REVIEWS, dr, pod, service, split_of, to, version, vs

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Conflict, Forbidden, Invalid, Unreachable
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import faults, intents, journal
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Wish
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Change
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import engine, poll

V1_V3 = split_of({"v1": 50, "v3": 50})
CREATED = ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]
REPLACED = ["replace VirtualService bookinfo/reviews"]


@pytest.fixture
def kube():
    return FakeKube(service(), version("v1"), version("v2"), version("v3"))


def change(kube, intent=V1_V3, **options):
    return engine.change(kube, REVIEWS, intent, engine.Options(by="t", **options))


def failure(*args, **options):
    with pytest.raises(MeshopsError) as caught:
        change(*args, **options)
    return str(caught.value)


def unsplit(world):
    return intents.unsplit(world, Request(REVIEWS, {}))


def weights(kube):
    return [entry.get("weight") for entry in kube.live("VirtualService")["spec"]["http"][0]["route"]]


# --- conflicts and lost answers ---


def test_a_refused_second_object_is_found_before_the_first_is_written(kube):
    kube.refuse = lambda call: Invalid("denied", 400) if str(call) == CREATED[1] else None
    for check_mode in (True, False):
        assert failure(kube, check_mode=check_mode) == "denied"
    assert kube.writes == []


def test_a_write_in_between_is_read_and_kept(kube):
    change(kube)

    def somebody_else(cluster):
        cluster.edit("VirtualService")["spec"]["http"][0]["timeout"] = "3s"

    kube.script = [somebody_else]
    result = change(kube, split_of({"v1": 1, "v3": 3}))
    assert kube.live("VirtualService")["spec"]["http"][0]["timeout"] == "3s"
    assert weights(kube) == [1, 3]
    assert result["before"]["spec"]["http"][0]["timeout"] == "3s"
    assert result["steps"] == REPLACED


def test_conflicts_end_at_the_deadline(kube, monkeypatch):
    monkeypatch.setattr(engine, "CONFLICT_DEADLINE", 0.3)
    kube.refuse = lambda call: Conflict("somebody else changed it", 409) if call.verb == "create" else None
    assert failure(kube) == "somebody else changed it"


def test_the_deadline_of_conflicts_tells_what_is_written(kube, monkeypatch):
    monkeypatch.setattr(engine, "CONFLICT_DEADLINE", 0.3)

    def refuse(call):
        return Conflict("somebody else", 409) if str(call) == CREATED[1] and not call.dry_run else None

    kube.refuse = refuse
    assert failure(kube) == (f"somebody else. Written before that: {CREATED[0]}; the same task goes on from there.")
    assert kube.writes == CREATED[:1]


def test_a_conflict_on_the_second_write_plans_again_and_still_reports_the_first(kube):
    kube.script = [lambda cluster: None, lambda cluster: cluster.put(vs({"route": [to("v1")], "timeout": "3s"}))]
    result = change(kube)
    assert result["changed"]
    assert result["steps"] == [CREATED[0], "replace VirtualService bookinfo/reviews"]
    assert kube.writes == result["steps"]
    assert result["before"]["spec"] == vs({"route": [to("v1")], "timeout": "3s"})["spec"]
    assert [bool(entry["before"]) for entry in result["diff"]()] == [False, True]
    assert kube.live("VirtualService")["spec"]["http"][0]["timeout"] == "3s"


def test_when_nothing_is_left_after_a_conflict_what_was_made_before_it_is_a_change(kube):
    other = FakeKube(*kube.objects.values())
    engine.change(other, REVIEWS, V1_V3, engine.Options(by="somebody else"))
    kube.script = [lambda cluster: None, lambda cluster: cluster.put(other.live("VirtualService"))]
    result = change(kube)
    assert (result["changed"], result["steps"]) == (True, CREATED[:1])


@pytest.mark.parametrize("word", CREATED)
def test_a_creation_whose_answer_got_lost_counts_as_made(kube, word):
    kube.lost = {word: Conflict(f"Cannot {word}: it already exists", 409)}
    result = change(kube)
    assert result["changed"]
    assert result["steps"] == kube.writes == CREATED
    assert not change(kube)["changed"]


def test_a_replacement_whose_answer_got_lost_counts_as_made(kube):
    change(kube)
    kube.forget()
    kube.lost = {REPLACED[0]: Conflict("Cannot replace: somebody else changed it", 409)}
    result = change(kube, split_of({"v1": 1, "v3": 3}))
    assert (result["changed"], result["steps"]) == (True, REPLACED)
    assert kube.writes == REPLACED
    assert [entry.what for entry in journal.read(kube.live("VirtualService"))] == [
        "split v1 50 %, v3 50 %",
        "split v1 25 %, v3 75 %",
    ]


@pytest.mark.parametrize("error", [Unreachable("no answer."), KubeError("keeps answering 504.", 504)])
def test_a_write_that_got_no_answer_is_looked_for(kube, error):
    kube.lost = {CREATED[1]: error}
    assert change(kube)["steps"] == kube.writes == CREATED
    kube.lost = {"delete VirtualService bookinfo/reviews": error}
    assert change(kube, unsplit)["changed"]
    assert kube.live("VirtualService") is None


def test_a_write_that_is_refused_is_not_looked_for(kube):
    change(kube)
    kube.forget()
    kube.refuse = lambda call: Invalid("denied.", 400) if call.verb == "replace" else None
    assert failure(kube, split_of({"v1": 1, "v3": 3})) == "denied."
    assert [call for call in kube.calls if (call.verb, call.kind) == ("get", "VirtualService")] == []


def test_when_it_cannot_be_looked_for_the_error_says_so(kube):
    kube.lost = {CREATED[1]: Unreachable("no answer.")}
    kube.refuse = lambda call: Unreachable("gone") if (call.verb, call.kind) == ("get", "VirtualService") else None
    text = failure(kube)
    assert text.startswith("no answer. Whether it was written is not known; the same task finds out.")
    assert f"Written before that: {CREATED[0]}" in text
    kube.refuse = lambda call: None
    assert not change(kube)["changed"]


def test_a_deletion_whose_answer_got_lost_counts_as_made(kube):
    change(kube)
    kube.script = [lambda cluster: cluster.remove("VirtualService", "reviews")]
    result = change(kube, unsplit)
    assert result["steps"] == ["delete VirtualService bookinfo/reviews", "delete DestinationRule bookinfo/reviews"]
    assert result["changed"]


def test_an_object_that_somebody_changed_is_not_deleted(kube):
    change(kube)
    kube.script = [lambda cluster: cluster.edit("VirtualService")["spec"]["http"][0].update(timeout="3s")]
    result = change(kube, unsplit)
    assert kube.live("VirtualService")["spec"]["http"] == [{"route": [to()], "timeout": "3s"}]
    assert result["steps"] == ["replace VirtualService bookinfo/reviews", "delete DestinationRule bookinfo/reviews"]


@pytest.mark.parametrize("error", [Forbidden("you may not.", 403), Unreachable("no answer.")])
def test_an_error_after_the_first_write_tells_what_is_written_and_the_next_run_goes_on(kube, error):
    kube.refuse = lambda call: error if str(call) == CREATED[1] and not call.dry_run else None
    assert failure(kube) == f"{error} Written before that: {CREATED[0]}; the same task goes on from there."
    kube.refuse = lambda call: None
    result = change(kube)
    assert result["steps"] == CREATED[1:]
    assert result["changed"]


def test_an_error_before_the_first_write_tells_of_none(kube):
    kube.refuse = lambda call: Forbidden("you may not.", 403) if call.verb == "create" else None
    assert failure(kube) == "you may not."


def test_an_object_that_is_written_twice_is_written_as_its_first_write_left_it(kube):
    """A rule that gets one subset and loses another: grown before the route moves, shrunk behind it."""
    kube.put(vs({"route": [to("v1")]}))
    kube.put(dr("v1", labels=OURS))

    def move(world):
        (route,), (rule,) = world.routes, world.rules
        changes = [
            Change(route, {**route, "spec": vs({"route": [to("v2")]})["spec"]}),
            Change(rule, {**rule, "spec": dr("v2")["spec"]}),
        ]
        return Wish(changes, changes[0], (), "moved")

    promised = change(kube, move, check_mode=True)
    result = change(kube, move)
    sent = [call for call in kube.calls if call.verb == "replace" and not call.dry_run]
    assert len(sent) == 3, "none of them is refused for an old version"
    rule = "replace DestinationRule bookinfo/reviews"
    assert result["steps"] == promised["steps"] == kube.writes == [rule, *REPLACED, rule]
    assert result["diff"]() == promised["diff"]()
    assert len(result["diff"]()) == 2, "one for each object"
    assert kube.live("DestinationRule")["spec"] == dr("v2")["spec"]
    assert not change(kube, move)["changed"]


# --- what is at hand may be old ---


def test_a_rule_of_a_moment_ago_is_read_again_when_it_matters(kube):
    kube.put(vs({"route": [to("v1")]}))
    kube.put(dr("v1", "v3"))
    kube.at_hand = {"DestinationRule": [dr("v1")]}
    assert change(kube)["steps"] == REPLACED
    lists = [call.cached for call in kube.calls if (call.verb, call.kind) == ("list", "DestinationRule")]
    assert lists == [True, False]


def test_what_is_at_hand_suffices_for_a_route_alone(kube):
    kube.put(vs({"route": [to("v1")]}))
    kube.put(dr("v1", "v3"))
    change(kube)
    lists = [call.cached for call in kube.calls if (call.verb, call.kind) == ("list", "DestinationRule")]
    assert lists == [True]
    assert all(not call.cached for call in kube.calls if call.kind == "VirtualService")


# --- proofs between the writes, and after them ---


def missing(*names):
    return lambda kube, argv: json.dumps(fake_envoy.clusters(kube, without=names))


def test_a_route_waits_until_the_proxies_have_its_subsets(kube):
    kube.put(pod("p", proxy="sidecar"))
    kube.answers["p"] = [missing("v1", "v3"), missing("v3"), fake_envoy.answer_of]
    asked = []
    kube.script = [lambda cluster: asked.append(len(cluster.asked)) for _write in CREATED]
    result = change(kube, wait_timeout=10)
    assert asked == [0, 3], "the route is written when the proxy has the subsets, not before"
    assert result["proof"]["proxies"] == 1
    assert result["warnings"] == []


def test_a_subset_goes_when_no_proxy_names_it_any_more(kube):
    change(kube)
    old = fake_envoy.answer_of(kube, ["config_dump"])
    kube.put(pod("p", proxy="sidecar"))
    kube.answers["p"] = [old, old, fake_envoy.answer_of]
    asked = []
    kube.script = [lambda cluster: asked.append(len(cluster.asked)) for _write in CREATED]
    result = change(kube, unsplit, wait_timeout=10)
    assert result["steps"] == ["delete VirtualService bookinfo/reviews", "delete DestinationRule bookinfo/reviews"]
    assert asked == [0, 3]
    assert result["proof"]["proxies"] == 1


def test_at_the_deadline_before_a_write_laggards_and_what_is_written_are_named(kube):
    kube.put(pod("p", proxy="sidecar"))
    kube.put(pod("quick", proxy="sidecar"))
    kube.answers["p"] = missing("v3")
    text = failure(kube, wait_timeout=0.4)
    assert text.startswith("create VirtualService bookinfo/reviews is not written, because after 0.")
    assert (
        "not yet ready for it in 1 of 2 proxies: bookinfo/p (no cluster for subset v3 of reviews.bookinfo.svc" in text
    )
    assert text.endswith(f" Written before that: {CREATED[0]}; the same task goes on from there.")
    assert kube.writes == CREATED[:1]
    del kube.answers["p"]
    assert change(kube, wait_timeout=5)["steps"] == CREATED[1:]


def test_at_the_deadline_before_the_only_write_nothing_is_written(kube):
    kube.put(vs({"route": [to("v1")]}))
    kube.put(dr("v1", "v3"))
    kube.put(pod("p", proxy="sidecar"))
    kube.answers["p"] = missing("v3")
    text = failure(kube, wait_timeout=0.3)
    assert text.startswith("replace VirtualService bookinfo/reviews is not written, because")
    assert "Written before that" not in text
    assert kube.writes == []


def test_at_the_deadline_after_the_writes_the_error_tells_that_they_are_made(kube):
    change(kube)
    old = fake_envoy.answer_of(kube, ["config_dump?resource=dynamic_route_configs"])
    kube.put(pod("p", proxy="sidecar"))
    kube.answers["p"] = old
    text = failure(kube, split_of({"v1": 90, "v3": 10}), wait_timeout=0.3)
    assert text.startswith("VirtualService bookinfo/reviews is written, but after 0.")
    assert "not yet in force in 1 of 1 proxies: bookinfo/p (reviews.bookinfo.svc.cluster.local:9080 has v1 of" in text
    assert weights(kube) == [90, 10]


def test_without_a_wait_the_steps_are_still_proved(kube, monkeypatch):
    monkeypatch.setattr(engine, "STEP_TIMEOUT", 0.2)
    kube.put(pod("p", proxy="sidecar"))
    kube.answers["p"] = missing("v3")
    assert "is not written, because" in failure(kube, wait_timeout=None)
    del kube.answers["p"]
    assert "proof" not in change(kube, wait_timeout=None)


def test_the_module_proves_after_a_write_only(kube):
    kube.put(pod("p", proxy="sidecar"))
    assert "proof" not in change(kube, check_mode=True, wait_timeout=5)
    assert kube.asked == []
    assert change(kube, wait_timeout=5)["proof"]["proxies"] == 1
    kube.forget()
    again = change(kube, wait_timeout=5)
    assert (again["changed"], "proof" in again, kube.asked) == (False, False, [])


@pytest.mark.parametrize("section", ["tcp", "tls"])
def test_a_route_that_is_not_http_is_written_and_a_warning_tells_that_it_is_not_proved(kube, section):
    kube.put(vs(**{section: [{"route": [to("v1")]}]}))
    kube.put(dr("v1", "v3"))
    result = change(kube, wait_timeout=1)
    assert result["changed"]
    assert [warning for warning in result["warnings"] if "is written, but not proved to be in force" in warning]


SYNCZ = [
    {
        "cluster_id": "Kubernetes",
        "proxy": "p.bookinfo",
        "proxy_type": "sidecar",
        "proxy_version": "1.30.0",
        "istio_version": "1.30.0",
        "resources": {
            "type.googleapis.com/envoy.config.cluster.v3.Cluster": {"sent": "c1", "acked": "c1"},
            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": {
                "sent": "r2",
                "acked": "r1",
                "lastError": "route: unknown\n  cluster 'outbound|9080|v3|reviews'",
            },
        },
    }
]


def test_a_proxy_that_refused_its_configuration_ends_the_wait_at_once(kube, monkeypatch):
    monkeypatch.setattr(poll, "PATIENCE", 0.0)
    change(kube)
    kube.put(pod("p", proxy="sidecar"))
    kube.put(pod("istiod-1", "istio-system", labels={"app": "istiod"}))
    kube.answers["p"] = fake_envoy.answer_of(kube, ["config_dump?resource=dynamic_route_configs"])
    kube.answers["istiod-1"] = json.dumps(SYNCZ)
    started = time.monotonic()
    text = failure(kube, split_of({"v1": 90, "v3": 10}), wait_timeout=60)
    assert time.monotonic() - started < 10
    assert (
        "in 1 of 1 proxies: bookinfo/p (it refused its RouteConfiguration from istiod: route: unknown cluster"
        " 'outbound|9080|v3|reviews')" in text
    )


# --- faults whose time is over ---


def test_a_fault_whose_time_is_over_goes_with_another_task_of_that_host(kube):
    fault = faults.Fault(abort=faults.abort(503), expires="2020-01-01T00:00:00Z")
    kube.put(faults.set_fault(vs({"route": [to("v1")]}), 0, fault))
    kube.put(dr("v1", labels=OURS))
    told = "The fault of http[0] of VirtualService bookinfo/reviews (2020-01-01T00:00:00Z) is over and removed."

    def subset(world):
        return intents.subset(world, "v2", None, None)

    promised = change(kube, subset, check_mode=True)
    result = change(kube, subset)
    assert result["warnings"] == promised["warnings"] == [told]
    assert result["steps"] == promised["steps"] == ["replace DestinationRule bookinfo/reviews", *REPLACED]
    assert kube.live("VirtualService")["spec"] == vs({"route": [to("v1")]})["spec"]
    assert not change(kube, subset)["changed"]
