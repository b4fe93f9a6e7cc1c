# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_split: read, plan, check, write (or again), prove."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils import manifests, traffic_proof
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Conflict, Forbidden, Kube, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.consumers import is_ready
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import Plan, plan_split
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Step
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request

CONFLICT_DEADLINE = 30.0  # seconds


def core(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Put the split of params into effect (in check mode: find out what that would change) and return the result."""
    weights = edit.parse_weights(params["weights"])
    service = model.service_of(params["host"], params["namespace"], params["cluster_domain"])
    request = Request(service, weights, params["virtual_service"], params["route"])
    wait_timeout = params["wait_timeout"] if params["wait"] else None
    return split(Kube.connect(params, check_mode), request, params["require_ready"], check_mode, wait_timeout)


def split(
    kube: Any, request: Request, require_ready: bool, check_mode: bool, wait_timeout: Optional[float] = None
) -> dict[str, Any]:
    """Read, plan, check and write until no conflict is left; `kube` is a Kube or an AbsentKube.

    wait_timeout: seconds that the proxies have to take over what was written, None to leave them alone.
    """
    deadline = time.monotonic() + CONFLICT_DEADLINE
    pause = 0.1
    done: list[Step] = []
    while True:
        warnings: list[str] = []
        live = _live_service(kube, request.service, check_mode, warnings)
        plan = plan_split(
            request,
            _list(kube, "VirtualService", request.service.namespace, warnings),
            _list(kube, "DestinationRule", request.service.namespace, warnings),
        )
        if plan.steps and require_ready and live:
            _require_ready(kube, request, plan, live)
        try:
            _write(kube, plan, check_mode, done)
        except Conflict:
            if time.monotonic() + pause > deadline:
                raise
            # somebody wrote in between: his change is read and kept
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
            continue
        result = _result(plan, done, request, warnings)
        if done and wait_timeout is not None and not check_mode:
            result["proof"] = _prove(kube, plan, done, wait_timeout, request.service.domain, warnings)
        return result


def _prove(  # noqa: PLR0917 - what was written, and how long to wait for it
    kube: Any, plan: Plan, done: list[Step], timeout: float, domain: str, warnings: list[str]
) -> dict[str, Any]:
    first = next((step.before for step in done if step.after["kind"] == "VirtualService"), plan.before)
    if any(model.spec_of(first or {}).get(key) != model.spec_of(plan.after).get(key) for key in ("tcp", "tls")):
        warnings.append(
            f"{model.label(plan.after)} is written, but not proved to be in force:"
            " tcp and tls routes are not read from the proxies."
        )
        return {"proxies": 0, "seconds": 0.0, "lagging": []}
    return traffic_proof.prove(kube, plan.after, timeout, domain, warnings)


def _live_service(kube: Any, service: Service, check_mode: bool, warnings: list[str]) -> Optional[Mapping[str, Any]]:
    live = kube.get("v1", "Service", service.name, service.namespace)
    if live is None:
        problem = missing_service(
            service, [model.name_of(obj) for obj in kube.list("v1", "Service", service.namespace)]
        )
        if not check_mode:
            raise MeshopsError(problem)
        if not kube.absent:
            warnings.append(f"{problem} The check goes on as if an earlier task made it.")
    return live


def missing_service(service: Service, known: list[str]) -> str:
    """Return the sentence for a Service that does not exist, with the names that are near."""
    near = difflib.get_close_matches(service.name, known, n=3)
    listed = near or sorted(known)[:10]
    there = f"{'did you mean' if near else 'there are'}: {', '.join(listed)}" if listed else "it has none"
    return f"There is no Service {service.name} in namespace {service.namespace} ({there}). Correct host or namespace."


def _list(kube: Any, kind: str, namespace: str, warnings: list[str]) -> list[dict]:
    try:
        return kube.list(model.API_VERSION, kind)
    except Forbidden:
        warnings.append(f"Only the {kind}s of namespace {namespace} may be read, those of others are not considered.")
        return kube.list(model.API_VERSION, kind, namespace)


def _require_ready(kube: Any, request: Request, plan: Plan, live: Mapping[str, Any]) -> None:
    selector = (live.get("spec") or {}).get("selector")
    if not selector:
        return  # its endpoints are not chosen by labels of pods
    pods = kube.list("v1", "Pod", request.service.namespace, ",".join(f"{k}={v}" for k, v in sorted(selector.items())))
    named = [subset for subset, weight in request.weights.items() if weight]
    unready = without_ready_pod({subset: plan.subsets[subset] for subset in named}, pods)
    if unready:
        subset, labels = next(iter(unready.items()))
        shown = ", ".join(f"{key}={value}" for key, value in labels.items())
        raise MeshopsError(
            f"Subset {subset} of {request.service} ({shown}) has no ready pod, requests sent there would fail."
            f" Start one, or set its weight to 0, or require_ready to false."
        )


def without_ready_pod(subsets: Mapping[str, Mapping[str, str]], pods: list[dict]) -> dict[str, Mapping[str, str]]:
    """Return those subsets (name -> labels) whose labels no ready pod has."""
    ready = [(pod["metadata"].get("labels") or {}).items() for pod in pods if is_ready(pod)]
    return {name: labels for name, labels in subsets.items() if not any(labels.items() <= pod for pod in ready)}


def _write(kube: Any, plan: Plan, check_mode: bool, done: list[Step]) -> None:
    if check_mode:
        done[:] = [Step(step.before, _send(kube, step, dry_run=True)) for step in plan.steps]
        return
    if len(plan.steps) > 1:
        # refused objects are found before the first of them is written
        for step in plan.steps:
            _send(kube, step, dry_run=True)
    for step in plan.steps:
        done.append(Step(step.before, _send(kube, step)))


def _send(kube: Any, step: Step, dry_run: bool = False) -> Mapping[str, Any]:
    try:
        if step.before is None:
            return kube.create(step.after, dry_run=dry_run)
        return kube.replace(step.after, dry_run=dry_run)
    except NotFound:
        if not dry_run:
            raise
        return step.after  # its namespace or kind comes with an earlier task


def _result(plan: Plan, done: list[Step], request: Request, warnings: list[str]) -> dict[str, Any]:
    written = next((step.after for step in reversed(done) if step.after["kind"] == "VirtualService"), plan.after)
    return {
        "changed": bool(done),
        "before": manifests.diff_view(plan.before),
        "after": manifests.diff_view(written),
        "effective": edit.percentages(request.weights),
        "steps": [str(step) for step in done],
        "warnings": warnings,
        "diff": lambda: [manifests.diff_entry(step.before, step.after) for step in done],
    }
