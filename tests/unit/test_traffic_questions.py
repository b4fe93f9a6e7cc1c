"""What is asked of the proxies beside their routes: subsets there, subsets unused, refusals; and in what order."""

from __future__ import annotations

import json

import fake_envoy
import pytest
from fake_cluster import FakeKube
from traffic_objects import REVIEWS, dr, pod, service, to, vs

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, NotFound, Unreachable
from ansible_collections.meshops.istio.plugins.module_utils.traffic import envoy_clusters
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Step, Subset
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import nacks, poll, proof

FQDN = REVIEWS.fqdn
V1, V2, WHOLE = Subset(FQDN, "v1"), Subset(FQDN, "v2"), Subset(FQDN, "")
ROUTED = vs({"route": [to("v1", 1), to("v2", 1)]})


def clusters(**health):
    """Envoy's answer: the states of the endpoints of each subset ("all" for the whole Service); None: no such state."""
    found = []
    for name, states in health.items():
        hosts = [{"health_status": {"eds_health_status": state} if state else {}} for state in states]
        subset = "" if name == "all" else name
        found.append({"name": f"outbound|9080|{subset}|{FQDN}", "host_statuses": hosts})
    return {"cluster_statuses": [{"name": "prometheus_stats"}, {"name": "xds-grpc", "host_statuses": [{}]}, *found]}


@pytest.mark.parametrize(
    ("document", "wanted", "answer"),
    [
        (clusters(all=["HEALTHY"], v1=["HEALTHY"]), [V1], ""),
        (clusters(v1=["UNHEALTHY", "HEALTHY"]), [V1], ""),
        (clusters(v1=[None]), [V1], ""),  # by DNS
        (clusters(v1=["HEALTHY"]), [V1, V2], f"no cluster for subset v2 of {FQDN}"),
        (clusters(v1=["UNHEALTHY"], v2=["HEALTHY"]), [V1, V2], f"no healthy endpoint of subset v1 of {FQDN}"),
        (clusters(v1=[]), [V1], f"no healthy endpoint of subset v1 of {FQDN}"),
        (clusters(v1=["DRAINING"]), [V1], f"no healthy endpoint of subset v1 of {FQDN}"),
        (clusters(all=[]), [WHOLE], f"no healthy endpoint of {FQDN}"),
        (clusters(v1=["HEALTHY"]), [WHOLE], f"no cluster for {FQDN}"),
        # of several ports one suffices
        (
            {"cluster_statuses": clusters(v1=[])["cluster_statuses"] + clusters(v1=["HEALTHY"])["cluster_statuses"]},
            [V1],
            "",
        ),
        # a Sidecar object keeps the host from it
        (clusters(), [V1], None),
        (clusters(v1=["HEALTHY"]), [Subset("other.b.svc.cluster.local", "v1")], None),
        (clusters(v1=["HEALTHY"]), [Subset("other.b.svc.cluster.local", "v1"), V1], ""),
        # odd answers
        ({}, [V1], None),
        (None, [V1], None),
        ({"cluster_statuses": [None, {}, {"name": 5}]}, [V1], None),
        (clusters(v1=["HEALTHY"]), [], None),
    ],
)
def test_the_subsets_that_a_proxy_can_send_to(document, wanted, answer):
    assert envoy_clusters.missing(document, wanted) == answer


def dump(kind, text):
    return {"configs": [{"@type": f"type.googleapis.com/envoy.admin.v3.{kind}", "x": [{"y": {"cluster": text}}]}]}


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        (dump("RoutesConfigDump", f"outbound|9080|v1|{FQDN}"), f"subset v1 of {FQDN}"),
        (dump("ListenersConfigDump", f"outbound|9080|v1|{FQDN}"), f"subset v1 of {FQDN}"),
        (dump("ClustersConfigDump", f"outbound|9080|v1|{FQDN}"), ""),
        (dump("RoutesConfigDump", f"outbound|9080|v2|{FQDN}"), ""),
        (dump("RoutesConfigDump", f"outbound|9080|v1|{FQDN}.x"), ""),
        (dump("RoutesConfigDump", f"inbound|9080|v1|{FQDN}"), ""),
        ({}, ""),
        ({"configs": [None, {}, 5]}, ""),
    ],
)
def test_the_subsets_that_routes_and_listeners_name(document, answer):
    assert envoy_clusters.named_by_routes(document, [V1]) == answer


# --- live ---


@pytest.fixture
def kube():
    return FakeKube(service(), ROUTED, dr("v1", "v2"), pod("p", proxy="sidecar"))


def before(kube, step, timeout=2.0):
    warnings = []
    proof.before(kube, step, timeout, "cluster.local", warnings)
    return warnings


def test_the_whole_service_of_its_own_host_needs_no_proof(kube):
    assert before(kube, Step(None, vs({"route": [to()]}), live=(WHOLE,))) == []
    assert kube.asked == []
    elsewhere = vs({"route": [to()]}, hosts=["shop.example.com"])
    before(kube, Step(None, elsewhere, live=(WHOLE,)))
    assert kube.asked == ["bookinfo/p"]


def test_the_subsets_of_a_delegate_are_asked_of_those_who_see_its_root(kube):
    part = vs({"route": [to("v1")]}, name="part")
    del part["spec"]["hosts"]
    kube.put(vs({"delegate": {"name": "part"}}, name="root", exportTo=["other"]))
    kube.put(pod("q", "other", proxy="sidecar"))
    before(kube, Step(None, part, live=(V1,)))
    assert kube.asked == ["other/q"]


def test_who_has_no_route_of_the_host_is_not_asked_for_its_subsets(kube):
    kube.put(pod("gateway", "istio-system", proxy="router"))
    kube.put(pod("plain"))
    kube.put(pod("late", proxy="sidecar", ready="False"))
    before(kube, Step(None, ROUTED, live=(V1,)))
    assert kube.asked == ["bookinfo/p"]


def test_every_running_proxy_is_asked_before_a_subset_goes(kube):
    for name, options in {"gateway": {"proxy": "router"}, "late": {"proxy": "sidecar", "ready": "False"}}.items():
        kube.put(pod(name, "istio-system", **options))
    for phase in ("Succeeded", "Failed", "Pending"):
        ended = pod(phase.lower(), proxy="sidecar")
        ended["status"]["phase"] = phase
        kube.put(ended)
    kube.put(pod("waypoint", proxy="waypoint"))
    kube.remove("VirtualService", "reviews")
    before(kube, Step(dr("v1"), None, unnamed=(V1,)))
    assert sorted(kube.asked) == ["bookinfo/p", "istio-system/gateway", "istio-system/late"]


def test_a_subset_that_is_named_stays(kube):
    with pytest.raises(MeshopsError) as caught:
        before(kube, Step(dr("v1", "v2"), dr("v1"), unnamed=(V2,)), timeout=0.2)
    text = str(caught.value)
    assert text.startswith("replace DestinationRule bookinfo/reviews is not written, because after 0.")
    assert f"in 1 of 1 proxies: bookinfo/p (its routes still name subset v2 of {FQDN});" in text


def test_without_rights_a_step_is_made_and_a_warning_tells_that_it_is_not_proved(kube):
    kube.answers["p"] = Forbidden("user u may not create pods/exec", 403)
    (warning,) = before(kube, Step(None, ROUTED, live=(V1,)))
    assert warning == (
        "create VirtualService bookinfo/reviews is made, but the proxies are not proved to be ready for it in 1 of the"
        " proxies: user u may not create pods/exec"
    )
    kube.refuse = lambda call: Forbidden("user u may not list pods", 403) if call.kind == "Pod" else None
    assert "user u may not list pods" in before(kube, Step(dr("v1"), None, unnamed=(V1,)))[-1]


def test_a_deleted_route_is_waited_for_until_it_is_gone(kube):
    old = fake_envoy.answer_of(kube, ["config_dump?resource=dynamic_route_configs"])
    kube.remove("VirtualService", "reviews")
    kube.answers["p"] = [old, fake_envoy.answer_of]
    warnings = []
    assert proof.prove_gone(kube, ROUTED, 5.0, warnings)["proxies"] == 1
    assert len(kube.asked) == 2
    kube.answers["p"] = old
    sentence = r"is deleted, but after .* \(it still has routes of VirtualService bookinfo/reviews\)"
    with pytest.raises(MeshopsError, match=sentence):
        proof.prove_gone(kube, ROUTED, 0.2, warnings)
    assert warnings == []


def test_new_subsets_are_waited_for(kube):
    kube.answers["p"] = [json.dumps(clusters(all=["HEALTHY"], v1=["HEALTHY"])), fake_envoy.answer_of]
    step = Step(None, dr("v1", "v2"), live=(V1, V2))
    assert proof.prove_subsets(kube, dr("v1", "v2"), step, 5.0, "cluster.local", [])["proxies"] == 1
    assert len(kube.asked) == 2


def test_subsets_are_asked_of_those_to_whom_the_rule_is_exported(kube):
    kube.put(pod("q", "other", proxy="sidecar"))
    kube.answers["q"] = json.dumps(clusters(all=["HEALTHY"]))
    private = dr("v1", exportTo=["."])
    found = proof.prove_subsets(kube, private, Step(None, private, live=(V1,)), 2.0, "cluster.local", [])
    assert (found["proxies"], kube.asked) == (1, ["bookinfo/p"])
    public = dr("v1", exportTo=["*"])
    with pytest.raises(MeshopsError, match=r"DestinationRule bookinfo/reviews is written, but .*other/q \(no cluster"):
        proof.prove_subsets(kube, public, Step(None, public, live=(V1,)), 0.2, "cluster.local", [])


# --- the order of the questions ---


def test_gateways_are_asked_first_and_the_crowd_only_when_the_first_few_agree(kube):
    for number in range(8):
        kube.put(pod(f"s{number}", proxy="sidecar"))
    kube.put(pod("z", "istio-system", proxy="router"))
    kube.answers["z"] = ["{}", "{}", fake_envoy.answer_of]
    gateway = {"kind": "Gateway", "metadata": {"name": "g", "namespace": "bookinfo"}, "spec": {"selector": {}}}
    kube.put(gateway)
    written = vs({"route": [to("v1", 1), to("v2", 1)]}, gateways=["mesh", "g"])
    kube.put(written)
    found = proof.prove(kube, written, 10.0, "cluster.local", [])
    assert found["proxies"] == 10
    assert kube.asked.index("istio-system/z") < poll.THREADS
    assert sorted(kube.asked[:4])[-1] == "istio-system/z"
    crowd = [name for name in kube.asked if name != "istio-system/z"]
    assert len(crowd) == len(set(crowd)) == 9, "nobody who agreed is asked again"


def test_who_agreed_is_asked_again_when_something_else_is_wanted_meanwhile(kube):
    def somebody_writes(cluster, _argv):
        cluster.edit("VirtualService")["spec"]["http"][0]["timeout"] = "3s"
        return "{"

    kube.put(pod("slow", proxy="sidecar"))
    kube.answers["slow"] = [somebody_writes, "{", fake_envoy.answer_of]
    assert proof.prove(kube, ROUTED, 10.0, "cluster.local", [])["proxies"] == 2
    assert kube.asked.count("bookinfo/p") == 2, "not in the third round, in which the same is wanted"


def test_at_the_deadline_everybody_is_asked_so_that_the_laggards_are_known(kube):
    for number in range(8):
        kube.put(pod(f"s{number}", proxy="sidecar"))
    old = fake_envoy.answer_of(kube, ["config_dump?resource=dynamic_route_configs"])
    kube.answers.update(dict.fromkeys(["p", "s0"], old))
    kube.put(vs({"route": [to("v1", 1), to("v2", 3)]}))
    with pytest.raises(MeshopsError) as caught:
        proof.prove(kube, ROUTED, 0.0, "cluster.local", [])
    assert "not yet in force in 2 of 9 proxies: bookinfo/p (" in str(caught.value)
    assert "not asked yet" not in str(caught.value)


# --- refusals ---

ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def entry(proxy, **errors):
    resources = {
        kind: {"sent": "2", "acked": "1", **({"lastError": errors[name]} if errors.get(name) else {})}
        for name, kind in (("routes", ROUTES), ("clusters", CLUSTERS))
    }
    return {"cluster_id": "Kubernetes", "proxy": proxy, "istio_version": "1.30.0", "resources": resources}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([entry("p.bookinfo")], {}),
        (
            [entry("p.bookinfo", routes="no\n  such   cluster"), entry("q.bookinfo")],
            {"bookinfo/p": "it refused its RouteConfiguration from istiod: no such cluster"},
        ),
        (
            [entry("a.b.bookinfo", clusters="bad")],
            {"bookinfo/a.b": "it refused its Cluster from istiod: bad"},
        ),
        ([entry("p.bookinfo", routes="")], {}),
        ([None, {}, {"proxy": 5}, {"proxy": "p.b", "resources": [1]}, {"proxy": "p.b", "resources": {"x": None}}], {}),
        ({"not": "a list"}, {}),
    ],
)
def test_what_istiod_tells_of_refusals(document, found):
    assert nacks.refused_in(document) == found


def test_a_long_refusal_is_cut():
    text = nacks.refused_in([entry("p.bookinfo", routes="x" * 1000)])["bookinfo/p"]
    assert len(text) < 400


def istiod(name="istiod-1", **options):
    return pod(name, "istio-system", labels={"app": "istiod"}, **options)


def test_every_istiod_is_asked_and_only_the_proxies_meant_are_told(kube):
    for name in ("istiod-1", "istiod-2"):
        kube.put(istiod(name))
    kube.put(istiod("istiod-3", ready="False"))
    kube.answers["istiod-1"] = json.dumps([entry("p.bookinfo", routes="one")])
    kube.answers["istiod-2"] = json.dumps([entry("q.bookinfo", routes="two"), entry("r.bookinfo", routes="three")])
    told = nacks.refusals(kube, {"bookinfo/p", "bookinfo/q"})
    assert set(told) == {"bookinfo/p", "bookinfo/q"}
    assert kube.asked == ["istio-system/istiod-1", "istio-system/istiod-2"]


@pytest.mark.parametrize(
    "answer", [Forbidden("no", 403), NotFound("gone", 404), Unreachable("no answer"), "half an ans"]
)
def test_what_cannot_be_asked_is_not_known(kube, answer):
    kube.put(istiod())
    kube.answers["istiod-1"] = answer
    assert nacks.refusals(kube, {"bookinfo/p"}) == {}


def test_without_an_answer_from_istiod_the_wait_goes_on(kube, monkeypatch):
    monkeypatch.setattr(poll, "PATIENCE", 0.0)
    kube.put(istiod())
    kube.answers["istiod-1"] = [Forbidden("no", 403), json.dumps([entry("another.bookinfo", routes="x")])]
    kube.answers["p"] = ["{", "{", "{", fake_envoy.answer_of]
    assert proof.prove(kube, ROUTED, 10.0, "cluster.local", [])["proxies"] == 1
    assert "istio-system/istiod-1" in kube.asked
