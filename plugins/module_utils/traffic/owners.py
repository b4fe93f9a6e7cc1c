# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which other tool manages an object, by the traces that it leaves on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.traffic import model

_FLUX = ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io")
_FLUX_OFF = "kustomize.toolkit.fluxcd.io/reconcile"
# field managers (the name or its start) of controllers that write the whole object again
_MANAGERS = {
    "flagger": "Flagger",
    "rollouts-controller": "Argo Rollouts",
    "argocd-": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def manager_of(obj: Mapping[str, Any]) -> str:
    """Return the tool that manages the object, with the name of its own object where that is known; "" for none."""
    metadata = model.dict_of(obj.get("metadata"))
    flux_is_off = model.dict_of(metadata.get("annotations")).get(_FLUX_OFF) == "disabled"
    return (
        _by_owner(metadata)
        or _by_annotations(metadata)
        or _by_labels(metadata, flux_is_off)
        or _by_fields(metadata, flux_is_off)
    )


def _by_owner(metadata: Mapping[str, Any]) -> str:
    for owner in map(model.dict_of, model.list_of(metadata.get("ownerReferences"))):
        group = str(owner.get("apiVersion") or "").split("/", maxsplit=1)[0]
        if (group, owner.get("kind")) == ("flagger.app", "Canary"):
            return f"Flagger (Canary {owner.get('name')})"
        if (group, owner.get("kind")) == ("argoproj.io", "Rollout"):
            return f"Argo Rollouts (Rollout {owner.get('name')})"
    return ""


def _by_annotations(metadata: Mapping[str, Any]) -> str:
    annotations = model.dict_of(metadata.get("annotations"))
    if annotations.get("argo-rollouts.argoproj.io/managed-by-rollouts"):
        return f"Argo Rollouts (Rollout {annotations['argo-rollouts.argoproj.io/managed-by-rollouts']})"
    if annotations.get("argocd.argoproj.io/tracking-id"):
        return f"Argo CD (application {str(annotations['argocd.argoproj.io/tracking-id']).split(':', maxsplit=1)[0]})"
    return ""


def _by_labels(metadata: Mapping[str, Any], flux_is_off: bool) -> str:
    labels = model.dict_of(metadata.get("labels"))
    if labels.get("argocd.argoproj.io/instance"):
        return f"Argo CD (application {labels['argocd.argoproj.io/instance']})"
    for prefix in _FLUX:
        if labels.get(f"{prefix}/name") and not flux_is_off:
            return f"Flux ({prefix.split('.', maxsplit=1)[0]} {labels[f'{prefix}/name']})"
    if labels.get(model.MANAGED_BY) == "flagger":
        return "Flagger"
    return ""


def _by_fields(metadata: Mapping[str, Any], flux_is_off: bool) -> str:
    for entry in map(model.dict_of, model.list_of(metadata.get("managedFields"))):
        if entry.get("subresource"):
            continue
        name = str(entry.get("manager") or "")
        for start, tool in _MANAGERS.items():
            if name.startswith(start) and not (tool == "Flux" and flux_is_off):
                return tool
    return ""
