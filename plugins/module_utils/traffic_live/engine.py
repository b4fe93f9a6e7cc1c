# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one traffic task on a live cluster: read, plan, check, write (or again), prove.

Nothing is kept between two tries: a run that was stopped, or came too late, plans again from what is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils import manifests
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Conflict, NotFound
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import ROUTE_KINDS, Intent, Plan, planned
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Change, Step, owned_subsets
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import guards, lost, proof
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.reading import Reader

CONFLICT_DEADLINE = 30.0  # seconds
STEP_TIMEOUT = 30.0  # seconds, for the proof between two steps when the user waits for none at the end
Done = list[Step]


@dataclass(frozen=True)
class Options:
    """How a task is to be done.

    wait_timeout: seconds that the proxies have to take over what was written, None not to wait for them; by: who does
    it, for the journal; point: a name there for the state before; api: istio or gateway when the user asked for one.
    """

    check_mode: bool = False
    require_ready: bool = True
    force: bool = False
    wait_timeout: Optional[float] = None
    by: str = ""
    point: str = ""
    api: Optional[str] = None


def change(kube: Any, service: Service, intent: Intent, options: Options, *, tidy: bool = True) -> dict[str, Any]:
    """Make the intent hold and return the result of the module; `kube` is a Kube or an AbsentKube.

    tidy: whether to remove faults whose time is over with it.
    """
    deadline, pause = 0.0, 0.1
    done: Done = []
    while True:
        warnings: list[str] = []
        try:
            plan = _plan(kube, service, intent, options, warnings, tidy=tidy)
            _make(kube, plan, options, done, warnings)
        except Conflict as conflict:
            # from the first one on, as the proofs before may have taken long
            deadline = deadline or time.monotonic() + CONFLICT_DEADLINE
            if time.monotonic() + pause > deadline:
                raise _after(done, conflict) from conflict
            # somebody wrote in between: his change is read and kept
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
            continue
        except MeshopsError as error:
            raise _after(done, error) from error
        result = _result(plan, done, warnings)
        if done and options.wait_timeout is not None and not options.check_mode:
            try:
                result["proof"] = _prove(kube, plan, done, options.wait_timeout, warnings)
            except MeshopsError as error:
                raise MeshopsError(str(error), {"changed": True, "steps": result["steps"]}) from error
        return result


def _after(done: Done, error: MeshopsError) -> MeshopsError:
    """Return the error with what was written before it, which the next run finds and goes on from."""
    if not done:
        return error
    steps = [str(step) for step in done]
    told = f"{lost.sentence(error)} Written before that: {', '.join(steps)}; the same task goes on from there."
    return MeshopsError(told, {"changed": True, "steps": steps})


def _plan(kube: Any, service: Service, intent: Intent, options: Options, warnings: list[str], *, tidy: bool) -> Plan:
    """Return the plan, checked; first from DestinationRules that may be a moment old, and again when that matters."""
    for cached in (True, False):
        told: list[str] = []
        reader = Reader(kube, service, options.check_mode, told)
        world, live = reader.world(cached, options.api)
        now = datetime.now(timezone.utc)
        stamp = Stamp(now.isoformat(timespec="seconds").replace("+00:00", "Z"), options.by)
        try:
            plan = planned(world, intent, now, stamp, options.point, tidy)
        except MeshopsError:
            if cached:
                continue
            raise
        if cached and any(step.action != "replace" or step.obj["kind"] not in ROUTE_KINDS for step in plan.steps):
            continue
        break
    warnings += told
    warnings += [f"The fault of {what} is over and removed." for what in plan.expired]
    if plan.changes:
        if not options.force:
            guards.refuse_managed(plan, live)
        guards.refuse_without_effect(plan)
    if options.require_ready and live:
        guards.refuse_unready(kube, plan, live)
    return plan


def _make(kube: Any, plan: Plan, options: Options, done: Done, warnings: list[str]) -> None:
    """Write the steps, each after its proof; several of them, and in check mode any, are tried first."""
    if options.check_mode or len(plan.steps) > 1:
        # refused objects are found before the first of them is written
        tried = _try_all(kube, plan)
        if options.check_mode:
            done[:] = tried
            return
    versions: dict[tuple[str, str], str] = {}
    domain = plan.world.service.domain
    patience = options.wait_timeout or STEP_TIMEOUT
    for step in plan.steps:
        proof.before(kube, step, patience, domain, warnings)
        written = _write(kube, _at(step, versions))
        if written is not None:
            versions[_key(step)] = str(model.dict_of(written.get("metadata")).get("resourceVersion") or "")
        done.append(Step(step.before, written, step.live, step.unnamed))


def _try_all(kube: Any, plan: Plan) -> Done:
    tried: Done = []
    seen: set[tuple[str, str]] = set()
    for step in plan.steps:
        # a second write of one object cannot be tried, as the first one was not made
        after = step.after if _key(step) in seen else _send(kube, step, dry_run=True)
        seen.add(_key(step))
        tried.append(Step(step.before, after, step.live, step.unnamed))
    return tried


def _key(step: Step) -> tuple[str, str]:
    return model.kind_of(step.obj), model.label(step.obj)


def _at(step: Step, versions: Mapping[tuple[str, str], str]) -> Step:
    """Return the step for the version of the object that an earlier step has written."""
    version = versions.get(_key(step))
    if not version:
        return step

    def newer(obj: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
        return obj and {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}

    return Step(newer(step.before), newer(step.after), step.live, step.unnamed)


def _write(kube: Any, step: Step) -> Optional[Mapping[str, Any]]:
    """Write a step; one that turns out to be made already was ours."""
    try:
        return _send(kube, step)
    except KubeError as error:
        return lost.made_anyway(kube, step, error)


def _send(kube: Any, step: Step, dry_run: bool = False) -> Optional[Mapping[str, Any]]:
    try:
        if step.after is None:
            meta = step.obj["metadata"]
            kube.delete(
                step.obj["apiVersion"],
                step.obj["kind"],
                meta["name"],
                meta.get("namespace"),
                dry_run=dry_run,
                resource_version=meta.get("resourceVersion"),
            )
            return None
        if step.before is None:
            return kube.create(step.after, dry_run=dry_run)
        return kube.replace(step.after, dry_run=dry_run)
    except NotFound as error:
        if step.before is not None:
            raise Conflict(str(error), error.status) from error  # it was deleted in between: plan again
        if not dry_run:
            raise
        return step.after  # its namespace or kind comes with an earlier task


def _prove(kube: Any, plan: Plan, done: Done, timeout: float, warnings: list[str]) -> dict[str, Any]:
    domain, deadline = plan.world.service.domain, time.monotonic() + timeout
    proofs = []
    for made in _objects(done):
        left = max(deadline - time.monotonic(), 1.0)
        if (made.after or made.before or {}).get("kind") == "DestinationRule":
            proofs += _prove_rule(kube, made, left, domain, warnings)
        elif made.after is None and made.before and made.before["kind"] in model.GATEWAY_KINDS:
            warnings.append(f"{model.label(made.before)} is deleted, but not proved to be gone from the proxies.")
        elif made.after is None:
            proofs.append(proof.prove_gone(kube, made.before or {}, left, warnings))
        elif model.spec_of(made.before or {}) == model.spec_of(made.after):
            continue  # only our bookkeeping was written
        elif any(
            model.spec_of(made.before or {}).get(key) != model.spec_of(made.after).get(key) for key in ("tcp", "tls")
        ):
            warnings.append(
                f"{model.label(made.after)} is written, but not proved to be in force:"
                " tcp and tls routes are not read from the proxies."
            )
        else:
            proofs.append(proof.prove(kube, made.after, left, domain, warnings))
    return {
        "proxies": max((found["proxies"] for found in proofs), default=0),
        "seconds": round(sum(found["seconds"] for found in proofs), 2),
        "lagging": [],
    }


def _prove_rule(kube: Any, made: Change, timeout: float, domain: str, warnings: list[str]) -> list[dict[str, Any]]:
    fresh = tuple(sorted(owned_subsets(made.after, domain) - owned_subsets(made.before, domain)))
    if made.after is None or not fresh:
        return []
    return [proof.prove_subsets(kube, made.after, Step(None, made.after, fresh), timeout, domain, warnings)]


def _objects(done: Done) -> list[Change]:
    """Return each object that was written, as it was and as it is now."""
    found: dict[tuple[str, str], Change] = {}
    for step in done:
        first = found.get(_key(step), Change(step.before, None)).before
        found[_key(step)] = Change(first, step.after)
    return list(found.values())


def _result(plan: Plan, done: Done, warnings: list[str]) -> dict[str, Any]:
    objects = _objects(done)
    main = plan.main.after or plan.main.before
    written = next((made for made in objects if main and _same(made, main)), plan.main)
    before = next((made.before for made in objects if main and _same(made, main)), plan.main.before)
    return {
        "changed": bool(done),
        "before": manifests.diff_view(model.unmarked(before)),
        "after": manifests.diff_view(model.unmarked(written.after)),
        "effective": dict(plan.effective or {}),
        "steps": [str(step) for step in done],
        "warnings": warnings,
        "diff": lambda: [
            manifests.diff_entry(model.unmarked(made.before), model.unmarked(made.after)) for made in objects
        ],
    }


def _same(made: Change, obj: Mapping[str, Any]) -> bool:
    other = made.after or made.before or {}
    return (model.kind_of(other), model.label(other)) == (model.kind_of(obj), model.label(obj))
