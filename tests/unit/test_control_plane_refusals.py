# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is changed, in check mode as in a run; and what an installation is proved by."""

from __future__ import annotations

import time

import pytest
from control_plane_world import (
    MESH,
    RENDERED,
    SYSTEM,
    Cluster,
    Tool,
    crd,
    default_tag,
    gateway,
    gateway_pod,
    injector,
    istiod,
    istiod_pod,
    obj,
    run,
)

from ansible_collections.meshops.istio.plugins.module_utils import control_plane, control_plane_wait, rollout
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_owned import Target
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, Kube, WebhookUnavailable
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError

HELM = {"meta.helm.sh/release-name": "istio-base", "meta.helm.sh/release-namespace": SYSTEM}
RELEASED = {"app.kubernetes.io/managed-by": "Helm"}


@pytest.fixture
def world(monkeypatch):
    def build(*objects, rendered=None, version="1.31.1", **options):
        cluster = Cluster(*objects, **options)
        tool = Tool(cluster, rendered if rendered is not None else RENDERED, version)
        monkeypatch.setattr(Kube, "connect", staticmethod(lambda _params, _check_mode=False: cluster))
        monkeypatch.setattr(control_plane, "Istioctl", tool)
        monkeypatch.setattr(control_plane_wait, "_PAUSE", 0.01)
        return cluster, tool

    return build


def refused(cluster, tool, words, **options):
    """Assert that check mode and a run say the same, and that nothing is changed."""
    for check in (True, False):
        with pytest.raises(MeshopsError, match=words):
            run(check=check, **options)
    assert (tool.installs, cluster.writes) == (0, [])


@pytest.mark.parametrize(
    ("objects", "options", "words"),
    [
        ((), {"version": "1.31.1", "kubernetes": "1.37.1"}, r"Kubernetes 1\.37\.1 is not supported by Istio 1\.31"),
        ((istiod(version="1.29.2"),), {}, r"go to 1\.30 first"),
        ((istiod(version="1.32.0"),), {"version": "1.30.5"}, r"go to 1\.31 first"),
        ((), {"version": "1.20.0"}, "too old"),
    ],
)
def test_versions(world, objects, options, words):
    cluster, tool = world(*objects, version=options.get("version", "1.31.1"))
    cluster.kubernetes = options.get("kubernetes", "1.36.3")
    refused(cluster, tool, words)


def test_unknown_profile_and_field(world):
    said = "istioctl manifest generate failed with 1: "
    cluster, tool = world(rendered=MeshopsError(f'{said}merge inputs: profile "foo" not found: open profiles/foo.yaml'))
    refused(cluster, tool, "There is no profile foo: choose one of ambient, default, demo", profile="foo")
    tool.rendered = MeshopsError(f'{said}could not unmarshal: json: unknown field "meshConfg"')
    refused(cluster, tool, r"unknown field: spec\.meshConfg", spec={"meshConfg": {}})


def test_revision_that_is_no_dns_label(world):
    cluster, tool = world()
    refused(cluster, tool, r"revision 1\.31 is not a DNS label", revision="1.31")


def second(namespace):
    hook = injector(**{"app": "sidecar-injector", "istio.io/rev": "default"})
    hook["webhooks"][0]["clientConfig"]["service"]["namespace"] = namespace
    return hook


def test_second_control_plane_without_a_revision(world):
    cluster, tool = world(second("mesh"))
    refused(cluster, tool, "Namespace mesh has a control plane without a revision already")


def test_default_of_another_revision_is_not_taken_over(world):
    cluster, tool = world(default_tag("1-30-5"))
    refused(cluster, tool, "Revision 1-30-5 is the default one")


@pytest.mark.parametrize(
    ("objects", "rendered", "options"),
    [
        ([second(SYSTEM)], RENDERED, {}),
        ([second("mesh")], [MESH], {}),  # gateways alone inject nothing
        ([second("mesh")], [MESH], {"revision": "1-31-1"}),
        ([default_tag("1-30-5"), istiod(version="1.31.1")], RENDERED, {}),
        ([default_tag()], RENDERED, {}),
    ],
)
def test_what_is_no_second_default(world, objects, rendered, options):
    world(*objects, rendered=rendered)
    assert run(check=True, **options)["changed"] is True


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (crd(annotations=HELM), r"virtualservices\S+ belong to Helm \(release istio-base\): go on with Helm"),
        (
            crd(labels=RELEASED),
            "belong to Helm: .* to adopt them, run .* kubectl annotate OBJECT meta.helm.sh/release-",
        ),
        (crd(labels={**RELEASED, "argocd.argoproj.io/instance": "mesh"}), "belong to Helm"),
        (crd(labels={"argocd.argoproj.io/instance": "mesh"}), r"Argo CD \(application mesh\), or to adopt them, take"),
        (crd(labels={**RELEASED, "operator.istio.io/managed": "Reconcile"}), None),
        (crd(labels={**RELEASED, "operator.istio.io/managed": "Reconcile"}, annotations=HELM), "istio-base"),
        (crd(), None),
    ],
)
def test_objects_of_another_owner(world, live, words):
    cluster, tool = world(live, rendered=[*RENDERED, crd()])
    if words is None:
        assert run(check=True)["changed"] is True
        return
    refused(cluster, tool, words)


def test_missing_rights(world):
    cluster, tool = world()
    cluster.denied = {("create", "deployments"), ("patch", "horizontalpodautoscalers")}
    refused(
        cluster,
        tool,
        r"may not create deployments\.apps in namespace istio-system, patch horizontalpodautoscalers\.autoscaling in",
    )
    cluster.denied = set()
    assert run()["changed"] is True
    cluster.denied = {("create", "deployments")}
    assert run()["changed"] is False


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({"spec": {"containers": [{"name": "probe"}]}}, "no istio-proxy container was added"),
        (WebhookUnavailable("failed calling webhook", 500), "failed calling webhook"),
        (Forbidden("may not create pods", 403), "may not create pods"),
        (Forbidden("violates PodSecurity: container istio-init must not add NET_ADMIN", 403), None),
    ],
)
def test_injection_is_proved(world, probe, words):
    cluster = world(probe=probe)[0]
    if words is None:
        assert run()["changed"] is True
        return
    with pytest.raises(MeshopsError, match=f"sidecars are not injected in namespace istio-system: {words}"):
        run()
    assert cluster.writes[-1] == ("ConfigMap", "meshops-istio", "installing")


def test_probe_goes_where_no_label_speaks_of_injection():
    labelled = obj("Namespace", SYSTEM, labels={"istio-injection": "disabled"})
    target = Target(Cluster(labelled, obj("Namespace", "default")), SYSTEM, "", "1.31.1")
    assert control_plane_wait.probe_namespace(target) == "default"
    assert compare.probe_pod("default", "1-31")["metadata"]["labels"] == {"istio.io/rev": "1-31"}


def sidecar_pod(name, revision="default"):
    pod = obj("Pod", name, "shop", labels={"service.istio.io/canonical-name": name}, status={"phase": "Running"})
    pod["metadata"]["annotations"] = {"sidecar.istio.io/status": f'{{"revision": "{revision}"}}'}
    pod["spec"] = {"containers": [{"name": "istio-proxy", "image": "proxyv2:1"}]}
    return pod


def test_proxies(world, monkeypatch):
    cluster, _tool = world(istiod(), istiod_pod(), gateway_pod(), sidecar_pod("a"), sidecar_pod("b", "other"))
    monkeypatch.setattr(control_plane_wait, "_STRAGGLER_SECONDS", 0.05)
    target, rendered = Target(cluster, SYSTEM, "", "1.31.1"), [gateway()]
    cluster.proxies = [("istio-ingressgateway-1.istio-system", "1.31.1"), ("a-1.shop", "")]
    assert control_plane_wait.verify_proxies(target, rendered, time.monotonic() + 2, 1) == [
        "1 injected pods are not connected to istiod: shop/a."
    ]
    cluster.proxies += [("a.shop", "1.31.1")]
    assert control_plane_wait.verify_proxies(target, rendered, time.monotonic(), 1) == []
    cluster.proxies = Forbidden("may not create pods/exec", 403)
    assert control_plane_wait.verify_proxies(target, rendered, time.monotonic() + 2, 1) == [
        "Whether the proxies are connected is not known: may not create pods/exec"
    ]
    cluster.proxies = KubeError("no answer")
    assert "no answer" in control_plane_wait.verify_proxies(target, rendered, time.monotonic() + 2, 1)[0]
    del cluster.objects[next(name for name in cluster.objects if name.kind == "Deployment")]
    assert control_plane_wait.verify_proxies(target, rendered, time.monotonic() + 2, 1) == []


def pod_with(**status):
    return obj("Pod", "istiod-1", SYSTEM, labels={"app": "istiod"}, status=status)


def waiting(reason, message=None, **last):
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return {"containerStatuses": [{"name": "discovery", "state": state, **({"lastState": last} if last else {})}]}


@pytest.mark.parametrize(
    ("pods", "conditions", "words"),
    [
        (
            [pod_with(**waiting("ImagePullBackOff", "Back-off pulling nowhere/pilot"))],
            [],
            r"ImagePullBackOff: Back-off pulling nowhere/pilot \(is the image's name right, and does the node reach",
        ),
        (
            [],
            [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: mem"}],
            "its pods cannot be created: exceeded quota: mem",
        ),
        (
            [pod_with(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: no memory"}])],
            [],
            "cannot be scheduled: 0/3 nodes: no memory",
        ),
        (
            [pod_with(**waiting("CrashLoopBackOff", terminated={"exitCode": 1}))],
            [],
            r"CrashLoopBackOff \(last exit code 1\); it said last: error bad mesh config \| exiting",
        ),
    ],
)
def test_failed_installation_says_why(world, pods, conditions, words):
    deployment = istiod()
    deployment["spec"]["selector"] = {"matchLabels": {"app": "istiod"}}
    deployment["status"] = {"conditions": conditions}
    cluster, tool = world(*pods, rendered=[deployment])
    cluster.logs["istiod-1", "discovery", True] = "\nerror bad mesh config\nexiting\n"
    tool.failure = "istioctl install failed with 1: resources not ready after 1s"
    tool.stuck = True
    with pytest.raises(
        MeshopsError, match=rf"resources not ready after 1s \(Deployment istio-system/istiod: .*{words}"
    ):
        run()
    tool.failure = None
    with pytest.raises(MeshopsError, match=f"is not rolled out after 1 s: .*{words}"):
        run()


def test_refused_pods_of_a_daemonset_are_explained_by_its_events():
    daemon = obj("DaemonSet", "cni", SYSTEM, "apps/v1", spec={"selector": {"matchLabels": {"k8s-app": "cni"}}})
    about = {"kind": "DaemonSet", "name": "cni"}
    events = [
        obj("Event", "1", SYSTEM, reason="FailedCreate", involvedObject=about, message="old", lastTimestamp="1"),
        obj("Event", "2", SYSTEM, reason="FailedCreate", involvedObject=about, message="quota", lastTimestamp="2"),
        obj("Event", "3", SYSTEM, reason="FailedCreate", involvedObject={**about, "name": "x"}, lastTimestamp="3"),
    ]
    assert rollout.explain(Cluster(*events), daemon) == "its pods cannot be created: quota"
    assert "has no pods yet" in rollout.explain(Cluster(), daemon)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, None),
        ({"containerStatuses": [{"name": "a", "state": {"running": {}}, "ready": True}]}, None),
        ({"containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0}}}]}, None),
        ({"initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}}]}, ("i", False)),
        (
            {"containerStatuses": [{"name": "a", "state": {}, "lastState": {"terminated": {"exitCode": 137}}}]},
            ("a", True),
        ),
        (
            {"containerStatuses": [{"name": "a", "ready": True, "lastState": {"terminated": {"exitCode": 137}}}]},
            None,
        ),
    ],
)
def test_crashed(status, expected):
    assert rollout.crashed({"status": status}) == expected
