# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which live objects the installer counts as its own, and would delete. Reads only.

The labels and kinds are those of istio/istio operator/pkg/install/install.go and operator/pkg/uninstall/prune.go, the
same from 1.24 to 1.32.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import manifests
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_compare import suffixed
from ansible_collections.meshops.istio.plugins.module_utils.kube import AbsentKube, Kube

COMPONENT = "operator.istio.io/component"
VERSION = "operator.istio.io/version"
MANAGED = "operator.istio.io/managed"
REVISION = "istio.io/rev"
TAG = "istio.io/tag"
OWNER = "install.operator.istio.io/owning-resource"
OWNER_NAMESPACE = "install.operator.istio.io/owning-resource-namespace"
KEPT = "install.operator.istio.io/owning-resource-not-pruned"
CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
MUTATING = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
VALIDATING = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")

PRUNED = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    MUTATING,
    VALIDATING,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
)
# what the charts have beside these, and the uninstaller forgets
FORGOTTEN = (
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ResourceQuota"),
    ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
)
FORGOTTEN_BY_PURGE = (
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
)
# a revision's own; Base (CRDs, the reader's account) is everybody's
OF_REVISION = f"{COMPONENT} in (Pilot,IngressGateways,EgressGateways,Cni,Ztunnel)"


class Target(NamedTuple):
    """What is installed where: cluster, namespace, revision ("" unnamed), istioctl's version, the document's name."""

    kube: Kube | AbsentKube
    namespace: str
    revision: str
    version: str
    name: str = ""


class Leftovers(NamedTuple):
    """Objects of this control plane that are no longer rendered: those that istioctl deletes, and those that stay."""

    pruned: list[dict]
    stale: list[dict]


def istiod_of(target: Target) -> dict | None:
    """Return the live Deployment of this revision's istiod."""
    return target.kube.get("apps/v1", "Deployment", suffixed("istiod", target.revision), target.namespace)


def labels_of(obj: dict) -> dict[str, str]:
    """Return the labels of an object, {} when it has none."""
    return obj["metadata"].get("labels") or {}


def listed(kube: Kube | AbsentKube, kinds: tuple[tuple[str, str], ...], selector: str) -> list[dict]:
    """Return the objects of these kinds with these labels, of all namespaces, without those that are ending."""
    return [
        obj
        for api_version, kind in kinds
        for obj in kube.list(api_version, kind, None, selector)
        if not obj["metadata"].get("deletionTimestamp")
    ]


def leftovers(target: Target, rendered: list[dict]) -> Leftovers:
    """Return what an installation of `rendered` leaves over. Of another version: that stays, istioctl prunes its own.

    A target without a name takes those of named ones of the same revision for its own, as istioctl does.
    """
    labels = {
        MANAGED: "Reconcile",
        OWNER_NAMESPACE: target.namespace,
        REVISION: target.revision or "default",
        **({OWNER: target.name} if target.name else {}),
    }
    selector = ",".join([*(f"{key}={value}" for key, value in labels.items()), COMPONENT])
    wanted = {_place(obj) for obj in rendered}
    found = [
        obj
        for obj in listed(target.kube, PRUNED, selector)
        if _place(obj) not in wanted and labels_of(obj).get(KEPT) != "true"
    ]
    return Leftovers(
        [obj for obj in found if labels_of(obj).get(VERSION) == target.version],
        [obj for obj in found if labels_of(obj).get(VERSION) != target.version],
    )


def _place(obj: dict) -> tuple[str, str, str]:
    name = manifests.identity(obj)
    return name.kind, name.namespace, name.name


def of_revision(kube: Kube | AbsentKube, namespace: str, revision: str) -> list[dict]:
    """Return the objects that go with a revision ("" is the unnamed one), however many installations made them."""
    selector = f"{REVISION}={revision or 'default'},{OWNER_NAMESPACE}={namespace},{OF_REVISION}"
    return listed(kube, PRUNED + FORGOTTEN, selector)


def tags_of(kube: Kube | AbsentKube, revision: str) -> list[dict]:
    """Return the webhook configurations of the revision tags that point at a revision."""
    return listed(kube, (MUTATING,), f"{REVISION}={revision or 'default'},{TAG}")


def names(objects: list[dict], limit: int = 5) -> str:
    """Return `Deployment istio-system/a, Service istio-system/a and 3 more`."""
    told = ", ".join(manifests.describe(obj) for obj in objects[:limit])
    return told + (f" and {len(objects) - limit} more" if len(objects) > limit else "")
