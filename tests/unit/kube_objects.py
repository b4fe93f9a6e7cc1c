# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects that several tests are about."""

from __future__ import annotations


def obj(kind, name, namespace=None, api_version="v1", **rest):
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **rest}


def deployment(name="web", namespace="demo", images=("x/web:1",), **status):
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": containers}}}
    found = obj("Deployment", name, namespace, "apps/v1", spec=spec)
    if status:
        found["metadata"]["generation"] = 3
        found["status"] = status
    return found


UP = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
CRD = obj(
    "CustomResourceDefinition",
    "things.x.io",
    api_version="apiextensions.k8s.io/v1",
    spec={"group": "x.io", "names": {"kind": "Thing"}, "scope": "Namespaced", "versions": [{"name": "v1"}]},
)


def pod(waiting=None, conditions=(), last=None, ended=None):
    state = {"waiting": waiting} if waiting else {"terminated": ended} if ended else {"running": {}}
    container = {"name": "web", "state": state, "ready": not waiting and not ended}
    if last is not None:
        container["lastState"] = {"terminated": {"exitCode": last}}
    return obj("Pod", "p", "demo", status={"containerStatuses": [container], "conditions": list(conditions)})
