# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the Istio control plane is as wanted; installed only when something differs."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import (
    apply,
    control_plane_purge,
    control_plane_refusals,
    control_plane_remove,
    control_plane_wait,
    manifests,
)
from ansible_collections.meshops.istio.plugins.module_utils import (
    control_plane_compare as compare,
)
from ansible_collections.meshops.istio.plugins.module_utils import (
    control_plane_input as given,
)
from ansible_collections.meshops.istio.plugins.module_utils import (
    control_plane_owned as owned,
)
from ansible_collections.meshops.istio.plugins.module_utils.apply import Outcome
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_owned import Target
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import Istioctl, IstioctlMissing, workspace
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube


class Plan(NamedTuple):
    """Every object's outcome, those that the installer deletes, the record, and why to install (None: do not)."""

    outcomes: list[Outcome]
    pruned: list[Outcome]
    record: Outcome
    reason: str | None
    warnings: list[str]

    @property
    def needed(self) -> bool:
        """Whether anything is to be done, if only to the record."""
        return self.reason is not None or self.record.result != "unchanged"

    @property
    def different(self) -> list[Outcome]:
        every = [*self.outcomes, *self.pruned, self.record]
        return [outcome for outcome in every if outcome.result != "unchanged"]


def core(params: dict, check_mode: bool) -> dict:
    """Return the result of module istio_control_plane for its options."""
    if params["purge"] and params["state"] != "absent":
        raise MeshopsError("The option purge removes Istio: it goes with state: absent only.")
    try:
        document = given.operator_document(params)
    except given.FileMissing as error:
        if not check_mode:
            raise
        return _unknown(params["revision"] or "", str(error))  # an earlier step would have put it there
    kube = Kube.connect(params, check_mode)
    with workspace(document) as folder:
        tool = Istioctl(params["istioctl"], kube.kubeconfig, kube.context, folder)
        if params["state"] == "present":
            return present(params, check_mode, kube, tool, document)
        target = target_of(kube, document, "")
        remove = control_plane_purge.purge if params["purge"] else control_plane_remove.remove
        return remove(target, tool, params, check_mode)


def target_of(kube: Kube | AbsentKube, document: dict, version: str) -> Target:
    """Return what the document installs where; `version` is istioctl's."""
    name = (document.get("metadata") or {}).get("name") or ""
    return Target(kube, given.namespace_of(document), document["spec"].get("revision") or "", version, name)


def present(params: dict, check_mode: bool, kube: Kube | AbsentKube, tool: Istioctl, document: dict) -> dict:
    """Install when something differs; the result of the module."""
    try:
        target = target_of(kube, document, tool.version())
    except IstioctlMissing:
        if not check_mode:
            raise
        return _unknown(document["spec"].get("revision") or "", "no istioctl yet")
    control_plane_refusals.versions(target)
    rendered = render(tool, kube, document, params["istioctl"])
    control_plane_refusals.second_default(target, rendered)
    plan = make_plan(target, rendered, given.namespace_object(document))
    warnings = list(plan.warnings)
    if plan.needed and not check_mode:
        warnings += carry_out(target, tool, rendered, plan, params["timeout"])
    return {
        "changed": plan.needed,
        "version": target.version,
        "revision": target.revision,
        "objects": [outcome.row() for outcome in plan.different],
        "reason": plan.reason or "",
        "saved": "",
        "warnings": warnings,
        "diff": lambda: [manifests.diff_entry(item.before, item.after) for item in plan.different],
    }


def _unknown(revision: str, reason: str) -> dict:
    return {"changed": True, "version": None, "revision": revision, "objects": [], "reason": reason, "saved": ""}


def render(tool: Istioctl, kube: Kube | AbsentKube, document: dict, path: str) -> list[dict]:
    """Return the objects that istioctl makes of the document; MeshopsError with what is wrong with the document."""
    try:
        return tool.render(cluster=not kube.absent)
    except MeshopsError as error:
        known = given.profiles(path, document["spec"].get("installPackagePath"))
        raise MeshopsError(given.complaint(str(error), document, known)) from error


def make_plan(target: Target, rendered: list[dict], namespace: dict) -> Plan:
    """Compare the rendered objects and the record with the cluster; sends reads and dry runs only."""
    scaled = compare.scaled(rendered)
    outcomes = [compare_object(target.kube, obj, scaled) for obj in manifests.ordered(rendered)]
    control_plane_refusals.foreign(outcome.before for outcome in outcomes)
    if target.kube.get("v1", "Namespace", target.namespace) is None:
        outcomes.insert(0, Outcome(namespace, None, namespace, "created"))
    outcomes += default_tag(target)
    place = {"name": compare.record_name(target.revision, target.name), "namespace": target.namespace}
    wanted = compare.record(place, compare.INSTALLED, manifests.digest(rendered), target.version)
    live = target.kube.get("v1", "ConfigMap", place["name"], target.namespace)
    reason = compare.record_problem(live, wanted) or compare.difference_text([item.result for item in outcomes])
    record = record_outcome(live, wanted, reason)
    if reason is None:
        return Plan(outcomes, [], record, reason, [])
    over = owned.leftovers(target, rendered)
    control_plane_refusals.other_installation(target, over.pruned)
    pruned = [Outcome(obj, obj, None, "deleted") for obj in over.pruned]
    control_plane_refusals.rights(target.kube, control_plane_refusals.rights_for([*outcomes, *pruned, record]))
    return Plan(outcomes, pruned, record, reason, stale(over.stale, target))


def record_outcome(live: dict | None, wanted: dict, reason: str | None) -> Outcome:
    """Return what happens to the record; `reason`: why to install, which rewrites it in any case."""
    if live is None:
        return Outcome(wanted, None, wanted, "created")
    if reason is None or live.get("data") == wanted["data"]:
        return Outcome(wanted, live, live, "unchanged")
    return Outcome(wanted, live, {**live, "data": wanted["data"]}, "changed")


def stale(objects: list[dict], target: Target) -> list[str]:
    """Return the warning about what an upgrade leaves over, if anything."""
    mine = [obj for obj in objects if owned.labels_of(obj).get(owned.OWNER, "unknown") in ("unknown", target.name)]
    if not mine:
        return []
    versions = sorted({owned.labels_of(obj).get(owned.VERSION, "?") for obj in mine})
    return [
        f"{owned.names(mine)} are left from Istio {', '.join(versions)} and no longer part of this control plane;"
        f" istioctl {target.version} deletes only what {target.version} has installed: delete them yourself."
    ]


def compare_object(kube: Kube | AbsentKube, wanted: dict, scaled: set[tuple[str, str, str]]) -> Outcome:
    """Return what an installation would do to one object."""
    name = manifests.identity(wanted)
    live = kube.get(name.api_version, name.kind, name.name, name.namespace or None)
    if live is None:
        return Outcome(wanted, None, wanted, "created")
    if name.kind == "CustomResourceDefinition" and compare.contains(live, wanted):
        return Outcome(wanted, live, live, "unchanged")  # a dry run of these megabytes costs more than all the rest
    autoscaled = (name.kind, name.namespace, name.name) in scaled
    after = compare.keep_foreign(live, kube.apply(wanted, dry_run=True), autoscaled)
    same = manifests.comparable(live) == manifests.comparable(after)
    return Outcome(wanted, live, live if same else after, "unchanged" if same else "changed")


def default_tag(target: Target) -> list[Outcome]:
    """Return what is missing when the injector is switched off and nothing stands in for it; else nothing.

    The installer makes that object itself, so it is not among the rendered ones.
    """
    api_version, kind = owned.MUTATING
    suffix = "" if target.namespace == "istio-system" else f"-{target.namespace}"
    name = f"{compare.DEFAULT_TAG_WEBHOOK}{suffix}"
    if target.revision or not compare.deactivated(
        target.kube.get(api_version, kind, f"istio-sidecar-injector{suffix}")
    ):
        return []
    if target.kube.get(api_version, kind, name):
        return []
    missing: dict[str, Any] = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name},
    }
    return [Outcome(missing, None, missing, "created")]


def carry_out(target: Target, tool: Istioctl, rendered: list[dict], plan: Plan, timeout: int) -> list[str]:
    """Install when there is a reason, wait and verify; the record says `installing` until all of it is true.

    Returns warnings.
    """
    kube, record = target.kube, plan.record.wanted
    if plan.reason is None:  # installed as wanted by somebody else: only remember it
        kube.apply(record)
        return []
    for outcome in plan.outcomes:
        if outcome.wanted["kind"] == "Namespace" and outcome.result == "created":
            kube.apply(outcome.wanted)
    kube.apply({**record, "data": {**record["data"], "state": compare.INSTALLING}})
    try:
        tool.install(timeout)
    except MeshopsError as error:
        why = control_plane_wait.not_ready(kube, rendered)
        raise MeshopsError(f"{error}{f' ({why})' if why else ''}") from error
    deadline = time.monotonic() + timeout
    warnings = control_plane_wait.verify(target, rendered, deadline, timeout)
    for outcome in plan.pruned:
        apply.wait_gone(kube, outcome.wanted, deadline)
    kube.apply(record)
    return warnings
