"""What is refused before the first write: nobody ready, another tool's object, an object without effect, no Service."""

from __future__ import annotations

import pytest
from fake_cluster import FakeKube
from traffic_objects import REVIEWS, dr, pod, service, split_of, to, version, vs

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Forbidden, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.traffic import intents
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import engine

ANY = Request(REVIEWS, {})
V1_V3 = split_of({"v1": 50, "v3": 50})
CREATED = ["create DestinationRule bookinfo/reviews", "create VirtualService bookinfo/reviews"]


@pytest.fixture
def kube():
    return FakeKube(service(), version("v1"), version("v2"), version("v3"))


def change(kube, intent=V1_V3, **options):
    return engine.change(kube, REVIEWS, intent, engine.Options(by="t", **options))


def refused(kube, intent=V1_V3, **options):
    """The sentence, the same in check mode, with nothing written or tried."""
    found = set()
    for check_mode in (True, False):
        with pytest.raises(MeshopsError) as caught:
            change(kube, intent, check_mode=check_mode, **options)
        found.add(str(caught.value))
    assert kube.writes == kube.dry_runs == []
    (text,) = found
    return text


# --- pods ---


@pytest.mark.parametrize(
    ("pods", "weights", "word"),
    [
        ([version("v1")], {"v1": 50, "v3": 50}, "Subset v3 of reviews.bookinfo (version=v3) has no ready pod"),
        ([version("v1"), version("v3", ready="False")], {"v1": 50, "v3": 50}, "Subset v3"),
        ([version("v1"), version("v3", deletionTimestamp="now")], {"v1": 50, "v3": 50}, "Subset v3"),
        ([version("v1"), version("v3", namespace="other")], {"v1": 50, "v3": 50}, "Subset v3"),
        ([version("v1"), version("v3", app="ratings")], {"v1": 50, "v3": 50}, "Subset v3"),
        ([version("v1")], {"v1": 1, "v3": 0}, None),
    ],
)
def test_requests_are_not_sent_where_nobody_is_ready(pods, weights, word):
    kube = FakeKube(service(), *pods)
    if word is None:
        assert change(kube, split_of(weights))["changed"]
        return
    text = refused(kube, split_of(weights))
    assert word in text
    assert text.endswith("Start one, or set its weight to 0, or require_ready to false.")
    assert change(kube, split_of(weights), require_ready=False)["changed"]


def test_a_pod_of_a_moment_ago_suffices_and_a_refusal_looks_again(kube):
    kube.at_hand = {"Pod": [version("v1")]}
    assert change(kube)["changed"]
    lists = [call.cached for call in kube.calls if (call.verb, call.kind) == ("list", "Pod")]
    assert lists[:3] == [True, True, False]


@pytest.mark.parametrize(
    "intent",
    [
        lambda world: intents.mirror(world, ANY, Destination(REVIEWS.fqdn, "v9"), 1),
        lambda world: intents.rule(world, Request(REVIEWS, {"v9": 1}), Rule("a", {"headers": {"a": {"exact": "b"}}})),
    ],
    ids=["mirror", "rule"],
)
def test_a_mirror_and_a_rule_need_a_ready_pod_as_well(kube, intent):
    assert "Subset v9 of reviews.bookinfo (version=v9) has no ready pod" in refused(kube, intent)


def test_a_split_between_services_looks_at_each_of_them(kube):
    both = split_of({"reviews-v1": 1, "reviews-v2": 1}, services=True)
    kube.put(service("reviews-v1"))
    kube.put(pod("a", labels={"app": "reviews-v1"}))
    assert refused(kube, both).startswith("There is no Service reviews-v2 in namespace bookinfo, requests sent there")
    kube.put(service("reviews-v2"))
    assert refused(kube, both).startswith("Service reviews-v2.bookinfo (app=reviews-v2) has no ready pod")
    kube.put(pod("b", labels={"app": "reviews-v2"}))
    assert change(kube, both)["steps"] == CREATED[1:]


def test_a_split_in_effect_stays_no_change_while_pods_restart(kube):
    change(kube)
    kube.remove("Pod", "reviews-v3")
    assert not change(kube)["changed"]


def test_a_service_without_selector_is_not_checked():
    assert change(FakeKube(service(selector=False)))["changed"]


# --- other tools ---

CANARY = [{"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "reviews"}]


@pytest.mark.parametrize(
    ("managed", "word"),
    [
        (vs({"route": [to("v1")]}), "VirtualService bookinfo/reviews is managed by Flagger (Canary reviews)"),
        (service(), "Service bookinfo/reviews is managed by Flagger (Canary reviews)"),
    ],
)
def test_the_object_of_another_tool_is_edited_by_force_only(kube, managed, word):
    kube.put(vs({"route": [to("v1")]}))
    kube.put(dr("v1", "v3"))
    managed["metadata"]["ownerReferences"] = CANARY
    kube.put(managed)
    assert refused(kube) == (
        f"{word}, which would undo this change or work against it. Make it there, or set force to true."
    )
    assert change(kube, force=True)["steps"] == ["replace VirtualService bookinfo/reviews"]
    # what is in effect already is nobody's change
    assert not change(kube)["changed"]


@pytest.mark.parametrize(
    ("metadata", "obstacle"),
    [
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, False),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, False),
        ({"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "reviews"}}, True),
        ({"ownerReferences": CANARY}, True),
    ],
)
def test_who_only_deploys_the_service_does_not_move_its_traffic(kube, metadata, obstacle):
    kube.put(service(**metadata))
    if obstacle:
        assert "Service bookinfo/reviews is managed by" in refused(kube)
    else:
        assert change(kube)["steps"] == CREATED


def test_the_rule_of_another_tool_that_is_only_used_is_no_obstacle(kube):
    managed = dr("v1", "v3")
    managed["metadata"]["ownerReferences"] = CANARY
    kube.put(managed)
    assert change(kube)["steps"] == CREATED[1:]


# --- objects without effect ---


def test_an_object_behind_an_older_one_is_not_edited_even_by_force(kube):
    kube.put(vs({"route": [to(host="ratings")]}, created="2020-01-01T00:00:00Z", name="old"))
    kube.put(vs({"route": [to("v1")]}, created="2025-01-01T00:00:00Z", name="new"))
    kube.put(dr("v1", "v3"))
    for force in (False, True):
        assert "VirtualService bookinfo/old has the same host and is older than" in refused(kube, force=force)


def test_a_delegate_outside_of_its_root_is_not_edited(kube):
    part = vs({"match": [{"uri": {"prefix": "/b"}}], "route": [to("v1")]}, name="part")
    del part["spec"]["hosts"]
    kube.put(part)
    kube.put(vs({"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "part"}}, name="root"))
    kube.put(dr("v1", "v3"))
    text = refused(kube, split_of({"v1": 1, "v3": 1}, route="http[0]"))
    assert "http[0] of VirtualService bookinfo/part is not in force" in text


# --- what is not there ---


def test_an_unknown_service_is_refused_with_the_near_names(kube):
    kube.put(service("review"))
    kube.remove("Service", "reviews")
    with pytest.raises(MeshopsError, match=r"no Service reviews in namespace bookinfo .did you mean: review"):
        change(kube)
    result = change(kube, check_mode=True)
    assert result["changed"]
    assert "did you mean: review" in result["warnings"][0]
    assert "as if an earlier task made it" in result["warnings"][0]


def test_check_mode_without_a_cluster_would_create():
    result = change(AbsentKube("no kubeconfig"), check_mode=True)
    assert result["changed"]
    assert result["warnings"] == []
    assert result["steps"] == CREATED
    assert result["after"]["spec"]["hosts"] == ["reviews"]
    assert "proof" not in change(AbsentKube(), check_mode=True, wait_timeout=5)


def test_before_istio_is_installed_check_mode_would_create(kube):
    kube.absent_kinds = {"VirtualService", "DestinationRule"}
    result = change(kube, check_mode=True)
    assert result["changed"]
    assert "The cluster has no kind VirtualService in networking.istio.io/v1. Install Istio" in result["warnings"][0]
    with pytest.raises(MeshopsError, match="no kind VirtualService in networking"):
        change(kube)
    assert kube.writes == []


def test_a_namespace_or_kind_that_comes_with_an_earlier_task_is_no_obstacle_to_check_mode(kube):
    kube.refuse = lambda call: NotFound("no such kind", 404) if call.verb == "create" else None
    assert change(kube, check_mode=True)["changed"]
    with pytest.raises(NotFound):
        change(kube)


def test_the_gateway_api_has_to_be_there_when_it_is_asked_for(kube):
    kube.absent_kinds = {"HTTPRoute"}
    backends = split_of({"reviews-v1:9080": 1}, api="gateway")
    sentence = "no kind HTTPRoute in gateway.networking.k8s.io/v1. Install the CRDs of the Gateway API"
    kube.put(vs({"route": [to()]}, hosts=["other"], name="other"))
    with pytest.raises(MeshopsError, match=sentence):
        change(kube, backends, api="gateway")
    result = change(kube, backends, api="gateway", check_mode=True, require_ready=False)
    assert sentence in result["warnings"][0]
    assert result["steps"] == ["create HTTPRoute bookinfo/reviews"]


# --- rights ---


def test_with_rights_in_one_namespace_only(kube):
    def narrow(call):
        return Forbidden("no", 403) if call.verb == "list" and call.namespace is None else None

    kube.refuse = narrow
    result = change(kube)
    assert result["changed"]
    told = [warning for warning in result["warnings"] if "may be read, those of others are not considered" in warning]
    assert sorted(warning.split()[2] for warning in told) == ["DestinationRules", "VirtualServices"]


def test_without_any_right_to_read_the_error_names_it(kube):
    kube.refuse = lambda call: Forbidden("user u may not list it", 403) if call.verb == "list" else None
    with pytest.raises(Forbidden, match="user u may not list it"):
        change(kube)


def test_whoever_may_not_see_the_gateway_api_does_not_use_it(kube):
    kube.refuse = lambda call: Forbidden("no", 403) if call.kind in ("HTTPRoute", "GRPCRoute") else None
    result = change(kube)
    assert (result["steps"], result["warnings"]) == (CREATED, [])
