# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: is a workload rolled out, and if not, why. Pure but for `explain`, which reads pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError

if TYPE_CHECKING:
    from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube

WORKLOADS = frozenset({"Deployment", "DaemonSet", "StatefulSet"})
_NORMAL_WAITING = frozenset({"ContainerCreating", "PodInitializing"})
_PULL_FAILURES = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable"})
_PULL_HINT = " (is the image's name right, and does the node reach its registry?)"
_LOG_LINES = 5
_LINE_LENGTH = 200


def ready(obj: Mapping[str, Any] | None) -> bool:
    """Tell whether a workload serves its newest form everywhere, or a CRD is established; other kinds: exist."""
    if not obj:
        return False
    if obj["kind"] == "CustomResourceDefinition":
        return condition(obj, "Established").get("status") == "True"
    return obj["kind"] not in WORKLOADS or _rolled_out(obj)


def _rolled_out(obj: Mapping[str, Any]) -> bool:
    status = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    if obj["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return status.get("updatedNumberScheduled", 0) >= wanted and status.get("numberAvailable", 0) >= wanted
    wanted = (obj.get("spec") or {}).get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    if obj["kind"] == "StatefulSet":
        return updated >= wanted and status.get("readyReplicas", 0) >= wanted
    return updated >= wanted and status.get("replicas", 0) <= updated and status.get("availableReplicas", 0) >= wanted


def condition(obj: Mapping[str, Any], name: str) -> dict:
    """Return the status condition of that type, {} when there is none."""
    for item in (obj.get("status") or {}).get("conditions") or []:
        if item.get("type") == name:
            return item
    return {}


def pod_problem(pod: Mapping[str, Any]) -> str | None:
    """Return why a pod is not running, in words; None when it runs or is only starting."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"cannot be scheduled: {scheduled.get('message', scheduled.get('reason', 'no node fits'))}"
    status = pod.get("status") or {}
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        state = container.get("state") or {}
        waiting = state.get("waiting")
        if waiting and waiting.get("reason") not in _NORMAL_WAITING:
            end = ((container.get("lastState") or {}).get("terminated") or {}).get("exitCode")
            code = "" if end is None else f" (last exit code {end})"
            detail = f": {waiting['message']}" if waiting.get("message") else ""
            hint = _PULL_HINT if waiting.get("reason") in _PULL_FAILURES else ""
            return f"container {container['name']} {waiting.get('reason', 'waits')}{code}{detail}{hint}"
        ended = state.get("terminated")
        if ended and ended.get("exitCode"):
            return f"container {container['name']} ended with {ended['exitCode']} ({ended.get('reason', 'Error')})"
    for container in status.get("containerStatuses") or []:
        if "running" in (container.get("state") or {}) and not container.get("ready"):
            return f"container {container['name']} runs but is not ready"
    return None


def crashed(pod: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the container that ended with an error, and whether it has been started again since; None for none."""
    status = pod.get("status") or {}
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return container["name"], False
        before = (container.get("lastState") or {}).get("terminated") or {}
        if before.get("exitCode") and not container.get("ready"):
            return container["name"], True
    return None


def explain(kube: Kube, obj: Mapping[str, Any]) -> str:
    """Return why the workload does not come up: its own conditions, then the first pod with a problem."""
    creation = condition(obj, "ReplicaFailure")
    if creation.get("status") == "True":
        return f"its pods cannot be created: {creation.get('message', '')}"
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    pods = kube.list("v1", "Pod", obj["metadata"].get("namespace"), selector) if selector else []
    pods = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    for pod in pods:
        problem = pod_problem(pod)
        if problem:
            return f"pod {pod['metadata']['name']} {problem}{_last_lines(kube, pod)}"
    if not pods:
        refused = _refused(kube, obj)
        return refused or "it has no pods yet (is the controller manager running?)"
    return f"{len(pods)} pods are still starting"


def _last_lines(kube: Kube, pod: Mapping[str, Any]) -> str:
    """Return what a container said last before it ended, "" when none ended or that cannot be read."""
    found = crashed(pod)
    if not found:
        return ""
    container, previous = found
    meta = pod["metadata"]
    try:
        text = kube.log(meta.get("namespace") or "default", meta["name"], container, _LOG_LINES, previous=previous)
    except KubeError:
        return ""
    lines = [line.strip()[:_LINE_LENGTH] for line in text.splitlines() if line.strip()]
    return f"; it said last: {' | '.join(lines[-_LOG_LINES:])}" if lines else ""


def _refused(kube: Kube, obj: Mapping[str, Any]) -> str:
    """Return why pods were refused, by the last event of their owner (a DaemonSet has no condition for it)."""
    meta = obj["metadata"]
    events = [
        event
        for event in kube.list("v1", "Event", meta.get("namespace"))
        if event.get("reason") == "FailedCreate"
        and (event.get("involvedObject") or {}).get("kind") == obj["kind"]
        and (event.get("involvedObject") or {}).get("name") == meta["name"]
    ]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return f"its pods cannot be created: {events[-1].get('message', '')}" if events else ""
