# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: take all of Istio out of a cluster, the rules of everybody's traffic included.

Once something is deleted the record says `purging`, so that the file of an interrupted purge is not written again
with what little is left by then.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_owned as owned
from ansible_collections.meshops.istio.plugins.module_utils import (
    control_plane_refusals,
    control_plane_remove,
    manifests,
)
from ansible_collections.meshops.istio.plugins.module_utils.apply import Outcome
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_owned import Target
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_refusals import Right
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import Istioctl
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Conflict, Kube

GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io")
LABELS = ("istio-injection", "istio.io/rev", "istio.io/dataplane-mode")
_ROOT_CERTIFICATE = "istio-ca-root-cert"
_FIRST_NAMES = 5
_TRIES = 5


class Inventory(NamedTuple):
    """All that a purge takes: labels of namespaces, the namespace, Istio's objects, CRDs, and the traffic objects."""

    labelled: list[dict]
    namespace: dict | None
    objects: list[dict]
    crds: list[dict]
    traffic: list[dict]

    @property
    def outcomes(self) -> list[Outcome]:
        """What happens to each object, those that somebody else made first."""
        labels = [Outcome(obj, obj, without_labels(obj), "changed") for obj in self.labelled]
        gone = [*([self.namespace] if self.namespace else []), *self.traffic, *self.objects, *self.crds]
        return labels + [Outcome(obj, obj, None, "deleted") for obj in gone]


def purge(target: Target, tool: Istioctl, params: dict, check_mode: bool) -> dict:
    """Remove everything, after it was confirmed and saved; the result of the module."""
    found = inventory(target)
    outcomes = found.outcomes
    if not outcomes:
        return control_plane_remove.result(target, [], [])
    control_plane_refusals.foreign([*found.objects, *found.crds])
    if not params["confirm_purge"]:
        raise MeshopsError(unconfirmed(target, found), {"traffic": counted(found.traffic)})
    unlabelling = [Right("update", "v1", "Namespace", "")] if found.labelled else []
    gone = [outcome for outcome in outcomes if outcome.result == "deleted"]
    control_plane_refusals.rights(target.kube, [*unlabelling, *control_plane_refusals.rights_for(gone)])
    if not check_mode:
        control_plane_remove.check_tool(tool)
    path = Path(params["save_to"]).expanduser() if params["save_to"] else None
    if path and not (purging(target) and path.exists()):
        save(path, found.traffic, check_mode)
    if not check_mode:
        carry_out(target, tool, found, params["timeout"])
    return control_plane_remove.result(target, outcomes, [], str(path or ""))


def inventory(target: Target) -> Inventory:
    """Return what there is of Istio in the cluster; reads only."""
    kube = target.kube
    crds = [crd for crd in kube.list(*owned.CRD) if crd["spec"]["group"] in GROUPS]
    namespaces = kube.list("v1", "Namespace")
    own = [item for item in namespaces if item["metadata"]["name"] == target.namespace]
    others = [item for item in namespaces if item["metadata"]["name"] != target.namespace]
    kinds = owned.PRUNED + owned.FORGOTTEN + owned.FORGOTTEN_BY_PURGE
    by_identity = {
        manifests.identity(obj): obj
        for obj in [
            *owned.listed(kube, kinds, owned.COMPONENT),
            *owned.listed(kube, (owned.MUTATING, owned.VALIDATING), owned.REVISION),
            *_root_certificates(kube),
        ]
    }
    return Inventory(
        [item for item in others if set(LABELS) & set(owned.labels_of(item))],
        own[0] if own else None,
        [obj for obj in by_identity.values() if not obj["metadata"].get("ownerReferences")],
        crds,
        [obj for crd in crds for obj in kube.list(served(crd), crd["spec"]["names"]["kind"])],
    )


def _root_certificates(kube: Kube | AbsentKube) -> list[dict]:
    found = kube.list("v1", "ConfigMap", None, "istio.io/config=true")
    return [item for item in found if item["metadata"]["name"] == _ROOT_CERTIFICATE]


def served(crd: dict) -> str:
    """Return the apiVersion in which the objects of a CRD are stored."""
    version = next(item["name"] for item in crd["spec"]["versions"] if item.get("storage"))
    return f"{crd['spec']['group']}/{version}"


def without_labels(namespace: dict) -> dict:
    """Return a namespace without the labels that ask for injection or ambient."""
    result = copy.deepcopy(namespace)
    for label in LABELS:
        result["metadata"].get("labels", {}).pop(label, None)
    return result


def counted(traffic: list[dict]) -> list[dict]:
    """Return kind, number and names (`namespace/name`) of the traffic objects, by kind."""
    kinds: dict[str, list[str]] = {}
    for obj in traffic:
        meta = obj["metadata"]
        kinds.setdefault(obj["kind"], []).append(f"{meta.get('namespace', '')}/{meta['name']}".lstrip("/"))
    return [{"kind": kind, "count": len(names), "names": sorted(names)} for kind, names in sorted(kinds.items())]


def unconfirmed(target: Target, found: Inventory) -> str:
    """Return the sentence that says what would die, and how to have it so."""
    parts = []
    for row in counted(found.traffic):
        more = ", ..." if row["count"] > _FIRST_NAMES else ""
        parts.append(f"{row['count']} {row['kind']} ({', '.join(row['names'][:_FIRST_NAMES])}{more})")
    rules = ", ".join(parts) or "no traffic objects"
    namespace = f", the namespace {target.namespace} with all that is in it" if found.namespace else ""
    labels = ", ".join(item["metadata"]["name"] for item in found.labelled)
    injected = f", the injection labels of namespace {labels}" if labels else ""
    return (
        f"A purge removes every Istio of the cluster, its CRDs, and with them {rules}{namespace}{injected}. Set"
        " confirm_purge: true to do that; save_to: FILE saves the traffic objects first."
    )


def saved_form(obj: dict) -> dict:
    """Return a traffic object as it can be applied again."""
    return manifests.comparable(obj)


def save(path: Path, traffic: list[dict], check_mode: bool) -> None:
    """Write the traffic objects to a file that only its owner reads; never over another content."""
    text = "---\n".join(manifests.dump(saved_form(obj)) for obj in traffic)
    if not path.parent.is_dir():
        raise MeshopsError(f"The traffic objects cannot be saved to {path}: there is no folder {path.parent}; make it.")
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return
            raise MeshopsError(f"The file {path} exists and holds something else: give save_to another path.")
        if not check_mode:
            _write(path, text)
    except OSError as error:
        raise MeshopsError(f"The traffic objects cannot be saved to {path}: {error.strerror}.") from error


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def purging(target: Target) -> bool:
    """Tell whether an earlier purge had begun to delete."""
    record = target.kube.get("v1", "ConfigMap", compare.record_name(""), target.namespace)
    return ((record or {}).get("data") or {}).get("state") == compare.PURGING


def carry_out(target: Target, tool: Istioctl, found: Inventory, timeout: int) -> None:
    """Delete in an order that can be taken up again: the namespace, which has the record, goes last."""
    kube = target.kube
    if found.namespace and not found.namespace["metadata"].get("deletionTimestamp"):
        place = {"name": compare.record_name(""), "namespace": target.namespace}
        kube.apply(compare.record(place, compare.PURGING, "", ""))
    labelled = [obj for obj in found.objects if owned.COMPONENT in owned.labels_of(obj)]
    if labelled or found.crds:
        control_plane_remove.uninstall(tool, target, timeout, purge=True)
    control_plane_remove.delete(kube, [*found.objects, *found.crds], timeout)
    for namespace in found.labelled:
        unlabel(kube, namespace["metadata"]["name"])
    if found.namespace:
        control_plane_remove.delete(kube, [found.namespace], timeout)


def unlabel(kube: Kube | AbsentKube, name: str) -> None:
    """Take the labels off a namespace, again when somebody else writes it at the same moment."""
    for left in reversed(range(_TRIES)):
        live = kube.get("v1", "Namespace", name)
        if live is None or not set(LABELS) & set(owned.labels_of(live)):
            return
        try:
            kube.replace(without_labels(live))
            return
        except Conflict:
            if not left:
                raise
