"""An object that another tool writes again is known by what that tool leaves on it."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.istio.plugins.module_utils.traffic import owners

ROLLOUT = "argo-rollouts.argoproj.io/managed-by-rollouts"
TRACKING = "argocd.argoproj.io/tracking-id"
KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
HELM = "helm.toolkit.fluxcd.io"
OFF = {f"{KUSTOMIZE}/reconcile": "disabled"}


def owner(kind, name, api_version="v1"):
    return {"ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": name}]}


def fields(*managers, **more):
    return {"managedFields": [{"manager": manager, "operation": "Update", **more} for manager in managers]}


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        # Flagger
        (owner("Canary", "reviews", "flagger.app/v1beta1"), "Flagger (Canary reviews)"),
        ({"labels": {"app.kubernetes.io/managed-by": "flagger"}}, "Flagger"),
        (fields("flagger"), "Flagger"),
        (owner("Canary", "reviews", "other.app/v1"), ""),
        # Argo Rollouts
        (owner("Rollout", "reviews", "argoproj.io/v1alpha1"), "Argo Rollouts (Rollout reviews)"),
        ({"annotations": {ROLLOUT: "reviews"}}, "Argo Rollouts (Rollout reviews)"),
        (fields("rollouts-controller"), "Argo Rollouts"),
        # Argo CD
        (
            {"annotations": {TRACKING: "shop:networking.istio.io/VirtualService:bookinfo/reviews"}},
            "Argo CD (application shop)",
        ),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD (application shop)"),
        (fields("argocd-application-controller"), "Argo CD"),
        (fields("argocd-controller"), "Argo CD"),
        # Flux
        ({"labels": {f"{KUSTOMIZE}/name": "apps", f"{KUSTOMIZE}/namespace": "flux-system"}}, "Flux (kustomize apps)"),
        ({"labels": {f"{HELM}/name": "shop"}}, "Flux (helm shop)"),
        (fields("kustomize-controller"), "Flux"),
        (fields("helm-controller"), "Flux"),
        # Flux that was told to leave it alone
        ({"labels": {f"{KUSTOMIZE}/name": "apps"}, "annotations": OFF}, ""),
        ({**fields("kustomize-controller"), "annotations": OFF}, ""),
        ({"labels": {f"{KUSTOMIZE}/name": "apps"}, "annotations": {f"{KUSTOMIZE}/reconcile": "enabled"}}, "Flux (kus"),
        ({**fields("kustomize-controller", "flagger"), "annotations": OFF}, "Flagger"),
        # none
        ({}, ""),
        (fields("kubectl-client-side-apply", "meshops.istio", "helm", "pilot-discovery"), ""),
        (fields("flagger", subresource="status"), ""),
        ({"labels": {"app.kubernetes.io/managed-by": "meshops.istio"}}, ""),
        (owner("Deployment", "reviews", "apps/v1"), ""),
        # odd ones
        ({"labels": None, "annotations": None, "ownerReferences": None, "managedFields": None}, ""),
        ({"labels": [], "ownerReferences": {}, "managedFields": [None, "x", {"manager": None}]}, ""),
        ({"ownerReferences": [None, {}, {"apiVersion": 5, "kind": "Canary"}]}, ""),
    ],
)
def test_who_manages_an_object(metadata, tool):
    found = owners.manager_of({"kind": "VirtualService", "metadata": {"name": "reviews", **metadata}})
    assert found.startswith(tool) if tool else found == ""


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": []}])
def test_an_object_without_metadata_is_of_nobody(obj):
    assert owners.manager_of(obj) == ""
