# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which workloads run another sidecar than new pods would get, and what helps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils import injectors, manifests, rollout
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Sidecar

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
KINDS = ("Deployment", "StatefulSet", "DaemonSet")  # also the order in which they are restarted
RESTART, WAIT, KEEP = "restart", "wait", "keep"
_ENDED = frozenset({"Succeeded", "Failed"})

Would = Callable[[Mapping[str, Any]], Optional[Sidecar]]


class Snapshot(NamedTuple):
    """What a namespace runs, as the API lists it."""

    workloads: list[dict]
    replica_sets: list[dict]
    controller_revisions: list[dict]
    pods: list[dict]


class Verdict(NamedTuple):
    """One workload whose pods differ from new ones: how, and what helps.

    action: restart (pods of its newest template differ), wait (only pods that a rollout in progress replaces), keep
    (neither would help, `obstacle` says why).
    """

    obj: dict
    problem: str
    pods: list[str]
    action: str
    obstacle: str = ""

    def row(self, result: str) -> dict[str, Any]:
        """Return the entry of the module's result."""
        row = {"kind": self.obj["kind"], "name": self.obj["metadata"]["name"], "problem": self.problem}
        return {**row, "pods": self.pods, "result": result}


class Loose(NamedTuple):
    """A pod that differs and belongs to nothing that can be restarted; `owner` is "" for a bare one."""

    name: str
    owner: str
    problem: str


def controller(obj: Mapping[str, Any]) -> dict | None:
    """Return the owner reference of what made an object, None when nothing did."""
    return next((item for item in obj["metadata"].get("ownerReferences") or [] if item.get("controller")), None)


def alive(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod runs or is to run, and is not being deleted."""
    ended = (pod.get("status") or {}).get("phase") in _ENDED
    return not ended and not pod["metadata"].get("deletionTimestamp")


def pods_by_owner(snapshot: Snapshot) -> tuple[dict[str, list[dict]], list[tuple[dict, str]]]:
    """Return the live pods by the uid of their workload, and those without one, each with the words for its owner."""
    workloads = {item["metadata"]["uid"] for item in snapshot.workloads}
    sets = {item["metadata"]["uid"]: controller(item) for item in snapshot.replica_sets}
    owned: dict[str, list[dict]] = {}
    loose: list[tuple[dict, str]] = []
    for pod in filter(alive, snapshot.pods):
        owner = controller(pod)
        if owner and sets.get(owner["uid"]):
            owner = sets[owner["uid"]]
        if owner and owner["uid"] in workloads:
            owned.setdefault(owner["uid"], []).append(pod)
        else:
            loose.append((pod, f"{owner['kind']} {owner['name']}" if owner else ""))
    return owned, loose


def newest_pods(obj: Mapping[str, Any], pods: Iterable[dict], snapshot: Snapshot) -> list[dict]:
    """Return the pods of the workload's newest template; none while its controller has not seen that template yet."""
    status = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return []
    if obj["kind"] == "Deployment":
        return [pod for pod in pods if _controlled_by(pod, _newest_set(obj, snapshot))]
    if obj["kind"] == "StatefulSet":
        newest = status.get("updateRevision")
    else:
        mine = [item for item in snapshot.controller_revisions if _controlled_by(item, obj)]
        last = max(mine, key=lambda item: item["revision"], default=None)
        newest = (last["metadata"].get("labels") or {}).get("controller-revision-hash") if last else None
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("controller-revision-hash") == newest]


def _newest_set(obj: Mapping[str, Any], snapshot: Snapshot) -> dict | None:
    key = "deployment.kubernetes.io/revision"
    number = (obj["metadata"].get("annotations") or {}).get(key)
    for item in snapshot.replica_sets:
        if _controlled_by(item, obj) and (item["metadata"].get("annotations") or {}).get(key) == number:
            return item
    return None


def _controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any] | None) -> bool:
    found = controller(obj)
    return bool(found and owner and found["uid"] == owner["metadata"]["uid"])


def obstacle(obj: Mapping[str, Any]) -> str:
    """Return why a restart would not replace the workload's pods, "" when it would."""
    spec = obj.get("spec") or {}
    if spec.get("paused"):
        return "it is paused, resume it first"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "its update strategy is OnDelete, so its pods are replaced only when somebody deletes them"
    if (strategy.get("rollingUpdate") or {}).get("partition"):
        return "its rolling update has a partition, so pods below it keep the old template"
    return ""


def _completed(obj: Mapping[str, Any]) -> bool:
    """Tell whether the newest template was rolled out once; pods that fail later do not undo that."""
    status = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    if obj["kind"] == "Deployment":
        return rollout.condition(obj, "Progressing").get("reason") == "NewReplicaSetAvailable"
    if obj["kind"] == "StatefulSet":
        return status.get("currentRevision") == status.get("updateRevision")
    return rollout.ready(obj)


def own_restart_runs(obj: Mapping[str, Any], manager: str) -> bool:
    """Tell whether a restart that this field manager began is not complete: a killed run left it."""
    key = f"f:{RESTARTED_AT}"
    path = ("f:spec", "f:template", "f:metadata", "f:annotations", key)
    for entry in obj["metadata"].get("managedFields") or []:
        node: Any = entry.get("fieldsV1") or {}
        for step in path:
            node = node.get(step) if isinstance(node, dict) else None
        if entry.get("manager") == manager and node is not None:
            return not _completed(obj)
    return False


def judge(obj: dict, pods: list[dict], snapshot: Snapshot, would: Would) -> Verdict | None:
    """Return how the pods of a workload differ from new ones, None when none does."""
    new = would(obj["spec"]["template"])
    told = {pod["metadata"]["name"]: injectors.difference(injectors.sidecar(pod), new) for pod in pods}
    wrong = sorted(name for name, words in told.items() if words)
    if not wrong:
        return None
    problem = "; ".join(sorted({told[name] for name in wrong}))
    newest = {pod["metadata"]["name"] for pod in newest_pods(obj, pods, snapshot)}
    hindered = obstacle(obj)
    action = KEEP if hindered else RESTART if newest & set(wrong) else WAIT
    return Verdict(obj, problem, wrong, action, hindered)


def verdicts(snapshot: Snapshot, would: Would) -> tuple[list[Verdict], list[Loose]]:
    """Return the workloads whose pods differ, in the order of restarting, and the pods that belong to none."""
    owned, loose = pods_by_owner(snapshot)
    ordered = sorted(snapshot.workloads, key=lambda item: (KINDS.index(item["kind"]), item["metadata"]["name"]))
    judged = [judge(item, owned.get(item["metadata"]["uid"], []), snapshot, would) for item in ordered]
    found = [item for item in judged if item]
    alone = [
        Loose(pod["metadata"]["name"], owner, words)
        for pod, owner in sorted(loose, key=lambda item: item[0]["metadata"]["name"])
        for words in [injectors.difference(injectors.sidecar(pod), would(pod_template(pod)))]
        if words
    ]
    return sorted(found, key=lambda item: item.action != WAIT), alone


def pod_template(pod: Mapping[str, Any]) -> dict:
    """Return what is known of the template of a pod that nothing owns: the pod, without an injected proxy."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    if "sidecar.istio.io/status" not in annotations:
        return dict(pod)
    spec = {
        key: [item for item in value if item["name"] != injectors.PROXY]
        if key in ("containers", "initContainers")
        else value
        for key, value in pod["spec"].items()
    }
    return {**pod, "spec": spec}


def without_proxy(snapshot: Snapshot, would: Would) -> list[str]:
    """Return the workloads that get their proxy's image by injection and would get none: gateways."""
    names = []
    for obj in snapshot.workloads:
        container = injectors.proxy_container(obj["spec"]["template"])
        found = would(obj["spec"]["template"])
        empty = container and container.get("image") == injectors.AUTO_IMAGE
        if empty and (found is None or found.version == injectors.AUTO_IMAGE):
            names.append(manifests.describe(obj))
    return names


def budgets(found: Iterable[dict], obj: Mapping[str, Any]) -> list[dict]:
    """Return the PodDisruptionBudgets that watch over a workload's pods; a budget without selector watches none."""
    labels = (obj["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return [
        item
        for item in found
        if (item.get("spec") or {}).get("selector") is not None and injectors.matches(item["spec"]["selector"], labels)
    ]


def allows(budget: Mapping[str, Any] | None) -> bool:
    """Tell whether a budget lets a pod go now; one that is gone, or has no pods, does."""
    status = (budget or {}).get("status") or {}
    if not budget or (status.get("expectedPods") == 0 and _observed(budget)):
        return True
    return _observed(budget) and status.get("disruptionsAllowed", 0) > 0


def _observed(budget: Mapping[str, Any]) -> bool:
    status = budget.get("status") or {}
    return status.get("observedGeneration", 0) >= budget["metadata"].get("generation", 0)


def budget_problem(budget: Mapping[str, Any]) -> str:
    """Return in words what a budget says."""
    status = budget.get("status") or {}
    return (
        f"{manifests.describe(budget)} allows no disruption ({status.get('currentHealthy', 0)} healthy pods,"
        f" {status.get('desiredHealthy', 0)} have to be)"
    )


def rehearsal(obj: Mapping[str, Any]) -> dict:
    """Return the pod that the workload's template makes, to be created as a dry run."""
    template = obj["spec"]["template"]
    meta = template.get("metadata") or {}
    spec = dict(template.get("spec") or {})
    claims = [item["metadata"]["name"] for item in obj["spec"].get("volumeClaimTemplates") or []]
    if claims:  # which claim a pod gets depends on its number; whether it is injected does not
        spec["volumes"] = [*(spec.get("volumes") or []), *({"name": name, "emptyDir": {}} for name in claims)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{obj['metadata']['name'][:200]}-meshops-rehearsal",
            "namespace": obj["metadata"]["namespace"],
            "labels": meta.get("labels") or {},
            "annotations": meta.get("annotations") or {},
        },
        "spec": spec,
    }
