# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how the pods of a namespace get into the mesh, and which still run something else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import (
    injection_probe,
    injectors,
    manifests,
    workload_restart,
)
from ansible_collections.meshops.istio.plugins.module_utils import workload_sidecars as sidecars
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Injector, Sidecar
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.workload_sidecars import Snapshot, Verdict, Would

ARGS: dict[str, dict[str, Any]] = {
    "namespace": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["on", "off", "revision", "ambient"], "required": True},
    "revision": {"type": "str"},
    "restart": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
}
RULES: dict[str, Any] = {"required_if": [("mode", "revision", ["revision"])]}
_PROOF_SECONDS = 60.0


class Wish(NamedTuple):
    """A namespace (as it is, and with the labels wanted), what injects then (None: nothing), and all injectors."""

    live: dict
    after: dict
    injector: Injector | None
    found: list[Injector]

    @property
    def name(self) -> str:
        return self.live["metadata"]["name"]

    @property
    def labels(self) -> dict[str, str]:
        return self.after["metadata"]["labels"]

    @property
    def changed(self) -> bool:
        return (self.live["metadata"].get("labels") or {}) != self.labels

    @property
    def change(self) -> dict[str, str | None]:
        """The merge patch of the labels."""
        before = self.live["metadata"].get("labels") or {}
        keys = (injectors.INJECTION, injectors.REVISION, injectors.DATAPLANE)
        return {key: self.labels.get(key) for key in keys if before.get(key) != self.labels.get(key)}


class Seen(NamedTuple):
    """What the wish means for the pods: the proxy of new ones, who differs, and what could not be found out."""

    sidecar: Sidecar | None
    verdicts: list[Verdict]
    loose: list[sidecars.Loose]
    would: Would
    warnings: list[str]


def core(params: dict, check_mode: bool) -> dict:
    """Return the result of module istio_injection for its options."""
    kube = Kube.connect(params, check_mode)
    if kube.absent:
        return {"changed": True, "labels": {}, "revision": "", "version": "", "workloads": [], "pods": []}
    kube.transport.webhook_timeout = injection_probe.ANSWER_SECONDS
    wish, warnings = plan(kube, params, check_mode)
    seen = look(kube, wish) if not warnings else Seen(None, [], [], lambda _template: None, [])
    warnings += seen.warnings
    restarted: list[Verdict] = []
    if params["restart"]:
        workload_restart.refuse(seen.verdicts)
        restarted = [item for item in seen.verdicts if item.action == sidecars.RESTART]
    if not check_mode:
        warnings += write(kube, wish)
        if params["restart"]:
            restarted = workload_restart.Roller(kube, wish.name, seen.would, params["timeout"]).roll()
    return result(wish, seen, restarted, warnings)


def plan(kube: Kube, params: Mapping[str, Any], check_mode: bool) -> tuple[Wish, list[str]]:
    """Return the wish and warnings; MeshopsError for one that would leave pods without their proxy."""
    name, mode = params["namespace"], params["mode"]
    if params["revision"] and mode != "revision":
        raise MeshopsError(
            f"revision {params['revision']} goes with mode revision, not with mode {mode}; leave one out."
        )
    live = kube.get("v1", "Namespace", name)
    if live is None and not check_mode:
        raise MeshopsError(f"There is no namespace {name}: create it first, for example with kube_manifest.")
    if live and live["metadata"].get("deletionTimestamp"):
        raise MeshopsError(f"Namespace {name} is being deleted; wait for that and create it anew.")
    metadata = {"name": name, "labels": {"kubernetes.io/metadata.name": name}}
    live = live or {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    labels = live["metadata"].get("labels") or {}
    found = injectors.injectors(kube.list(injectors.ADMISSION, "MutatingWebhookConfiguration"))
    bare = injectors.with_labels(
        labels, dict.fromkeys((injectors.INJECTION, injectors.REVISION, injectors.DATAPLANE), None)
    )
    unasked = name not in injectors.IGNORED_NAMESPACES and injectors.serving(found, bare) is not None
    wanted = injectors.labels_for(mode, params["revision"], labels, unasked)
    after = {**live, "metadata": {**live["metadata"], "labels": injectors.with_labels(labels, wanted)}}
    wish = Wish(live, after, injectors.serving(found, after["metadata"]["labels"]), found)
    problem = refusal(kube, wish, mode, params["revision"])
    if problem and not (check_mode and _may_come(wish, mode, params["revision"])):
        raise MeshopsError(problem)
    return wish, [f"{problem} In check mode this is no error, an earlier task may bring it."] if problem else []


def _may_come(wish: Wish, mode: str, revision: str | None) -> bool:
    """Tell whether a task before this one may make what is missing, so that check mode cannot refuse."""
    there = {*injectors.revisions(wish.found), *injectors.tags(wish.found)}
    return not there or (mode == "revision" and revision not in there)


def refusal(kube: Kube, wish: Wish, mode: str, revision: str | None) -> str:
    """Return why the labels must not be set, "" when they may."""
    there = injectors.known(wish.found)
    if mode in ("on", "revision") and wish.name in injectors.IGNORED_NAMESPACES:
        return f"Istio never injects into namespace {wish.name}; put the workloads into another one."
    if mode == "ambient" and not kube.list("apps/v1", "DaemonSet", None, "app=ztunnel"):
        return (
            f"Namespace {wish.name} cannot become ambient: the cluster has no ztunnel, so its pods would be outside"
            " of the mesh; install the profile ambient first."
        )
    if mode == "revision" and revision not in {*injectors.revisions(wish.found), *injectors.tags(wish.found)}:
        return f"There is no revision or tag {revision}; there are: {there}."
    if mode in ("on", "revision") and wish.injector is None:
        label = f"{injectors.INJECTION}=enabled" if mode == "on" else f"{injectors.REVISION}={revision}"
        return (
            f"No webhook serves the label {label}: pods of namespace {wish.name} would start without a sidecar."
            f" There are: {there}; choose one by mode revision, or make a tag with istio_revision_tag."
        )
    if wish.injector and wish.injector.revision not in injectors.revisions(wish.found):
        return (
            f"Tag {wish.injector.tag} points to revision {wish.injector.revision}, which has no control plane:"
            f" pods of namespace {wish.name} could not start. There are: {there}."
        )
    return ""


def look(kube: Kube, wish: Wish) -> Seen:
    """Return what new pods get once the labels are set, and which of the running ones differ from that."""
    proxies: dict[str, Sidecar] = {}
    warnings: list[str] = []

    def proxy(injector: Injector | None) -> Sidecar | None:
        if injector is not None and injector.name not in proxies:
            proxies[injector.name], warning = _proxy_of(kube, injector)
            warnings.extend(warning)
        return proxies[injector.name] if injector else None

    def would(template: Mapping[str, Any]) -> Sidecar | None:
        taking = injectors.injector_of(wish.found, wish.name, wish.labels, template)
        return injectors.expected(template, proxy(taking))

    state: Snapshot = workload_restart.snapshot(kube, wish.name)
    lost = sidecars.without_proxy(state, would)
    if lost:
        raise MeshopsError(
            f"{', '.join(lost)} in namespace {wish.name} gets its proxy by injection and could not start any more with"
            " these labels; move it to another namespace, or leave injection on."
        )
    found, loose = sidecars.verdicts(state, would)
    return Seen(proxy(wish.injector), found, loose, would, warnings)


def _proxy_of(kube: Kube, injector: Injector) -> tuple[Sidecar, list[str]]:
    """Return what a webhook puts into pods, with a warning when only its revision is known."""
    answer = injection_probe.injected_by(kube, injector)
    if answer.down or not (answer.sidecar or answer.problem):
        raise MeshopsError(
            f"The webhook {injector.name} of revision {injector.revision} puts no sidecar into pods"
            f"{': ' + answer.problem if answer.problem else ''}; see whether istiod of that revision runs."
        )
    if answer.sidecar and answer.sidecar.version:
        return answer.sidecar, []
    return Sidecar(injector.revision, ""), [
        f"The version of the sidecars of revision {injector.revision} cannot be told ({answer.problem}),"
        " so only the revisions of running ones were compared."
    ]


def write(kube: Kube, wish: Wish) -> list[str]:
    """Set the labels if they differ and see that new pods get what they ask for; returns warnings."""
    if wish.changed and workload_restart.patch(kube, wish.live, {"metadata": {"labels": wish.change}}) is None:
        raise MeshopsError(f"Namespace {wish.name} was deleted meanwhile.")
    if not wish.changed:
        return []
    revision = wish.injector.revision if wish.injector else None
    unproved = injection_probe.prove(kube, wish.name, {}, revision, time.monotonic() + _PROOF_SECONDS)
    return [f"What new pods of namespace {wish.name} get could not be proved: {unproved}"] if unproved else []


def result(wish: Wish, seen: Seen, restarted: list[Verdict], warnings: list[str]) -> dict:
    """Return the module's result: one row for each workload that differed when the task began."""
    gone = {item.obj["metadata"]["uid"] for item in restarted}
    words = {sidecars.WAIT: "rolling"}
    rows = [
        item.row("restarted" if item.obj["metadata"]["uid"] in gone else words.get(item.action, "outdated"))
        for item in seen.verdicts
    ]
    listed = {item.obj["metadata"]["uid"] for item in seen.verdicts}
    rows += [item.row("restarted") for item in restarted if item.obj["metadata"]["uid"] not in listed]
    keys = (injectors.INJECTION, injectors.REVISION, injectors.DATAPLANE)
    return {
        "changed": wish.changed or bool(restarted),
        "labels": {key: wish.labels[key] for key in keys if key in wish.labels},
        "revision": wish.injector.revision if wish.injector else "",
        "version": seen.sidecar.version if seen.sidecar else "",
        "workloads": rows,
        "pods": [item._asdict() for item in seen.loose],
        "warnings": warnings,
        "diff": lambda: difference(wish, rows),
    }


def difference(wish: Wish, rows: list[dict]) -> list[dict]:
    """Return the diff: the namespace, then the workloads that are restarted."""
    entries = [manifests.diff_entry(wish.live, wish.after)] if wish.changed else []
    done = [row for row in rows if row["result"] == "restarted"]
    if done:
        header = f"sidecars in namespace {wish.name}"
        before = "".join(f"{row['kind']} {row['name']}: {row['problem']}\n" for row in done)
        after = "".join(f"{row['kind']} {row['name']}: restarted\n" for row in done)
        entries.append({"before_header": header, "after_header": header, "before": before, "after": after})
    return entries
