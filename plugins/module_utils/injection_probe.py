# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: ask the injection webhooks by pods that are created as a dry run only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import injectors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Injector, Sidecar
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden, Kube, NotFound, WebhookUnavailable

ANSWER_SECONDS = 5.0  # how long a webhook that does not answer is asked again within one question
_AGAIN_SECONDS = 0.25
_PLACES = 5


class Answer(NamedTuple):
    """What the webhooks made of a pod; `problem` says why that cannot be told, `down` that one does not answer."""

    sidecar: Sidecar | None
    problem: str = ""
    down: bool = False


def probe_pod(namespace: str, labels: Mapping[str, str]) -> dict:
    """Return a pod that even the restricted pod security standard takes."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "meshops-injection-probe", "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "probe",
                    "image": "registry.k8s.io/pause:3.10",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def ask(kube: Kube, pod: dict) -> Answer:
    """Return what the webhooks make of the pod; nothing is created."""
    try:
        return Answer(injectors.sidecar(kube.create(pod, dry_run=True)))
    except WebhookUnavailable as error:
        return Answer(None, str(error), down=True)
    except NotFound as error:
        return Answer(None, str(error))
    except Forbidden as error:
        if "istio-" in str(error):  # pod security refuses the pod because of what was injected
            return Answer(Sidecar("", ""), str(error))
        return Answer(None, str(error))


def free_namespaces(kube: Kube, system: str) -> list[str]:
    """Return namespaces whose labels say nothing of injection, so that a pod's own label decides; the best first."""
    names = []
    for item in kube.list("v1", "Namespace"):
        meta = item["metadata"]
        said = {injectors.INJECTION, injectors.REVISION} & set(meta.get("labels") or {})
        if not said and meta["name"] not in injectors.IGNORED_NAMESPACES and not meta.get("deletionTimestamp"):
            names.append(meta["name"])
    return sorted(names, key=lambda name: (name != system, name != "default", name))[:_PLACES]


def system_namespace(injector: Injector) -> str:
    """Return the namespace of the control plane behind a webhook."""
    return (injector.hooks[0]["clientConfig"].get("service") or {}).get("namespace") or "istio-system"


def injected_by(kube: Kube, injector: Injector) -> Answer:
    """Return the proxy that this webhook puts into a pod that asks for it by the label istio.io/rev."""
    answer = Answer(None, "every namespace has a label that decides on injection")
    for namespace in free_namespaces(kube, system_namespace(injector)):
        answer = ask(kube, probe_pod(namespace, {injectors.REVISION: injector.label}))
        if answer.sidecar or answer.down or not answer.problem:
            break
    return answer


def prove(kube: Kube, namespace: str, labels: Mapping[str, str], revision: str | None, deadline: float) -> str:
    """Wait until pods with the labels get the sidecar of the revision, or none; return why that cannot be proved.

    Raises MeshopsError with what they get instead when the deadline comes first.
    """
    wanted = f"the sidecar of revision {revision}" if revision else "no sidecar"
    while True:
        answer = ask(kube, probe_pod(namespace, labels))
        if answer.sidecar:
            if revision and (answer.sidecar.revision == revision or answer.problem):
                return ""
        elif answer.problem and not answer.down:
            return answer.problem
        elif not answer.problem and revision is None:
            return ""
        if time.monotonic() >= deadline:
            seen = answer.problem or f"they get {answer.sidecar or 'none'}"
            raise MeshopsError(
                f"New pods in namespace {namespace} should get {wanted}, but: {seen}."
                " See whether istiod runs and its webhooks are as they should be."
            )
        time.sleep(_AGAIN_SECONDS)  # the API server takes a moment to see new webhooks and labels; no watch shows it
