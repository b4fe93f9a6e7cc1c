# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: control planes, revision tags and injection, from objects of the cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare, injectors, rollout
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Injector
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model

UNNAMED = injectors.DEFAULT  # what Istio's own labels call the revision without a name
ON, OFF, UNSET = "enabled", "disabled", "unset"


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of an object, {} without any."""
    return model.dict_of(model.dict_of(obj.get("metadata")).get("labels"))


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the annotations of an object, {} without any."""
    return model.dict_of(model.dict_of(obj.get("metadata")).get("annotations"))


def revision_of(obj: Mapping[str, Any]) -> str:
    """Return the revision that an object of a control plane belongs to."""
    return labels_of(obj).get(injectors.REVISION) or UNNAMED


def is_control_plane(deployment: Mapping[str, Any]) -> bool:
    """Tell whether a Deployment is an istiod, by whatever installer."""
    return labels_of(deployment).get("app") == "istiod"


def control_planes(deployments: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return revision, name, namespace, version (None when it is not known) and readiness of each istiod."""
    found = []
    for obj in filter(is_control_plane, deployments):
        version = control_plane_compare.installed_version(obj)
        found.append(
            {
                "revision": revision_of(obj),
                "name": model.name_of(obj),
                "namespace": model.namespace_of(obj),
                "version": injectors.image_version(f":{version}") if version else None,
                "ready": rollout.ready(obj),
            }
        )
    return sorted(found, key=lambda plane: (plane["revision"], plane["namespace"]))


def tags(
    found: Iterable[Injector], services: Iterable[Mapping[str, Any]], namespaces: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return tag, revision and the namespaces that name the tag; since Istio 1.28 a tag can be a Service as well."""
    namespaces = list(namespaces)
    pairs = set(injectors.tags(found).items())
    pairs |= {
        (labels_of(obj)[injectors.TAG], revision_of(obj)) for obj in services if labels_of(obj).get(injectors.TAG)
    }
    return [
        {
            "tag": tag,
            "revision": revision,
            "namespaces": sorted(model.name_of(obj) for obj in namespaces if asked(labels_of(obj)) == tag),
        }
        for tag, revision in sorted(pairs)
    ]


def asked(labels: Mapping[str, str]) -> str:
    """Return the tag or revision that a namespace's labels ask injection from, "" for none.

    istio-injection wins over istio.io/rev, and means the tag `default`.
    """
    switch = labels.get(injectors.INJECTION)
    if switch:
        return UNNAMED if switch == ON else ""
    return labels.get(injectors.REVISION) or ""


def injection(namespace: Mapping[str, Any], found: Iterable[Injector]) -> dict[str, Any]:
    """Return who injects pods of a namespace by default (revision None: nobody), and whether it is ambient."""
    labels, name = labels_of(namespace), model.name_of(namespace)
    served = None if name in injectors.IGNORED_NAMESPACES else injectors.serving(found, labels)
    return {
        "name": name,
        "injection": ON if served else OFF if labels.get(injectors.INJECTION) else UNSET,
        "asked": asked(labels),
        "revision": served.revision if served else None,
        "tag": served.tag if served else "",
        "ambient": labels.get(injectors.DATAPLANE) == "ambient",
    }


def is_running(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod has not ended and is not about to."""
    phase = model.dict_of(pod.get("status")).get("phase")
    return phase not in ("Succeeded", "Failed") and not model.dict_of(pod.get("metadata")).get("deletionTimestamp")


def proxy_counts(
    pods: Iterable[Mapping[str, Any]], namespaces: Iterable[Mapping[str, Any]], found: Iterable[Injector]
) -> dict[str, dict[str, int]]:
    """Return for each namespace how many running pods have a proxy, and how many would get one if made anew."""
    labels, found = {model.name_of(obj): labels_of(obj) for obj in namespaces}, list(found)
    counted: dict[str, dict[str, int]] = {}
    for pod in filter(is_running, pods):
        name = model.namespace_of(pod)
        row = counted.setdefault(name, {"with_proxy": 0, "without_proxy": 0})
        if injectors.proxy_container(pod):
            row["with_proxy"] += 1
        elif injectors.injector_of(found, name, labels.get(name, {}), pod):
            row["without_proxy"] += 1
    return counted
