# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: take one revision of the control plane away, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ansible_collections.meshops.istio.plugins.module_utils import apply, control_plane_refusals, manifests, rollout
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_owned as owned
from ansible_collections.meshops.istio.plugins.module_utils.apply import Outcome
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_owned import Target
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import Istioctl, version_problem
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube

_NO_REVISION = "could not find target revision"  # said by istioctl when the webhooks have gone first


def remove(target: Target, tool: Istioctl, params: dict, check_mode: bool) -> dict:
    """Remove the revision's objects and its record; the result of the module."""
    objects = owned.of_revision(target.kube, target.namespace, target.revision)
    gone = [Outcome(obj, obj, None, "deleted") for obj in [*objects, *records(target)]]
    warnings: list[str] = []
    if gone:
        refuse_tags(target, objects)
        warnings = left_alone(target, objects)
        control_plane_refusals.rights(target.kube, control_plane_refusals.rights_for(gone))
    if objects and not check_mode:
        check_tool(tool)
        uninstall(tool, target, params["timeout"], purge=False)
    if not check_mode:
        delete(target.kube, [outcome.wanted for outcome in gone], params["timeout"])
    return result(target, gone, warnings)


def result(target: Target, outcomes: list[Outcome], warnings: list[str], saved: str = "") -> dict:
    """Return the module's result of a removal."""
    return {
        "changed": bool(outcomes),
        "version": None,
        "revision": target.revision,
        "objects": [outcome.row() for outcome in outcomes],
        "reason": "",
        "saved": saved,
        "warnings": warnings,
        "diff": lambda: [manifests.diff_entry(item.before, item.after) for item in outcomes],
    }


def records(target: Target) -> list[dict]:
    """Return the records of all installations of the revision."""
    own = compare.record_name(target.revision)
    selector = ",".join(f"{key}={value}" for key, value in compare.RECORD_LABELS.items())
    return [
        record
        for record in target.kube.list("v1", "ConfigMap", target.namespace, selector)
        if record["metadata"]["name"] == own or record["metadata"]["name"].startswith(f"{own}.")
    ]


def refuse_tags(target: Target, objects: list[dict]) -> None:
    """Raise MeshopsError when revision tags would stay that point at nothing: their pods would all be refused."""
    going = {manifests.identity(obj) for obj in objects}
    tags = sorted(
        owned.labels_of(hook)[owned.TAG]
        for hook in owned.tags_of(target.kube, target.revision)
        if manifests.identity(hook) not in going
    )
    if tags:
        raise MeshopsError(
            f"Revision tag {', '.join(tags)} points at revision {target.revision or 'default'}; without it no pod of"
            " the namespaces with that tag could be created: move or remove the tag first (module istio_revision_tag)."
        )


def left_alone(target: Target, objects: list[dict]) -> list[str]:
    """Return warnings about gateways that go with the revision, and namespaces that are injected by it no more."""
    found = []
    gateways = [
        obj
        for obj in objects
        if obj["kind"] == "Deployment" and "Gateways" in owned.labels_of(obj).get(owned.COMPONENT, "")
    ]
    if gateways:
        found.append(f"{owned.names(gateways)} goes with the revision, and so does the traffic through it.")
    names = sorted(namespace["metadata"]["name"] for namespace in asking(target))
    if names:
        found.append(
            f"New pods in namespace {', '.join(names)} get no sidecar any more, and the old ones no new configuration:"
            " their labels ask for this revision."
        )
    return found


def asking(target: Target) -> Iterable[dict]:
    """Yield the namespaces whose labels ask for injection by the revision."""
    for namespace in target.kube.list("v1", "Namespace"):
        labels = owned.labels_of(namespace)
        revision = "default" if labels.get("istio-injection") == "enabled" else labels.get(owned.REVISION)
        if revision == (target.revision or "default") and namespace["metadata"]["name"] != target.namespace:
            yield namespace


def check_tool(tool: Istioctl) -> None:
    """Raise MeshopsError when there is no istioctl that can uninstall."""
    problem = version_problem(tool.version())
    if problem:
        raise MeshopsError(problem)


def uninstall(tool: Istioctl, target: Target, timeout: int, purge: bool) -> None:
    """Run istioctl's uninstaller; that it no longer finds the revision is no failure, what it leaves is deleted."""
    revision = None if purge else target.revision or "default"
    try:
        tool.uninstall(revision, target.namespace, timeout)
    except MeshopsError as error:
        if _NO_REVISION not in str(error):
            raise


def delete(kube: Kube | AbsentKube, objects: list[dict], timeout: int) -> None:
    """Delete what is still there of the objects, in this order, and wait until all are gone."""
    deadline = time.monotonic() + timeout
    ending = []
    for obj in objects:
        name = manifests.identity(obj)
        propagation = "Foreground" if name.kind in rollout.WORKLOADS else "Background"
        live = kube.get(name.api_version, name.kind, name.name, name.namespace or None)
        if live and not live["metadata"].get("deletionTimestamp"):
            kube.delete(name.api_version, name.kind, name.name, name.namespace or None, propagation=propagation)
        if live:
            ending.append(obj)
    for obj in ending:
        apply.wait_gone(kube, obj, deadline)
