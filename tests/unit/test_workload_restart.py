# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which workloads run another sidecar than new pods get, and restarting them in order, also after a kill."""

from __future__ import annotations

import copy

import pytest
from injection_world import FREE, World, budget, namespace, pod, proxied, run, usual, workload

from ansible_collections.meshops.istio.plugins.module_utils import injection_probe, workload_restart
from ansible_collections.meshops.istio.plugins.module_utils import workload_sidecars as sidecars
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Sidecar
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, WebhookUnavailable
from ansible_collections.meshops.istio.plugins.module_utils.workload_sidecars import Snapshot

OLD, NEW = ("default", "1.30.5"), ("default", "1.31.1")
ENABLED = namespace("demo", **{"istio-injection": "enabled"})
ROLLED = ["patch Deployment api", "patch Deployment web", "patch StatefulSet db", "patch DaemonSet agent"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(injection_probe, "_AGAIN_SECONDS", 0.001)


def four(sidecar=OLD):
    """A workload of each kind, one Deployment more, all with that sidecar."""
    for kind, name in (("DaemonSet", "agent"), ("StatefulSet", "db"), ("Deployment", "web"), ("Deployment", "api")):
        yield from workload(kind, name, sidecar=sidecar)


def snapshot(*objects):
    groups = [("Deployment", "StatefulSet", "DaemonSet"), ("ReplicaSet",), ("ControllerRevision",), ("Pod",)]
    return Snapshot(*([item for item in objects if item["kind"] in kinds] for kinds in groups))


def would(_template):
    return Sidecar(*NEW)


def test_judged_in_order_with_the_reason():
    found, loose = sidecars.verdicts(snapshot(*four()), would)
    assert [(item.obj["kind"], item.obj["metadata"]["name"], item.action) for item in found] == [
        ("Deployment", "api", "restart"),
        ("Deployment", "web", "restart"),
        ("StatefulSet", "db", "restart"),
        ("DaemonSet", "agent", "restart"),
    ]
    assert found[0].problem.startswith("sidecar 1.30.5 of revision default, a new pod would get sidecar 1.31.1")
    assert found[0].pods == ["api-0-0", "api-0-1"]
    assert loose == []
    assert sidecars.verdicts(snapshot(*four(NEW)), would) == ([], [])


def test_native_sidecars_count():
    objects = [*workload("Deployment", "web")]
    native = [proxied(item, *NEW, native=True) if item["kind"] == "Pod" else item for item in objects]
    assert sidecars.verdicts(snapshot(*native), would) == ([], [])
    native = [proxied(item, *OLD, native=True) if item["kind"] == "Pod" else item for item in objects]
    assert sidecars.verdicts(snapshot(*native), would)[0][0].problem.startswith("sidecar 1.30.5")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_pods_that_a_rollout_replaces_are_only_waited_for(kind):
    old = [*workload(kind, "web", sidecar=OLD, turn="1")]
    new = [*workload(kind, "web", sidecar=NEW, turn="2")]
    mixed = [item for item in [*old, *new] if item["metadata"]["name"] not in ("web-1-1", "web-2-1")]
    mixed.remove(old[0])
    (found,), _left = sidecars.verdicts(snapshot(*mixed), would)
    assert (found.action, found.pods) == ("wait", ["web-1-0"])
    unseen = copy.deepcopy(old)
    unseen[0]["metadata"]["generation"] = 2
    assert sidecars.verdicts(snapshot(*unseen), would)[0][0].action == "wait"
    last = [*workload(kind, "web", sidecar=OLD, turn="2")]
    stale = [*old[1:], *last]
    assert sidecars.verdicts(snapshot(*stale), would)[0][0].action == "restart"


def test_what_is_in_progress_comes_first():
    old = [*workload("DaemonSet", "agent", sidecar=OLD, turn="1")][1:]
    objects = [
        *workload("Deployment", "api", sidecar=OLD),
        *old,
        *workload("DaemonSet", "agent", sidecar=NEW, turn="2"),
    ]
    found, _left = sidecars.verdicts(snapshot(*objects), would)
    assert [(item.obj["metadata"]["name"], item.action) for item in found] == [("agent", "wait"), ("api", "restart")]


def test_pods_that_end_or_have_ended_do_not_count():
    objects = [*workload("Deployment", "web", sidecar=OLD)]
    for number, item in enumerate(item for item in objects if item["kind"] == "Pod"):
        if number:
            item["metadata"]["deletionTimestamp"] = "now"
        else:
            item["status"]["phase"] = "Failed"
    assert sidecars.verdicts(snapshot(*objects), would) == ([], [])


def owned(name, kind, owner):
    return pod(name, {"kind": kind, "name": owner, "uid": f"{kind}-{owner}", "controller": True})


def test_pods_without_a_workload_are_named():
    rollout = {"kind": "Rollout", "name": "blue", "uid": "r", "controller": True}
    made = {"name": "blue-1", "namespace": "demo", "uid": "ReplicaSet-blue-1", "ownerReferences": [rollout]}
    objects = [pod("bare"), owned("job-1", "Job", "job"), owned("blue-1-x", "ReplicaSet", "blue-1")]
    objects += [proxied(pod("fine"), *NEW), {"kind": "ReplicaSet", "metadata": made}]
    found, loose = sidecars.verdicts(snapshot(*objects), would)
    assert found == []
    told = [(item.name, item.owner) for item in loose]
    assert told == [("bare", ""), ("blue-1-x", "Rollout blue"), ("job-1", "Job job")]


def test_bare_pod_that_was_injected_is_judged_by_what_its_manifest_would_get():
    def none(template):
        return None if not sidecars.injectors.proxy_container(template) else Sidecar("", "own")

    loose = sidecars.verdicts(snapshot(proxied(pod("bare"), *OLD)), none)[1]
    assert loose[0].problem == "sidecar 1.30.5 of revision default, a new pod would get none"


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("Deployment", {"paused": True}, "it is paused"),
        ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        ("StatefulSet", {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}, "partition"),
        ("StatefulSet", {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}, ""),
    ],
)
def test_obstacles(monkeypatch, kind, spec, words):
    objects = [*workload(kind, "web", sidecar=OLD, **spec)]
    assert words in sidecars.obstacle(objects[0])
    world = World(FREE, ENABLED, *usual(), *objects)
    if not words:
        assert run(monkeypatch, world, restart=True)["changed"] is True
        return
    assert run(monkeypatch, world)["workloads"][0]["result"] == "outdated"
    for check in (True, False):
        with pytest.raises(MeshopsError, match=f"{kind} demo/web .*{words}"):
            run(monkeypatch, world, restart=True, check=check)
    assert world.writes == []


def test_restart_in_four_steps(monkeypatch):
    world = World(FREE, namespace("demo"), *usual(), *four(OLD), pod("bare"))
    check = run(monkeypatch, world, restart=True, check=True)
    assert world.writes == []
    real = run(monkeypatch, world, restart=True)
    assert world.writes == ["patch Namespace demo", *ROLLED]
    assert check == real
    assert [row["result"] for row in real["workloads"]] == ["restarted"] * 4
    assert real["pods"][0]["name"] == "bare"
    assert "Deployment api: restarted" in real["diff"][1]["after"]
    for check_mode in (True, False):
        again = run(monkeypatch, world, restart=True, check=check_mode)
        assert (again["changed"], again["workloads"], again["diff"]) == (False, [], [])
    assert len(world.writes) == 5 and world.live("Pod", "bare")


def test_without_restart_it_only_says_so(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *four(OLD))
    result = run(monkeypatch, world)
    assert (result["changed"], world.writes) == (False, [])
    assert {row["result"] for row in result["workloads"]} == {"outdated"}


def test_off_takes_the_sidecars_away(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *workload("Deployment", "web", sidecar=NEW))
    assert run(monkeypatch, world, "off", restart=True)["workloads"][0]["result"] == "restarted"
    assert [sidecars.injectors.sidecar(item) for item in world.list("v1", "Pod")] == [None, None]
    assert run(monkeypatch, world, "off", restart=True)["changed"] is False


def test_manual_sidecars_stay_without_a_webhook(monkeypatch):
    base = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}]}}
    template = proxied(base, *OLD)
    world = World(FREE, namespace("demo"), *usual(), *workload("Deployment", "web", template=template))
    assert run(monkeypatch, world, "off", restart=True)["workloads"] == []


def test_the_next_begins_only_when_the_last_is_ready(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *four(OLD))
    seen = []
    rolled = world.rolled

    def watched(kind, name):
        seen.append([*world.writes])
        rolled(kind, name)

    world.rolled = watched
    run(monkeypatch, world, restart=True)
    assert seen == [ROLLED[: number + 1] for number in range(4)]


class Killed(BaseException):
    """Not an Exception, as little as SIGKILL is."""


def killed(_world):
    raise Killed


@pytest.mark.parametrize("moment", range(4))
@pytest.mark.parametrize("ready", [True, False])
def test_killed_during_any_rollout_the_same_task_goes_on(monkeypatch, moment, ready):
    world = World(FREE, ENABLED, *usual(), *four(OLD))
    began = world.began

    def dying(obj):
        if len(world.writes) == moment + 1:
            world.script.append(killed)
        else:
            began(obj)

    world.began = dying
    with pytest.raises(Killed):
        run(monkeypatch, world, restart=True)
    assert world.writes == ROLLED[: moment + 1]
    world.began = began
    kind, name = ROLLED[moment].split()[1:]
    world.script.clear()
    if ready:
        world.rolled(kind, name)
    else:
        world.script.append(lambda world: world.rolled(kind, name))
    result = run(monkeypatch, world, restart=True)
    assert world.writes == ROLLED
    assert result["changed"] is (moment < 3)
    assert run(monkeypatch, world, restart=True)["workloads"] == []


def test_killed_when_the_pods_were_new_already_waits_for_the_last(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *workload("Deployment", "api", sidecar=NEW), *workload("Deployment", "web"))
    api = world.live("Deployment", "api")
    path = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {f"f:{sidecars.RESTARTED_AT}": {}}}}}}
    api["metadata"]["managedFields"] = [{"manager": "meshops.istio", "operation": "Update", "fieldsV1": path}]
    api["status"].update(availableReplicas=1, conditions=[{"type": "Progressing", "reason": "ReplicaSetUpdated"}])
    with pytest.raises(MeshopsError, match="Deployment demo/api is not rolled out after 1 s: 2 pods are still"):
        run(monkeypatch, world, restart=True)
    assert world.writes == []
    api["metadata"]["managedFields"][0]["manager"] = "kubectl"  # somebody else's affair
    assert run(monkeypatch, world, restart=True)["workloads"][0]["name"] == "web"
    assert world.writes == ["patch Deployment web"]


def test_pods_that_fail_after_a_complete_restart_are_no_restart_in_progress():
    (obj, *_pods) = workload("Deployment", "api")
    path = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {f"f:{sidecars.RESTARTED_AT}": {}}}}}}
    obj["metadata"]["managedFields"] = [{"manager": "meshops.istio", "fieldsV1": path}]
    obj["status"]["availableReplicas"] = 0
    assert sidecars.own_restart_runs(obj, "meshops.istio") is False
    obj["metadata"]["generation"] = 9
    assert sidecars.own_restart_runs(obj, "meshops.istio") is True


def test_a_rollout_that_fails_stops_before_the_next_and_says_why(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *four(OLD))

    def broken(obj):
        if obj["metadata"]["name"] == "web":
            for item in world.list("v1", "Pod"):
                if item["metadata"]["labels"].get("app") == "web":
                    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
                    item["status"]["containerStatuses"] = [{"name": "app", "state": waiting}]
                    world.put(item)
        else:
            world.script.append(lambda world: world.rolled(obj["kind"], obj["metadata"]["name"]))

    world.began = broken
    with pytest.raises(
        MeshopsError, match=r"Deployment demo/web is not rolled out.*ImagePullBackOff.*Run this"
    ) as told:
        run(monkeypatch, world, restart=True)
    assert world.writes == ROLLED[:2]
    assert told.value.result["changed"] is True
    assert "still to do: Deployment demo/web, StatefulSet demo/db, DaemonSet demo/agent" in str(told.value)


def test_a_budget_without_room_is_waited_for_then_named(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *four(OLD), budget("guard", 0, app="web"), budget("other", 0, app="x"))
    with pytest.raises(
        MeshopsError, match=r"PodDisruptionBudget demo/guard allows no disruption .*so Deployment demo/web"
    ):
        run(monkeypatch, world, restart=True)
    assert world.writes == ["patch Deployment api"]
    guard = world.live("PodDisruptionBudget", "guard")
    world.script.append(lambda _world: guard["status"].update(disruptionsAllowed=1))
    assert run(monkeypatch, world, restart=True)["changed"] is True
    assert world.writes == ROLLED


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"disruptionsAllowed": 1}, True),
        ({"disruptionsAllowed": 0}, False),
        ({"expectedPods": 0}, True),
        ({"disruptionsAllowed": 1, "observedGeneration": 1}, False),
        ({"disruptionsAllowed": 1, "observedGeneration": 2}, True),
    ],
)
def test_allows(change, allowed):
    found = budget("b", 0, app="web")
    if "observedGeneration" in change:
        found["metadata"]["generation"] = 2
    found["status"].update(change)
    assert sidecars.allows(found) is allowed
    assert sidecars.allows(None) is True


def test_budgets_by_selector():
    (obj, *_pods) = workload("Deployment", "web")
    everything, none = budget("all", 0), budget("none", 0)
    none["spec"] = {"maxUnavailable": 0}
    found = sidecars.budgets([everything, none, budget("web", 0, app="web"), budget("db", 0, app="db")], obj)
    assert [item["metadata"]["name"] for item in found] == ["all", "web"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Forbidden("violates PodSecurity: container istio-init must not add NET_ADMIN", 403), "must not add NET_ADMIN"),
        (WebhookUnavailable("failed calling webhook", 500), "failed calling webhook"),
        (Forbidden("exceeded quota: pods", 403), None),
    ],
)
def test_pods_that_could_not_be_made_are_seen_before_the_restart(monkeypatch, error, words):
    world = World(FREE, ENABLED, *usual(), *four(OLD))
    world.errors["demo"] = error
    if words is None:
        assert run(monkeypatch, world, restart=True)["changed"] is True
        return
    with pytest.raises(MeshopsError, match=f"Deployment demo/api is not restarted, its new pods could not.*{words}"):
        run(monkeypatch, world, restart=True)
    assert world.writes == []


def test_a_restart_that_would_not_help_is_not_done(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *workload("Deployment", "web"))
    injected = world.injected  # the injector's own configuration refuses the workload's label
    world.injected = lambda item: item if (item["metadata"]["labels"] or {}).get("app") else injected(item)
    with pytest.raises(MeshopsError, match="is not restarted, it would not help: its next pods would have no sidecar"):
        run(monkeypatch, world, restart=True)
    assert world.writes == []


def test_a_workload_that_is_deleted_meanwhile_is_done(monkeypatch):
    world = World(FREE, ENABLED, *usual(), *four(OLD))

    def vanish(obj):
        if obj["metadata"]["name"] == "api":
            for item in [*world.objects.values()]:
                if item["metadata"]["name"].startswith("api"):
                    world.remove(item)
        else:
            world.script.append(lambda world: world.rolled(obj["kind"], obj["metadata"]["name"]))

    world.began = vanish
    run(monkeypatch, world, restart=True)
    assert world.writes == ROLLED


def test_rehearsal_has_a_volume_for_each_claim():
    claims = [{"metadata": {"name": "data"}}]
    (obj, *_pods) = workload("StatefulSet", "db", volumeClaimTemplates=claims)
    made = sidecars.rehearsal(obj)
    assert made["spec"]["volumes"] == [{"name": "data", "emptyDir": {}}]
    assert made["metadata"]["labels"] == {"app": "db"}
    assert "volumes" not in obj["spec"]["template"]["spec"]


def test_patch_of_what_is_gone():
    (obj, *_pods) = workload("Deployment", "web")
    assert workload_restart.patch(World(), obj, {}) is None
