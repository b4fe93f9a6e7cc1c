# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module istio_info: a mesh described from its objects and istiod's answers, and what is not in order.

istiod's answers to /debug/syncz stand for 1.20 (no `resources` yet) and 1.24 (with them). They are made by the form in
pilot/pkg/xds/debug.go of the branches release-1.20 and release-1.24 of istio/istio.
"""

from __future__ import annotations

import json

import pytest
from mesh_world import (
    GATEWAY,
    RECORDED,
    Cluster,
    istiod,
    no_cluster,
    node,
    obj,
    pod,
    program,
    service,
    use,
    webhook,
)

from ansible_collections.meshops.istio.plugins.module_utils import istio_info, mesh_state, proxy_status
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, Unreachable

OLD, NEW = (RECORDED / f"istioctl_syncz_{version}.json" for version in ("1.20", "1.24"))


def entry(name, version="1.32.0-lab.1", *, kind="sidecar", sent="1", acked="1", error=""):
    cluster = {"sent": sent, "acked": acked, **({"lastError": error} if error else {})}
    resources = {"type.googleapis.com/envoy.config.cluster.v3.Cluster": cluster}
    return {"proxy": name, "proxy_type": kind, "istio_version": version, "resources": resources}


BOOKINFO = obj("Namespace", "bookinfo", None, {"istio-injection": "enabled"})
DEFAULT_TAG = webhook("istio-revision-tag-default", "default", {"istio-injection": "enabled"}, "default")
MESH = [
    istiod(),
    pod("istiod-1", "istio-system", {"app": "istiod", "istio.io/rev": "default"}),
    webhook("istio-sidecar-injector", "default", {"istio.io/deactivated": "never-match"}),
    DEFAULT_TAG,
    obj("Namespace", "istio-system"),
    obj("Namespace", "kube-system"),
    BOOKINFO,
    pod("istio-ingressgateway-1", "istio-system", GATEWAY, "router"),
    service("istio-ingressgateway", "istio-system", GATEWAY, ip="172.30.0.200"),
    pod("reviews-1", "bookinfo", {"app": "reviews"}, "sidecar"),
    service("reviews", "bookinfo", {"app": "reviews"}, "ClusterIP", ports=[{"name": "http", "port": 9080}]),
    node("n1", InternalIP="172.30.0.11"),
]
SYNCZ = [entry("istio-ingressgateway-1.istio-system", kind="router"), entry("reviews-1.bookinfo")]


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(*objects, answer=None, check_mode=False, kubernetes="1.36.3", cluster=None, **options):
        answer = SYNCZ if answer is None else answer
        cluster = cluster or Cluster(*objects, kubernetes=kubernetes)
        cluster.answers = {"istio-system/istiod-1": answer if isinstance(answer, Exception) else json.dumps(answer)}
        use(monkeypatch, cluster)
        given = {"istioctl": program(tmp_path), "manifests": None, "profile": None, "proxies": True}
        return istio_info.core({**given, **options}, check_mode)

    return call


def test_a_mesh_in_order(run):
    found = run(*MESH)
    assert (found["installed"], found["changed"], found["problems"], found["warnings"]) == (True, False, [], [])
    assert found["client"] == "1.32.0-lab.1"
    assert found["control_planes"] == [
        {
            "revision": "default",
            "name": "istiod",
            "namespace": "istio-system",
            "version": "1.32.0-lab.1",
            "ready": True,
        }
    ]
    assert found["data_plane"] == {"1.32.0-lab.1": 2}
    assert found["revisions"] == ["default"]
    assert found["tags"] == [{"tag": "default", "revision": "default", "namespaces": ["bookinfo"]}]
    named = {row["name"]: row for row in found["namespaces"]}
    assert named["bookinfo"] == {
        "name": "bookinfo",
        "injection": "enabled",
        "asked": "default",
        "revision": "default",
        "tag": "default",
        "ambient": False,
        "with_proxy": 1,
        "without_proxy": 0,
    }
    assert (named["istio-system"]["injection"], "kube-system" in named) == ("unset", False)
    (gateway,) = found["gateways"]
    assert gateway["urls"] == ["http://172.30.0.200", "https://172.30.0.200"]
    assert (gateway["addresses"], gateway["ready_pods"], gateway["pending"]) == (["172.30.0.200"], 1, False)
    assert [(row["name"], row["type"], row["state"], row["revision"], row["istiod"]) for row in found["proxies"]] == [
        ("reviews-1", "sidecar", "synced", "default", "istio-system/istiod-1"),
        ("istio-ingressgateway-1", "router", "synced", "default", "istio-system/istiod-1"),
    ]
    assert (found["profiles"], found["profile"]) == ([], None)


def test_no_mesh_is_no_failure(run, tmp_path):
    found = run(obj("Namespace", "default"), istioctl=str(tmp_path / "none"))
    assert (found["installed"], found["client"], found["problems"], found["proxies"]) == (False, None, [], [])
    assert set(found) >= {"control_planes", "data_plane", "revisions", "tags", "namespaces", "gateways"}


def test_check_mode_before_there_is_a_cluster(run):
    found = run(cluster=no_cluster(), check_mode=True)
    assert (found["installed"], found["warnings"]) == (False, ["The cluster was not looked at: there is no kubeconfig"])


def test_no_kubeconfig_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    given = {"kubeconfig": str(tmp_path / "none"), "context": None, "istioctl": "x", "manifests": None}
    with pytest.raises(Unreachable, match=r"There is no kubeconfig at .*none: set the option kubeconfig"):
        istio_info.core({**given, "profile": None, "proxies": True}, False)


def test_istioctl_of_another_machine_is_a_problem_and_no_failure(run, tmp_path):
    (tmp_path / "other").write_bytes(b"\x7fELFnot really")
    (tmp_path / "other").chmod(0o755)
    found = run(*MESH, istioctl=str(tmp_path / "other"))
    assert found["client"] is None
    assert "is it built for this machine" in found["problems"][0]


def test_missing_right_for_the_proxies_is_a_problem(run):
    found = run(*MESH, answer=Forbidden("user x may not create pods/exec", 403))
    assert {row["state"] for row in found["proxies"]} == {"unknown"}
    assert found["data_plane"] == {"1.32.0-lab.1": 2}
    assert found["problems"] == ["Which proxies are connected is not known: user x may not create pods/exec"]
    assert run(*MESH, proxies=False)["problems"] == []


def test_an_istiod_without_debug_endpoints(run):
    (problem,) = run(*MESH, answer={"error": "404"})["problems"]
    assert "istiod istio-system/istiod-1 answered no list" in problem


def problems(run, *objects, without=(), **how):
    kept = [item for item in MESH if (item["kind"], item["metadata"]["name"]) not in without]
    return run(*kept, *objects, **how)["problems"]


@pytest.mark.parametrize(
    ("without", "objects", "words"),
    [
        (
            [("Namespace", "bookinfo")],
            [obj("Namespace", "bookinfo", None, {"istio.io/rev": "1-31"})],
            "Namespace bookinfo asks for injection by 1-31, which no webhook serves; the control planes are default.",
        ),
        (
            [("MutatingWebhookConfiguration", "istio-revision-tag-default")],
            [],
            "Namespace bookinfo asks for injection by default, which no webhook serves",
        ),
        (
            [],
            [pod("ratings-1", "bookinfo"), pod("ratings-2", "bookinfo")],
            "2 of 3 pods of namespace bookinfo have no sidecar; restart their workloads.",
        ),
        (
            [("Namespace", "bookinfo")],
            [obj("Namespace", "bookinfo", None, {"istio-injection": "disabled"})],
            "1 pods of namespace bookinfo have a sidecar though injection is off there",
        ),
        (
            [],
            [webhook("istio-revision-tag-prod", "1-30", {"istio.io/rev": "prod"}, "prod")],
            "Tag prod names revision 1-30, which has no control plane; there is default.",
        ),
        (
            [("Service", "istio-ingressgateway")],
            [service("istio-ingressgateway", "istio-system", GATEWAY)],
            "Service istio-system/istio-ingressgateway of type LoadBalancer has no address",
        ),
        (
            [("Pod", "istio-ingressgateway-1")],
            [pod("istio-ingressgateway-1", "istio-system", GATEWAY, "router", ready=False)],
            "Gateway istio-system/istio-ingressgateway has no ready pod.",
        ),
    ],
)
def test_what_is_not_in_order(run, without, objects, words):
    found = problems(run, *objects, without=without)
    assert len(found) == 1
    assert found[0].startswith(words)


@pytest.mark.parametrize(
    "extra",
    [
        pod("job-1", "bookinfo", phase="Succeeded"),
        pod("net-1", "bookinfo", hostNetwork=True),
        obj(
            "Pod", "no-1", "bookinfo", None, {"sidecar.istio.io/inject": "false"}, spec={}, status={"phase": "Running"}
        ),
        pod("other-1", "elsewhere"),
        pod("new-1", "bookinfo", proxy="sidecar", phase="Pending"),
    ],
)
def test_pods_that_need_no_proxy_or_not_yet(run, extra):
    assert problems(run, extra) == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (
            [entry("reviews-1.bookinfo", acked="0", error="bad\ncluster")],
            "Proxy bookinfo/reviews-1 refused the configuration that istiod sent (Cluster: bad cluster).",
        ),
        (
            [entry("reviews-1.bookinfo", sent="")],
            "Proxy bookinfo/reviews-1 got no configuration from istiod (Cluster).",
        ),
        ([], "Proxy bookinfo/reviews-1 is connected to no istiod."),
        (
            [entry("reviews-1.bookinfo", "1.31.1")],
            "Proxy bookinfo/reviews-1 runs version 1.31.1, the control plane is 1.32.0-lab.1; restart the workloads.",
        ),
    ],
)
def test_proxies_that_are_not_in_order(run, monkeypatch, entries, words):
    monkeypatch.setattr(proxy_status, "_AGAIN_SECONDS", 9.0)
    assert problems(run, answer=[SYNCZ[0], *entries]) == [words]


def test_many_proxies_are_counted():
    rows = [{"name": f"p{n}", "namespace": "a", "state": "not_connected", "detail": ""} for n in range(5)]
    assert list(istio_info.proxy_problems(rows)) == [
        "5 proxies (a/p0, a/p1, a/p2 and 2 more) are connected to no istiod."
    ]


def test_versions_that_do_not_go_together(run):
    old = [istiod("1.30.5") if item["kind"] == "Deployment" else item for item in MESH]
    found = run(*old, kubernetes="1.37.0")["problems"]
    assert found[0].startswith("istioctl 1.32.0-lab.1 is more than one minor version newer than the control plane")
    assert found[1].startswith("Kubernetes 1.37.0 is not supported by Istio 1.30")
    assert "2 proxies" in found[2]
    assert "run version 1.32.0-lab.1, the control plane is 1.30.5" in found[2]
    nameless = istiod()
    nameless["metadata"]["labels"].pop("operator.istio.io/version")
    nameless["spec"]["template"]["spec"]["containers"][0]["image"] = "istio/pilot@sha256:ab"
    found = run(*(nameless if item["kind"] == "Deployment" else item for item in MESH))
    assert found["control_planes"][0]["version"] is None
    assert found["problems"] == [
        "The version of control plane istio-system/istiod is not known: it has no label for it and its image no tag."
    ]


def test_a_control_plane_that_is_not_ready(run):
    broken = istiod()
    broken["status"]["availableReplicas"] = 0
    broken["spec"]["selector"] = {"matchLabels": {"app": "nothing"}}
    found = run(*(broken if item["kind"] == "Deployment" else item for item in MESH))
    assert found["control_planes"][0]["ready"] is False
    assert found["problems"][0].startswith("Control plane istio-system/istiod is not ready: it has no pods yet")


def test_two_revisions(run):
    canary = istiod("1.31.1", "1-31", "istiod-1-31")
    pods = [
        pod("istiod-2", "istio-system", {"app": "istiod", "istio.io/rev": "1-31"}),
        pod("a-1", "new", None, "sidecar:1.31.1-distroless"),
    ]
    hook = webhook("istio-sidecar-injector-1-31", "1-31", {"istio.io/rev": "1-31"})
    cluster = Cluster(*MESH, canary, *pods, hook, obj("Namespace", "new", None, {"istio.io/rev": "1-31"}))
    cluster.answers = {}

    class Both(Cluster):
        def exec(self, namespace, name, *_rest, **_how):
            answers = {"istiod-1": SYNCZ, "istiod-2": [entry("a-1.new", "1.31.1")]}
            return json.dumps(answers[name])

    both = Both(*cluster.objects)
    found = run(cluster=both)
    assert found["revisions"] == ["1-31", "default"]
    assert found["data_plane"] == {"1.31.1": 1, "1.32.0-lab.1": 2}
    assert {row["name"]: row["revision"] for row in found["proxies"]}["a-1"] == "1-31"
    assert {row["name"]: row["revision"] for row in found["namespaces"]}["new"] == "1-31"
    assert found["problems"] == []
    unasked = run(cluster=both, proxies=False)
    assert unasked["data_plane"] == found["data_plane"]  # the image's variant is no version


def test_a_proxy_without_a_pod_is_there_as_well(run):
    found = run(*MESH, answer=[*SYNCZ, entry("machine-1.vms", "1.31.1")])
    assert [(row["namespace"], row["name"]) for row in found["proxies"]][-1] == ("vms", "machine-1")
    assert found["data_plane"] == {"1.31.1": 1, "1.32.0-lab.1": 2}
    assert found["problems"][0].startswith("Proxy vms/machine-1 runs version 1.31.1")


# --- istiod's answer ---


def test_syncz_of_1_20():
    assert proxy_status.parse(OLD.read_text()) == {
        "bookinfo/reviews-v1-6f8c8d-abcde": {
            "type": "sidecar",
            "version": "1.20.8",
            "state": "stale",
            "detail": "RouteConfiguration",
        },
        "bookinfo/ratings-v1-5c7d-fghij": {"type": "sidecar", "version": "1.20.8", "state": "synced", "detail": ""},
    }


def test_syncz_of_1_24():
    found = proxy_status.parse(NEW.read_text())
    assert {name: (row["state"], row["detail"]) for name, row in found.items()} == {
        "istio-system/istio-ingressgateway-7d9-xyz": ("synced", ""),
        "bookinfo/reviews-v1-6f8c8d-abcde": ("refused", "Cluster: Error adding/updating cluster(s) x: bad"),
        "bookinfo/ratings-v1-5c7d-fghij": ("not_sent", "Cluster"),
    }


@pytest.mark.parametrize("text", ["", "{}", "not found"])
def test_what_is_no_answer(text):
    with pytest.raises(ValueError, match=r".*"):
        proxy_status.parse(text)


def test_a_proxy_that_moved_is_seen_in_its_better_state():
    stale, good = ({"state": state} for state in ("stale", "synced"))
    for order in ((stale, good), (good, stale)):
        found = {}
        for row in order:
            proxy_status.merge(found, "a/b", row)
        assert found == {"a/b": good}


def test_a_proxy_that_is_behind_is_asked_again(monkeypatch):
    pauses = []
    monkeypatch.setattr(proxy_status.time, "sleep", pauses.append)
    cluster = Cluster(*MESH)
    behind = json.dumps([entry("reviews-1.bookinfo", acked="0")])
    cluster.answers = {"istio-system/istiod-1": [behind, behind, json.dumps(SYNCZ)]}
    assert {row["state"] for row in proxy_status.read(cluster).values()} == {"synced"}
    assert len(pauses) == 2
    cluster.answers = {"istio-system/istiod-1": behind}
    assert proxy_status.read(cluster, patience=0.0)["bookinfo/reviews-1"]["state"] == "stale"


# --- injection ---


@pytest.mark.parametrize(
    ("labels", "asked"),
    [
        ({}, ""),
        ({"istio-injection": "enabled"}, "default"),
        ({"istio-injection": "disabled", "istio.io/rev": "x"}, ""),
        ({"istio-injection": "enabled", "istio.io/rev": "x"}, "default"),
        ({"istio.io/rev": "x"}, "x"),
    ],
)
def test_who_is_asked(labels, asked):
    assert mesh_state.asked(labels) == asked


def test_kube_system_is_never_injected():
    found = mesh_state.injection(obj("Namespace", "kube-system", None, {"istio-injection": "enabled"}), [])
    assert (found["injection"], found["asked"], found["revision"]) == ("disabled", "default", None)


def test_the_variant_of_an_image_is_no_version():
    helm = istiod("1.31.1-distroless")
    del helm["metadata"]["labels"]["operator.istio.io/version"]
    assert mesh_state.control_planes([helm])[0]["version"] == "1.31.1"


def test_a_tag_may_be_a_service_alone():
    svc = obj("Service", "istiod-revision-tag-prod", "istio-system", {"istio.io/tag": "prod", "istio.io/rev": "1-31"})
    found = mesh_state.tags([], [svc], [obj("Namespace", "shop", None, {"istio.io/rev": "prod"})])
    assert found == [{"tag": "prod", "revision": "1-31", "namespaces": ["shop"]}]


def test_profile_that_is_asked_for_needs_a_release(run):
    with pytest.raises(MeshopsError, match="Profile demo cannot be shown"):
        run(*MESH, profile="demo")
