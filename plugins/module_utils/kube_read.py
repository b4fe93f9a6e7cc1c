# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module kube_info."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import rollout
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube, WaitTimeout


def core(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return `reachable` and `found`, one list of objects for each entry of params["objects"]."""
    for wanted in params["objects"]:
        if wanted["kind"] == "Secret":
            raise MeshopsError("kube_info reads no Secret, its content would reach the log; choose another kind.")
    kube = Kube.connect(params, check_mode)
    found = [_read(kube, wanted) for wanted in params["objects"]]
    if not check_mode:
        deadline = time.monotonic() + params["timeout"]
        for wanted, objects in zip(params["objects"], found):
            if wanted["wait_condition"]:
                objects[:] = [_ready(kube, obj, wanted["wait_condition"], deadline) for obj in objects]
    for objects in found:
        for obj in objects:
            obj["metadata"].pop("managedFields", None)
    return {"changed": False, "reachable": not kube.absent, "found": found}


def _read(kube: Any, wanted: Mapping[str, Any]) -> list[dict]:
    api_version, kind, namespace = wanted["api_version"], wanted["kind"], wanted["namespace"]
    if wanted["name"]:
        obj = kube.get(api_version, kind, wanted["name"], namespace)
        return [] if obj is None else [obj]
    return kube.list(api_version, kind, namespace, wanted["label_selector"])


def _ready(kube: Any, obj: dict, name: str, deadline: float) -> dict:
    meta = obj["metadata"]
    where = (obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace"))

    def holds(live: dict | None) -> bool:
        return rollout.condition(live, name).get("status") == "True"

    if holds(obj):
        return obj
    try:
        return kube.wait(*where, holds, max(0.0, deadline - time.monotonic()))
    except WaitTimeout as error:
        last = kube.get(*where)
        cause = rollout.condition(last, name).get("message") or ("it is gone" if last is None else "no cause is given")
        path = " ".join(filter(None, [obj["kind"], meta.get("namespace"), meta["name"]]))
        raise MeshopsError(
            f"{path} did not become {name} in time: {cause}. Look at it with kubectl describe, then run this again."
        ) from error
