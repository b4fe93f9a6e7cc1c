# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the Istio control plane is as wanted; installed only when something differs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import (
    apply,
    manifests,
    rollout,
    support,
)
from ansible_collections.meshops.istio.plugins.module_utils import (
    control_plane_compare as compare,
)
from ansible_collections.meshops.istio.plugins.module_utils.apply import Outcome
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import (
    Istioctl,
    IstioctlMissing,
    step_problem,
    version_problem,
    workspace,
)
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Forbidden, Kube, WebhookUnavailable


class Target(NamedTuple):
    """What is installed where: the cluster, the namespace, the revision ("" unnamed) and istioctl's version."""

    kube: Kube | AbsentKube
    namespace: str
    revision: str
    version: str


class Plan(NamedTuple):
    """Every object's outcome, the record before and after, and why to install (None: do not)."""

    outcomes: list[Outcome]
    record: Outcome
    reason: str | None

    @property
    def needed(self) -> bool:
        """Whether anything is to be done, if only to the record."""
        return self.reason is not None or self.record.result != "unchanged"

    @property
    def different(self) -> list[Outcome]:
        return [outcome for outcome in [*self.outcomes, self.record] if outcome.result != "unchanged"]


def core(params: dict, check_mode: bool) -> dict:
    """Return the result of module istio_control_plane for its options."""
    document = compare.operator_document(params)
    kube = Kube.connect(params, check_mode)
    with workspace(document) as folder:
        tool = Istioctl(params["istioctl"], kube.kubeconfig, kube.context, folder)
        revision = document["spec"].get("revision") or ""
        try:
            version = tool.version()
        except IstioctlMissing:
            if not check_mode:
                raise
            return {"changed": True, "version": None, "revision": revision, "objects": [], "reason": "no istioctl yet"}
        target = Target(kube, compare.namespace_of(document), revision, version)
        refuse(target)
        rendered = tool.render(cluster=not kube.absent)
        plan = make_plan(target, rendered, compare.namespace_object(document))
        if plan.needed and not check_mode:
            carry_out(target, tool, rendered, plan, params["timeout"])
    return {
        "changed": plan.needed,
        "version": version,
        "revision": revision,
        "objects": [outcome.row() for outcome in plan.different],
        "reason": plan.reason or "",
        "diff": lambda: [manifests.diff_entry(item.before, item.after) for item in plan.different],
    }


def refuse(target: Target) -> None:
    """Raise MeshopsError for versions that do not go together, before anything is changed."""
    problem = version_problem(target.version)
    if not problem and not target.kube.absent:
        problem = support.problem(target.version, target.kube.version())
    if not problem:
        istiod = target.kube.get("apps/v1", "Deployment", compare.suffixed("istiod", target.revision), target.namespace)
        problem = step_problem(compare.installed_version(istiod), target.version)
    if problem:
        raise MeshopsError(problem)


def make_plan(target: Target, rendered: list[dict], namespace: dict) -> Plan:
    """Compare the rendered objects and the record with the cluster; sends reads and dry runs only."""
    scaled = compare.scaled(rendered)
    outcomes = [compare_object(target.kube, obj, scaled) for obj in manifests.ordered(rendered)]
    if target.kube.get("v1", "Namespace", target.namespace) is None:
        outcomes.insert(0, Outcome(namespace, None, namespace, "created"))
    outcomes += default_tag(target)
    wanted = compare.record(
        target.namespace, target.revision, compare.INSTALLED, manifests.digest(rendered), target.version
    )
    live = target.kube.get("v1", "ConfigMap", wanted["metadata"]["name"], target.namespace)
    reason = compare.record_problem(live, wanted) or compare.difference_text([item.result for item in outcomes])
    if live is None:
        return Plan(outcomes, Outcome(wanted, None, wanted, "created"), reason)
    if reason is None or live.get("data") == wanted["data"]:
        return Plan(outcomes, Outcome(wanted, live, live, "unchanged"), reason)
    return Plan(outcomes, Outcome(wanted, live, {**live, "data": wanted["data"]}, "changed"), reason)


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
    api_version, kind = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
    if target.revision or not compare.deactivated(target.kube.get(api_version, kind, "istio-sidecar-injector")):
        return []
    if target.kube.get(api_version, kind, compare.DEFAULT_TAG_WEBHOOK):
        return []
    missing = {"apiVersion": api_version, "kind": kind, "metadata": {"name": compare.DEFAULT_TAG_WEBHOOK}}
    return [Outcome(missing, None, missing, "created")]


def carry_out(target: Target, tool: Istioctl, rendered: list[dict], plan: Plan, timeout: int) -> None:
    """Install when there is a reason, wait and verify; the record says `installing` until all of it is true."""
    kube, record = target.kube, plan.record.wanted
    if plan.reason is None:  # installed as wanted by somebody else: only remember it
        kube.apply(record)
        return
    for outcome in plan.outcomes:
        if outcome.wanted["kind"] == "Namespace" and outcome.result == "created":
            kube.apply(outcome.wanted)
    kube.apply({**record, "data": {**record["data"], "state": compare.INSTALLING}})
    try:
        tool.install(timeout)
    except MeshopsError as error:
        why = not_ready(kube, rendered)
        raise MeshopsError(f"{error}{f' ({why})' if why else ''}") from error
    deadline = time.monotonic() + timeout
    apply.wait_ready(kube, [_live(kube, obj) for obj in _workloads(rendered)], deadline, timeout)
    verify_injection(target, rendered, deadline)
    kube.apply(record)


def _workloads(rendered: list[dict]) -> list[dict]:
    return [obj for obj in rendered if obj["kind"] in rollout.WORKLOADS]


def _live(kube: Kube | AbsentKube, obj: dict) -> dict:
    name = manifests.identity(obj)
    return kube.get(name.api_version, name.kind, name.name, name.namespace or None) or obj


def not_ready(kube: Kube | AbsentKube, rendered: list[dict]) -> str:
    """Return why the first workload that is there and not rolled out is so, "" when all are."""
    for obj in _workloads(rendered):
        live = _live(kube, obj)
        if live is not obj and not rollout.ready(live):
            return f"{manifests.describe(live)}: {rollout.explain(kube, live)}"
    return ""


def verify_injection(target: Target, rendered: list[dict], deadline: float) -> None:
    """Prove by a dry-run Pod that the webhook injects; does nothing when no istiod was installed."""
    if not any(obj["kind"] == "MutatingWebhookConfiguration" for obj in rendered):
        return
    pod = compare.probe_pod(probe_namespace(target), target.revision)
    problem = ""
    while True:
        try:
            if compare.injected(target.kube.create(pod, dry_run=True)):
                return
            problem = "no istio-proxy container was added"
        except Forbidden as error:
            if "istio-" in str(error):  # pod security refuses the pod because of what was injected
                return
            problem = str(error)
        except WebhookUnavailable as error:
            problem = str(error)
        if time.monotonic() >= deadline:
            raise MeshopsError(
                f"Istio {target.version} is installed, but sidecars are not injected in namespace"
                f" {pod['metadata']['namespace']}: {problem}"
            )
        time.sleep(0.5)  # the API server takes a moment to see new webhooks, and cannot be watched for it


def probe_namespace(target: Target) -> str:
    """Return a namespace whose labels neither ask for injection nor forbid it."""
    for name in (target.namespace, "default"):
        labels: Mapping[str, Any] = ((target.kube.get("v1", "Namespace", name) or {}).get("metadata") or {}).get(
            "labels"
        ) or {}
        if "istio-injection" not in labels and "istio.io/rev" not in labels:
            return name
    return target.namespace
