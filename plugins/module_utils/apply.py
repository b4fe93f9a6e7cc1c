# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: bring a list of Kubernetes objects to the wanted state, writing only what differs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import manifests, rollout
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    AbsentKube,
    Kube,
    NotFound,
    Unreachable,
    WaitTimeout,
    WebhookUnavailable,
)

_CRD = "CustomResourceDefinition"
_CHECK_WEBHOOK_SECONDS = 5.0


class Outcome(NamedTuple):
    """What happens to one object: the wanted one, as it was (None: absent), as it is after, and the result's word."""

    wanted: dict
    before: dict | None
    after: dict | None
    result: str

    def row(self) -> dict[str, str]:
        name = manifests.identity(self.wanted)
        return {"kind": name.kind, "name": name.name, "namespace": name.namespace, "result": self.result}


def core(params: dict, check_mode: bool) -> dict:
    """Return the result of module kube_manifest for its options."""
    if params["src"] and check_mode and not Path(params["src"]).exists():
        return {"changed": True, "objects": []}  # an earlier step would have put it there
    objects = read(params)
    kube = Kube.connect(params, check_mode)
    if not kube.absent:
        kube.transport.webhook_timeout = _CHECK_WEBHOOK_SECONDS if check_mode else float(params["timeout"])
    objects = manifests.ordered(with_namespace(kube, objects, params["namespace"]))
    deadline = time.monotonic() + params["timeout"]
    if params["state"] == "absent":
        outcomes = remove(kube, objects, deadline, check_mode)
    else:
        outcomes = present(kube, objects, deadline, check_mode)
        if params["wait"] and not check_mode:
            wait_ready(kube, [outcome.after for outcome in outcomes], deadline, params["timeout"])
    return result_of(outcomes)


def read(params: Mapping[str, Any]) -> list[dict]:
    """Return the wanted objects of `src` or `definition`, with overlays and image prefixes worked in."""
    if params["src"]:
        try:
            text = Path(params["src"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MeshopsError(f"The manifest {params['src']} cannot be read: {error}") from error
        objects = manifests.load(text, params["src"])
    else:
        objects = manifests.flatten(params["definition"], "definition")
    if not objects:
        raise MeshopsError(f"{params['src'] or 'definition'} holds no object.")
    objects = manifests.overlay(objects, params["overlays"] or [])
    return manifests.rewrite_images(objects, params["image_prefixes"] or {})


def with_namespace(kube: Kube | AbsentKube, objects: list[dict], namespace: str | None) -> list[dict]:
    """Return the objects, `namespace` given to those of namespaced kinds that name none."""
    if not namespace:
        return objects
    own = {
        (f"{obj['spec']['group']}/{version['name']}", obj["spec"]["names"]["kind"]): obj["spec"]["scope"]
        for obj in objects
        if obj["kind"] == _CRD
        for version in obj["spec"].get("versions") or []
    }
    result = []
    for obj in objects:
        if not obj["metadata"].get("namespace"):
            scope = own.get((obj["apiVersion"], obj["kind"]))
            served = None if scope else kube.resource(obj["apiVersion"], obj["kind"])
            if scope == "Namespaced" or (scope is None and (served is None or served.namespaced)):
                obj = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}  # noqa: PLW2901
        result.append(obj)
    return result


def present(kube: Kube | AbsentKube, objects: list[dict], deadline: float, check_mode: bool) -> list[Outcome]:
    """Bring `objects` (in order) to their wanted form: namespaces, CRDs until they serve, then the rest."""
    outcomes: list[Outcome] = []
    for kinds in (("Namespace",), (_CRD,), None):
        batch = [obj for obj in objects if (obj["kind"] in kinds if kinds else obj["kind"] not in ("Namespace", _CRD))]
        planned = [plan(kube, obj, deadline, check_mode) for obj in batch]
        done = planned if check_mode else write(kube, planned)
        outcomes += done
        if kinds == (_CRD,) and not check_mode:
            wait_served(kube, [outcome.after for outcome in done], deadline)
    return outcomes


def plan(kube: Kube | AbsentKube, wanted: dict, deadline: float, check_mode: bool) -> Outcome:
    """Return what would happen to one object; sends reads and dry runs only."""
    name = manifests.identity(wanted)
    live = kube.get(name.api_version, name.kind, name.name, name.namespace or None)
    if live and live["metadata"].get("deletionTimestamp"):
        if not check_mode:
            wait_gone(kube, wanted, deadline)
        live = None
    if live is None:
        after = wanted
        if check_mode:  # its namespace, its kind or the webhook that judges it may come with the same run
            with contextlib.suppress(NotFound, WebhookUnavailable):
                after = kube.apply(wanted, dry_run=True)
        return Outcome(wanted, None, after, "created")
    after = kube.apply(wanted, dry_run=True)
    same = manifests.comparable(live) == manifests.comparable(after)
    return Outcome(wanted, live, live if same else after, "unchanged" if same else "changed")


def write(kube: Kube | AbsentKube, planned: list[Outcome]) -> list[Outcome]:
    """Apply what the plan says; all are tried, then one error names every object that failed."""
    done: list[Outcome] = []
    failures: list[MeshopsError] = []
    for outcome in planned:
        if outcome.result == "unchanged":
            done.append(outcome)
            continue
        try:
            done.append(outcome._replace(after=kube.apply(outcome.wanted)))
        except Unreachable:
            raise
        except MeshopsError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        told = " | ".join(map(str, failures))
        raise MeshopsError(f"{len(failures)} of {len(planned)} objects failed: {told}")
    return done


def wait_served(kube: Kube | AbsentKube, crds: list[dict], deadline: float) -> None:
    """Wait until the API server serves the kinds of the CRDs."""
    for crd in crds:
        kind = crd["spec"]["names"]["kind"]
        if not rollout.ready(crd):
            crd = _wait(kube, crd, rollout.ready, deadline)  # noqa: PLW2901
        for version in crd["spec"]["versions"]:
            if not version.get("served", True):
                continue
            api_version = f"{crd['spec']['group']}/{version['name']}"
            while kube.resource(api_version, kind) is None:
                if time.monotonic() > deadline:
                    raise WaitTimeout(f"{manifests.describe(crd)} is established but {api_version} is not served.")
                time.sleep(0.1)  # discovery follows Established by a moment and cannot be watched


def wait_ready(kube: Kube | AbsentKube, objects: list[dict], deadline: float, timeout: float) -> None:
    """Wait until every workload among `objects` is rolled out; the error says why one is not."""
    for obj in objects:
        if obj["kind"] not in rollout.WORKLOADS or rollout.ready(obj):
            continue
        try:
            _wait(kube, obj, rollout.ready, deadline)
        except WaitTimeout as error:
            reason = rollout.explain(kube, error.last or obj)
            raise WaitTimeout(
                f"{manifests.describe(obj)} is not rolled out after {timeout} s: {reason}.", error.last
            ) from error


def wait_gone(kube: Kube | AbsentKube, obj: dict, deadline: float) -> None:
    """Wait until the object no longer exists."""
    try:
        _wait(kube, obj, lambda live: live is None, deadline)
    except WaitTimeout as error:
        finalizers = ", ".join(((error.last or {}).get("metadata") or {}).get("finalizers") or []) or "none"
        conditions = ((error.last or {}).get("status") or {}).get("conditions") or []
        told = "; ".join(item["message"] for item in conditions if item.get("status") == "True" and item.get("message"))
        raise WaitTimeout(
            f"{manifests.describe(obj)} is being deleted but not gone in time (finalizers: {finalizers})"
            f"{': ' + told if told else ''}.",
            error.last,
        ) from error


def _wait(kube: Kube | AbsentKube, obj: dict, predicate: Any, deadline: float) -> dict:
    name = manifests.identity(obj)
    remaining = max(0.0, deadline - time.monotonic())
    return kube.wait(name.api_version, name.kind, name.name, name.namespace or None, predicate, remaining)


def remove(kube: Kube | AbsentKube, objects: list[dict], deadline: float, check_mode: bool) -> list[Outcome]:
    """Delete `objects` in reverse order, each class (the rest, CRDs, namespaces) gone before the next."""
    outcomes: list[Outcome] = []
    for kinds in (None, (_CRD,), ("Namespace",)):
        batch = [obj for obj in objects if (obj["kind"] in kinds if kinds else obj["kind"] not in ("Namespace", _CRD))]
        gone: list[dict] = []
        for obj in reversed(batch):
            name = manifests.identity(obj)
            place = (name.api_version, name.kind, name.name, name.namespace or None)
            live = kube.get(*place)
            outcomes.append(Outcome(obj, live, None, "deleted" if live else "unchanged"))
            if live and not check_mode:
                # a workload is gone when its pods are; nothing else owns anything worth waiting for
                kube.delete(*place, propagation="Foreground" if name.kind in rollout.WORKLOADS else "Background")
                gone.append(obj)
        for obj in gone:
            wait_gone(kube, obj, deadline)
    return outcomes


def result_of(outcomes: list[Outcome]) -> dict:
    """Return changed, objects and the (lazy) diff."""
    different = [outcome for outcome in outcomes if outcome.result != "unchanged"]
    return {
        "changed": bool(different),
        "objects": [outcome.row() for outcome in outcomes],
        "diff": lambda: [manifests.diff_entry(item.before, item.after) for item in different],
    }
