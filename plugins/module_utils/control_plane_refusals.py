# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: why a control plane is not installed, said before anything is changed. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_owned as owned
from ansible_collections.meshops.istio.plugins.module_utils import manifests, support
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_owned import Target, istiod_of
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl import step_problem, version_problem
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import owners

_HELM = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")
_MANAGED_BY = "app.kubernetes.io/managed-by"


class Right(NamedTuple):
    """Something that the kubeconfig's user has to be allowed; namespace "" is the whole cluster."""

    verb: str
    api_version: str
    kind: str
    namespace: str


def versions(target: Target) -> None:
    """Raise MeshopsError for versions that do not go together."""
    problem = version_problem(target.version)
    if not problem and not target.kube.absent:
        problem = support.problem(target.version, target.kube.version())
    if not problem:
        problem = step_problem(compare.installed_version(istiod_of(target)), target.version)
    if problem:
        raise MeshopsError(problem)


def second_default(target: Target, rendered: list[dict]) -> None:
    """Raise MeshopsError when this would become a second control plane without a revision, or take the default over."""
    if target.revision or istiod_of(target) or not _injects(rendered):
        return
    for hook in owned.listed(target.kube, (owned.MUTATING,), f"app=sidecar-injector,{owned.REVISION}"):
        labels = owned.labels_of(hook)
        revision, elsewhere = labels[owned.REVISION], namespaces_of(hook) - {target.namespace}
        if revision == "default" and elsewhere:
            raise MeshopsError(
                f"Namespace {min(elsewhere)} has a control plane without a revision already, and a second one in"
                f" {target.namespace} would inject the same pods: give this one a revision, or install it there."
            )
        if revision != "default" and labels.get(owned.TAG) == "default":
            raise MeshopsError(
                f"Revision {revision} is the default one (the revision tag default points at it), and a control plane"
                " without a revision would take its place: give this one a revision, or remove the tag first (module"
                " istio_revision_tag)."
            )


def _injects(rendered: list[dict]) -> bool:
    return any(obj["kind"] == owned.MUTATING[1] for obj in rendered)


def namespaces_of(webhook: dict) -> set[str]:
    """Return the namespaces of the services that a webhook configuration calls."""
    services = [(hook.get("clientConfig") or {}).get("service") for hook in webhook.get("webhooks") or []]
    return {service["namespace"] for service in services if service and service.get("namespace")}


def foreign(live: Iterable[dict | None]) -> None:
    """Raise MeshopsError when some of the live objects that would be overwritten are another tool's."""
    theirs: dict[str, list[dict]] = {}
    for obj in live:
        tool = tool_of(obj) if obj else ""
        if obj and tool:
            theirs.setdefault(tool, []).append(obj)
    if not theirs:
        return
    tool, objects = sorted(theirs.items(), key=lambda item: -len(item[1]))[0]
    keep = f"go on with {tool}"
    if tool.startswith("Helm"):
        marks = " ".join(f"{key}-" for key in _HELM)
        adopt = (
            f"to adopt them, run for each of them: kubectl annotate OBJECT {marks} and kubectl label OBJECT"
            f" {_MANAGED_BY}- (then Helm no longer knows them; delete the Secrets sh.helm.release.v1.* of its releases)"
        )
    else:
        adopt = f"to adopt them, take them out of {tool} without deleting them"
    raise MeshopsError(f"{owned.names(objects, 3)} belong to {tool}: {keep}, or {adopt}.")


def tool_of(obj: dict) -> str:
    """Return the tool that an object of Istio's belongs to, "" for istioctl and nobody.

    The charts give app.kubernetes.io/managed-by: Helm to what istioctl makes as well; that has labels of its own.
    """
    release = (obj["metadata"].get("annotations") or {}).get(_HELM[0])
    if release:
        return f"Helm (release {release})"
    labels = owned.labels_of(obj)
    if labels.get(_MANAGED_BY) == "Helm" and not {owned.MANAGED, owned.TAG} & set(labels):
        return "Helm"
    return owners.manager_of(obj)


def other_installation(target: Target, pruned: list[dict]) -> None:
    """Raise MeshopsError when istioctl would delete what another installation of the same revision has made."""
    others: dict[str, list[dict]] = {}
    for obj in pruned:
        owner = owned.labels_of(obj).get(owned.OWNER, "unknown")
        if owner not in ("unknown", target.name):
            others.setdefault(owner, []).append(obj)
    for owner, objects in sorted(others.items()):
        raise MeshopsError(
            f"istioctl would delete {owned.names(objects)}, which the installation {owner} of the same revision has"
            " made: give this one a metadata.name too (in a file of the option files), or install both as one."
        )


def rights(kube: Kube | AbsentKube, needed: Iterable[Right]) -> None:
    """Raise MeshopsError with the verbs and resources that the kubeconfig's user is not allowed."""
    missing = [right for right in sorted(set(needed)) if not _allowed(kube, right)]
    if missing:
        told = ", ".join(_told(kube, right) for right in missing[:8])
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        raise MeshopsError(
            f"The user of the kubeconfig may not {told}{more}: grant it by a ClusterRole, or use another kubeconfig."
        )


def _allowed(kube: Kube | AbsentKube, right: Right) -> bool:
    resource = kube.resource(right.api_version, right.kind)
    if resource is None:  # a kind that comes with the installation
        return True
    group = right.api_version.rpartition("/")[0]
    attributes: dict[str, Any] = {"verb": right.verb, "group": group, "resource": resource.plural}
    if resource.namespaced and right.namespace:
        attributes["namespace"] = right.namespace
    answer = kube.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": attributes},
        }
    )
    return (answer.get("status") or {}).get("allowed", True)


def _told(kube: Kube | AbsentKube, right: Right) -> str:
    resource = kube.resource(right.api_version, right.kind)
    group = right.api_version.rpartition("/")[0]
    plural = resource.plural if resource else right.kind
    where = f" in namespace {right.namespace}" if right.namespace else ""
    return f"{right.verb} {plural}{f'.{group}' if group else ''}{where}"


def rights_for(outcomes: Iterable[Any]) -> list[Right]:
    """Return the rights that making these outcomes true takes."""
    verbs = {"created": ("create", "patch"), "changed": ("patch",), "deleted": ("delete",)}
    found = []
    for outcome in outcomes:
        name = manifests.identity(outcome.wanted)
        found += [Right(verb, name.api_version, name.kind, name.namespace) for verb in verbs.get(outcome.result, ())]
    return found
