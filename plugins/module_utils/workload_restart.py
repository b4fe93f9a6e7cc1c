# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: restart workloads one after another until their pods have the sidecar of new ones.

Nothing is remembered between the steps, let alone between runs: each step reads the cluster and judges anew.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone

from ansible_collections.meshops.istio.plugins.module_utils import injection_probe, injectors, kube_paths, rollout
from ansible_collections.meshops.istio.plugins.module_utils import workload_sidecars as sidecars
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    FIELD_MANAGER,
    AbsentKube,
    Kube,
    NotFound,
    WaitTimeout,
)
from ansible_collections.meshops.istio.plugins.module_utils.manifests import describe
from ansible_collections.meshops.istio.plugins.module_utils.workload_sidecars import Snapshot, Verdict, Would

_MERGE = "application/merge-patch+json"


def snapshot(kube: Kube | AbsentKube, namespace: str) -> Snapshot:
    """Return what the namespace runs."""
    return Snapshot(
        [item for kind in sidecars.KINDS for item in kube.list("apps/v1", kind, namespace)],
        kube.list("apps/v1", "ReplicaSet", namespace),
        kube.list("apps/v1", "ControllerRevision", namespace),
        kube.list("v1", "Pod", namespace),
    )


def patch(kube: Kube, obj: dict, change: dict) -> dict | None:
    """Merge a change into a live object and touch nothing else of it; None when it is gone."""
    resource = kube.resource(obj["apiVersion"], obj["kind"])
    if resource is None:
        return None
    path = kube_paths.object_path(resource, obj["metadata"]["name"], obj["metadata"].get("namespace"))
    query = {"fieldManager": FIELD_MANAGER}
    try:
        return kube.transport.request("PATCH", path, f"change {describe(obj)}", query, change, content_type=_MERGE)
    except NotFound:
        return None


def refuse(found: list[Verdict]) -> None:
    """Raise MeshopsError for workloads that a restart would not help, before any is restarted."""
    hindered = [f"{describe(item.obj)} ({item.obstacle})" for item in found if item.action == sidecars.KEEP]
    if hindered:
        raise MeshopsError(
            f"A restart does not give these workloads other sidecars: {', '.join(hindered)}. Replace their pods"
            " yourself, or run this without restart."
        )


class Roller:
    """Restarts the workloads of one namespace; `timeout` seconds for each of them."""

    def __init__(self, kube: Kube, namespace: str, would: Would, timeout: float) -> None:
        self.kube, self.namespace, self.would, self.timeout = kube, namespace, would, timeout
        self.restarted: list[Verdict] = []

    def roll(self) -> list[Verdict]:
        """Bring all workloads to the sidecar of new pods and return those that were restarted."""
        self.finish_begun()
        done: set[str] = set()
        while True:
            found = sidecars.verdicts(snapshot(self.kube, self.namespace), self.would)[0]
            left = [item for item in found if item.obj["metadata"]["uid"] not in done]
            if not left:
                return self.restarted
            try:
                refuse(left)
                self._step(left[0])
            except MeshopsError as error:
                raise self._stopped(error, left) from error
            done.add(left[0].obj["metadata"]["uid"])

    def finish_begun(self) -> None:
        """Wait for restarts that a killed run left in the middle: the next may only begin when the last is ready."""
        for obj in snapshot(self.kube, self.namespace).workloads:
            if sidecars.own_restart_runs(obj, FIELD_MANAGER):
                self.await_ready(obj, self._deadline())

    def _deadline(self) -> float:
        return time.monotonic() + self.timeout

    def _stopped(self, error: MeshopsError, left: list[Verdict]) -> MeshopsError:
        names = ", ".join(describe(item.obj) for item in left)
        rows = [item.row("restarted") for item in self.restarted] + [item.row("outdated") for item in left]
        return MeshopsError(
            f"{error} Nothing more was restarted; still to do: {names}. Run this again to go on.",
            {"changed": bool(self.restarted), "workloads": rows},
        )

    def _step(self, item: Verdict) -> None:
        """Restart one workload if it needs it after what is in progress, and see that this helped."""
        deadline = self._deadline()
        judged: Verdict | None = item
        if item.action == sidecars.WAIT:
            self.await_ready(item.obj, deadline)
            judged = self._judge(item.obj)
        if judged is None:
            return
        self.rehearse(judged)
        self.await_budgets(judged.obj, deadline)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        annotations = {"annotations": {sidecars.RESTARTED_AT: now}}
        live = patch(self.kube, judged.obj, {"spec": {"template": {"metadata": annotations}}})
        if live is None:
            return
        self.restarted.append(judged)
        self.await_ready({**judged.obj, **live}, deadline)
        after = self._judge(judged.obj)
        if after:
            raise MeshopsError(f"{describe(judged.obj)} was restarted, but its pods still have {after.problem}.")

    def _judge(self, obj: dict) -> Verdict | None:
        found = sidecars.verdicts(snapshot(self.kube, self.namespace), self.would)[0]
        return next((item for item in found if item.obj["metadata"]["uid"] == obj["metadata"]["uid"]), None)

    def rehearse(self, item: Verdict) -> None:
        """Raise MeshopsError when the webhooks would not give the workload's next pods what is expected of them."""
        answer = injection_probe.ask(self.kube, sidecars.rehearsal(item.obj))
        where = describe(item.obj)
        if answer.down or (answer.problem and "exceeded quota" not in answer.problem):
            raise MeshopsError(f"{where} is not restarted, its new pods could not be made: {answer.problem}")
        if answer.problem:  # a full quota has room again as soon as an old pod goes
            return
        told = injectors.difference(answer.sidecar, self.would(item.obj["spec"]["template"]))
        if told:
            raise MeshopsError(
                f"{where} is not restarted, it would not help: its next pods would have {told}. Its labels or"
                " annotations, or the injector's own configuration, keep the sidecar away."
            )

    def await_budgets(self, obj: dict, deadline: float) -> None:
        """Wait until every budget over the workload's pods lets one go; MeshopsError names the one that does not."""
        for budget in sidecars.budgets(self.kube.list("policy/v1", "PodDisruptionBudget", self.namespace), obj):
            if sidecars.allows(budget):
                continue
            name = budget["metadata"]["name"]
            left = max(0.0, deadline - time.monotonic())
            try:
                self.kube.wait("policy/v1", "PodDisruptionBudget", name, self.namespace, sidecars.allows, left)
            except WaitTimeout as error:
                raise MeshopsError(
                    f"{sidecars.budget_problem(error.last or budget)}, so {describe(obj)} was not restarted within"
                    f" {self.timeout:.0f} s; give it more replicas or the budget more room."
                ) from error

    def await_ready(self, obj: dict, deadline: float) -> None:
        """Wait until a workload is rolled out, or gone; MeshopsError says why it does not come up."""
        if rollout.ready(obj):
            return
        meta = obj["metadata"]
        left = max(0.0, deadline - time.monotonic())

        def done(live: dict | None) -> bool:
            return live is None or rollout.ready(live)

        try:
            self.kube.wait(obj["apiVersion"], obj["kind"], meta["name"], meta["namespace"], done, left)
        except WaitTimeout as error:
            reason = rollout.explain(self.kube, error.last or obj)
            raise MeshopsError(f"{describe(obj)} is not rolled out after {self.timeout:.0f} s: {reason}.") from error
