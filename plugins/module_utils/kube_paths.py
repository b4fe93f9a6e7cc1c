# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from apiVersion and kind to the URL paths of the Kubernetes API. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote


class Resource(NamedTuple):
    """One served resource: its group-version, its name in URLs and whether it lives in namespaces."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool


# Kinds that every supported API server has; all others are found by discovery of their group-version.
_NAMESPACED = {
    "v1": [
        ("ConfigMap", "configmaps"),
        ("Endpoints", "endpoints"),
        ("Event", "events"),
        ("PersistentVolumeClaim", "persistentvolumeclaims"),
        ("Pod", "pods"),
        ("ResourceQuota", "resourcequotas"),
        ("Secret", "secrets"),
        ("Service", "services"),
        ("ServiceAccount", "serviceaccounts"),
    ],
    "apps/v1": [
        ("ControllerRevision", "controllerrevisions"),
        ("DaemonSet", "daemonsets"),
        ("Deployment", "deployments"),
        ("ReplicaSet", "replicasets"),
        ("StatefulSet", "statefulsets"),
    ],
    "autoscaling/v2": [("HorizontalPodAutoscaler", "horizontalpodautoscalers")],
    "batch/v1": [("CronJob", "cronjobs"), ("Job", "jobs")],
    "coordination.k8s.io/v1": [("Lease", "leases")],
    "discovery.k8s.io/v1": [("EndpointSlice", "endpointslices")],
    "networking.k8s.io/v1": [("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies")],
    "policy/v1": [("PodDisruptionBudget", "poddisruptionbudgets")],
    "rbac.authorization.k8s.io/v1": [("Role", "roles"), ("RoleBinding", "rolebindings")],
}
_CLUSTER_WIDE = {
    "v1": [("Namespace", "namespaces"), ("Node", "nodes"), ("PersistentVolume", "persistentvolumes")],
    "admissionregistration.k8s.io/v1": [
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ],
    "apiextensions.k8s.io/v1": [("CustomResourceDefinition", "customresourcedefinitions")],
    "rbac.authorization.k8s.io/v1": [("ClusterRole", "clusterroles"), ("ClusterRoleBinding", "clusterrolebindings")],
    "scheduling.k8s.io/v1": [("PriorityClass", "priorityclasses")],
    "storage.k8s.io/v1": [("StorageClass", "storageclasses")],
}

CORE: dict[tuple[str, str], Resource] = {
    (api_version, kind): Resource(api_version, kind, plural, namespaced)
    for table, namespaced in ((_NAMESPACED, True), (_CLUSTER_WIDE, False))
    for api_version, kinds in table.items()
    for kind, plural in kinds
}

# Kinds of Istio and of the Gateway API, whose paths need no discovery; whether they are there, the answer tells.
KNOWN: dict[tuple[str, str], Resource] = {
    **CORE,
    **{
        (api_version, kind): Resource(api_version, kind, plural, True)
        for api_version, kinds in (
            (
                "networking.istio.io/v1",
                [
                    ("DestinationRule", "destinationrules"),
                    ("Gateway", "gateways"),
                    ("VirtualService", "virtualservices"),
                ],
            ),
            ("gateway.networking.k8s.io/v1", [("GRPCRoute", "grpcroutes"), ("HTTPRoute", "httproutes")]),
        )
        for kind, plural in kinds
    },
}


def group_path(api_version: str) -> str:
    """Return `/api/v1` for the core group, `/apis/GROUP/VERSION` for all others."""
    if "/" not in api_version:
        return f"/api/{quote(api_version, safe='')}"
    group, version = api_version.split("/", 1)
    return f"/apis/{quote(group, safe='')}/{quote(version, safe='')}"


def collection_path(resource: Resource, namespace: str | None) -> str:
    """Return the path that lists or creates; a namespace is used only where the kind has namespaces."""
    base = group_path(resource.api_version)
    if resource.namespaced and namespace:
        return f"{base}/namespaces/{quote(namespace, safe='')}/{resource.plural}"
    return f"{base}/{resource.plural}"


def object_path(resource: Resource, name: str, namespace: str | None) -> str:
    """Return the path of one object; a namespaced object without a namespace is in `default`."""
    namespace = (namespace or "default") if resource.namespaced else None
    return f"{collection_path(resource, namespace)}/{quote(name, safe='')}"


def describe(kind: str, name: str | None = None, namespace: str | None = None) -> str:
    """Return `Deployment istio-system/istiod`, `Namespace demo` or `all Pods in demo`, as error sentences say it."""
    if name is None:
        return f"{kind} objects" + (f" in {namespace}" if namespace else "")
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
