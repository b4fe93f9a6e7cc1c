# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a revision tag is as wanted; istioctl sets or removes it only when it differs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils import injection_probe, injectors, manifests, support
from ansible_collections.meshops.istio.plugins.module_utils import tag_state as state
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Injector
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import (
    Istioctl,
    IstioctlMissing,
    skew_problem,
    version_problem,
    workspace,
)
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.tag_state import Cluster
from ansible_collections.meshops.istio.plugins.module_utils.workload_sidecars import KINDS

ARGS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "revision": {"type": "str"},
    "istioctl": {"type": "str", "default": "istioctl"},
    "force": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
RULES: dict[str, Any] = {"required_if": [("state", "present", ["revision"])]}
# Since 1.28 a tag is a Service beside its webhook: istio/istio #56963, release note revision-tags-as-svc.
_WITH_SERVICE = (1, 28)
_MUTATING, _VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
_COMMAND_SECONDS = 120.0


class TagTool(Istioctl):
    """istioctl with the commands for tags."""

    def set(self, name: str, revision: str, namespace: str) -> None:
        self._run(argv_set(self._path, name, revision, namespace, self._context), _COMMAND_SECONDS)

    def remove(self, name: str, namespace: str) -> None:
        self._run(argv_remove(self._path, name, namespace, self._context), _COMMAND_SECONDS)


def argv_set(path: str, name: str, revision: str, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that makes or moves a tag."""
    argv = [path, "tag", "set", name, "--revision", revision, "--overwrite", "--skip-confirmation"]
    return [*argv, "--istioNamespace", namespace, *(["--context", context] if context else [])]


def argv_remove(path: str, name: str, namespace: str, context: str | None = None) -> list[str]:
    """Return the command that removes a tag."""
    argv = [path, "tag", "remove", name, "--skip-confirmation", "--istioNamespace", namespace]
    return [*argv, *(["--context", context] if context else [])]


def core(params: dict, check_mode: bool) -> dict:
    """Return the result of module istio_revision_tag for its options."""
    problem = state.name_problem(params["name"])
    if problem:
        raise MeshopsError(problem)
    kube = Kube.connect(params, check_mode)
    if kube.absent:
        gone = {"revision": params["revision"] or "", "previous": "", "namespaces": [], "workloads": []}
        return {"changed": params["state"] == "present", "reason": "there is no cluster yet", **gone}
    kube.transport.webhook_timeout = injection_probe.ANSWER_SECONDS
    with workspace({}) as folder:
        tool = TagTool(params["istioctl"], kube.kubeconfig, kube.context, folder)
        work = present if params["state"] == "present" else absent
        return work(kube, tool, params, check_mode)


def read(kube: Kube, name: str) -> Cluster:
    """Return what the cluster has of the tag."""
    selector = f"{injectors.TAG}={name}"
    found = injectors.injectors(kube.list(injectors.ADMISSION, _MUTATING))
    return Cluster(
        found,
        [item for item in found if item.tag == name],
        kube.list("v1", "Service", None, selector),
        kube.list(injectors.ADMISSION, _VALIDATING, None, selector),
    )


def answers(kube: Kube, injector: Injector) -> bool:
    """Tell whether a pod is ready behind an injector's webhooks; of an outside address nothing is known."""
    namespace, service, _path, _url = state.target(injector)
    if not service:
        return True
    slices = kube.list("discovery.k8s.io/v1", "EndpointSlice", namespace, f"kubernetes.io/service-name={service}")
    points = [point for item in slices for point in item.get("endpoints") or []]
    return any((point.get("conditions") or {}).get("ready") is not False for point in points)


def present(kube: Kube, tool: TagTool, params: Mapping[str, Any], check_mode: bool) -> dict:
    """Make or move the tag if it differs."""
    name, revision = params["name"], params["revision"]
    cluster = read(kube, name)
    problem = state.refusal(cluster, name, revision)
    own, using = state.own_injector(cluster.found, revision), namespaces(kube, cluster, name)
    if problem and not (check_mode and own is None and revision not in injectors.tags(cluster.found)):
        raise MeshopsError(problem)
    if own is None:  # check mode: an earlier task may install the revision
        warning = f"{problem} In check mode this is no error, an earlier task may install it."
        return outcome(cluster, params, f"revision {revision} is not there yet", using, [warning])
    version = client_version(kube, tool, own, check_mode)
    with_service = version is not None and support.minor(version) >= _WITH_SERVICE
    reason = state.difference(cluster, revision, with_service)
    if reason and not answers(kube, own):
        raise MeshopsError(
            f"Tag {name} is not moved to revision {revision}: no pod of its istiod is ready, so namespaces with the tag"
            " could start no pods; wait for that control plane first."
        )
    warnings: list[str] = []
    if reason and not check_mode:
        tool.set(name, revision, injection_probe.system_namespace(own))
        warnings = verify(kube, name, revision, with_service, params["timeout"])
    return outcome(cluster, params, reason, using, warnings)


def client_version(kube: Kube, tool: TagTool, own: Injector | None, check_mode: bool) -> str | None:
    """Return istioctl's version, None in check mode while there is none; MeshopsError when it must not be used."""
    try:
        version = tool.version()
    except IstioctlMissing:
        if not check_mode:
            raise
        return None
    problem = version_problem(version)
    if not problem and own:
        suffix = "" if own.revision == injectors.DEFAULT else own.revision
        namespace = injection_probe.system_namespace(own)
        istiod = kube.get("apps/v1", "Deployment", compare.suffixed("istiod", suffix), namespace)
        problem = skew_problem(version, compare.installed_version(istiod) or version, f"of revision {own.revision}")
    if problem:
        raise MeshopsError(problem)
    return version


def verify(kube: Kube, name: str, revision: str, with_service: bool, timeout: float) -> list[str]:
    """Raise MeshopsError unless the tag is there and pods that ask for it get the revision's sidecar."""
    cluster = read(kube, name)
    problem = state.difference(cluster, revision, with_service)
    if problem:
        raise MeshopsError(f"istioctl tag set {name} ended without an error, but {problem}; run this again.")
    places = injection_probe.free_namespaces(kube, injection_probe.system_namespace(cluster.tagged[0]))
    why = "every namespace has a label that decides on injection"
    deadline = time.monotonic() + timeout
    for namespace in places:
        why = injection_probe.prove(kube, namespace, {injectors.REVISION: name}, revision, deadline)
        if not why:
            return []
    return [f"That pods with tag {name} get the sidecar of revision {revision} could not be proved: {why}"]


def labels_of(kube: Kube) -> dict[str, dict[str, str]]:
    """Return the labels of all namespaces that Istio injects into."""
    return {
        item["metadata"]["name"]: item["metadata"].get("labels") or {}
        for item in kube.list("v1", "Namespace")
        if item["metadata"]["name"] not in injectors.IGNORED_NAMESPACES
    }


def namespaces(kube: Kube, cluster: Cluster, name: str) -> list[str]:
    """Return the namespaces whose labels choose the tag, or which its webhooks take anyhow."""
    spaces = labels_of(kube)
    return sorted(
        space
        for space, labels in spaces.items()
        if state.chooses(labels, name) or injectors.serving(cluster.tagged, labels) is not None
    )


def workloads_elsewhere(kube: Kube, cluster: Cluster, using: list[str]) -> list[str]:
    """Return the workloads of other namespaces whose own labels ask for the tag, gateways above all."""
    spaces = labels_of(kube)
    return [
        manifests.describe(item)
        for kind in KINDS
        for item in kube.list("apps/v1", kind)
        for space in [item["metadata"]["namespace"]]
        if space in spaces and space not in using
        if injectors.injector_of(cluster.tagged, space, spaces[space], item["spec"]["template"])
    ]


def absent(kube: Kube, tool: TagTool, params: Mapping[str, Any], check_mode: bool) -> dict:
    """Remove the tag if it, or a part of it, is there."""
    name = params["name"]
    cluster = read(kube, name)
    if not cluster.objects:
        return removed(cluster, name, [], [])
    problem = state.foreign(cluster, name)
    names = namespaces(kube, cluster, name)
    workloads = workloads_elsewhere(kube, cluster, names)
    if not problem and (names or workloads) and not params["force"]:
        told = [f"namespace {item}" for item in names] + workloads
        problem = (
            f"Tag {name} is used by {', '.join(told)}: without it their new pods would start without a sidecar. Move"
            " them to another revision with istio_injection first, or set force."
        )
    if problem:
        raise MeshopsError(problem)
    if cluster.tagged or cluster.services:
        own = cluster.tagged[0] if cluster.tagged else None
        client_version(kube, tool, None, check_mode)
        if not check_mode:
            tool.remove(name, injection_probe.system_namespace(own) if own else _namespace(cluster.services[0]))
    if not check_mode:
        sweep(kube, name)
    return removed(cluster, name, names, workloads)


def _namespace(obj: Mapping[str, Any]) -> str:
    return obj["metadata"]["namespace"]


def sweep(kube: Kube, name: str) -> None:
    """Delete the validator that istioctl before 1.31 leaves behind (istio/istio #60537); nothing else may be left."""
    for item in read(kube, name).validators:
        kube.delete(injectors.ADMISSION, _VALIDATING, item["metadata"]["name"])
    left = [manifests.describe(obj) for obj in read(kube, name).objects]
    if left:
        raise MeshopsError(f"istioctl tag remove {name} ended without an error, but left {', '.join(left)}.")


def outcome(cluster: Cluster, params: Mapping[str, Any], reason: str, using: list[str], warnings: list[str]) -> dict:
    """Return the result of state present."""
    before, name, revision = state.previous(cluster), params["name"], params["revision"]
    return {
        "changed": bool(reason),
        "revision": revision,
        "previous": before,
        "reason": reason,
        "namespaces": using,
        "workloads": [],
        "warnings": warnings,
        "diff": lambda: state.shown(name, {"revision": before} if before else None, {"revision": revision}, reason),
    }


def removed(cluster: Cluster, name: str, using: list[str], workloads: list[str]) -> dict:
    """Return the result of state absent."""
    objects = [manifests.describe(obj) for obj in cluster.objects]
    warnings = []
    if using or workloads:
        told = ", ".join([f"namespace {item}" for item in using] + workloads)
        warnings.append(f"Without tag {name} new pods of {told} start without a sidecar.")
    before = state.previous(cluster)
    gone = {"revision": before, "objects": objects}
    return {
        "changed": bool(objects),
        "revision": "",
        "previous": before,
        "reason": "the tag, or a part of it, is there" if objects else "",
        "namespaces": using,
        "workloads": workloads,
        "warnings": warnings,
        "diff": lambda: state.shown(name, gone, None, "removed" if objects else ""),
    }
