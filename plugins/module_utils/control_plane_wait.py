# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an installed control plane works: rollouts, injection, connected proxies."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import (
    apply,
    injectors,
    manifests,
    proxy_status,
    rollout,
)
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_compare as compare
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_owned as owned
from ansible_collections.meshops.istio.plugins.module_utils.control_plane_owned import Target, istiod_of
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import (
    AbsentKube,
    Forbidden,
    Kube,
    WebhookUnavailable,
)
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError

_STRAGGLER_SECONDS = 30.0  # how long sidecars may take to find a restarted istiod before they are told of
_PAUSE = 0.5  # the API server's view of new webhooks and istiod's view of proxies cannot be watched
_TOLD = 10


def workloads(rendered: list[dict]) -> list[dict]:
    """Return the Deployments, DaemonSets and StatefulSets among the objects."""
    return [obj for obj in rendered if obj["kind"] in rollout.WORKLOADS]


def not_ready(kube: Kube | AbsentKube, rendered: list[dict]) -> str:
    """Return why the first workload that is there and not rolled out is so, "" when all are."""
    for obj in workloads(rendered):
        live = _live(kube, obj)
        if live is not obj and not rollout.ready(live):
            return f"{manifests.describe(live)}: {rollout.explain(kube, live)}"
    return ""


def _live(kube: Kube | AbsentKube, obj: dict) -> dict:
    name = manifests.identity(obj)
    return kube.get(name.api_version, name.kind, name.name, name.namespace or None) or obj


def verify(target: Target, rendered: list[dict], deadline: float, timeout: int) -> list[str]:
    """Wait until all of it works; return what is not right without being a failure, MeshopsError for all else."""
    apply.wait_ready(target.kube, [_live(target.kube, obj) for obj in workloads(rendered)], deadline, timeout)
    verify_injection(target, rendered, deadline)
    return verify_proxies(target, rendered, deadline, timeout)


def verify_injection(target: Target, rendered: list[dict], deadline: float) -> None:
    """Prove by a dry-run Pod that the webhook injects; does nothing when no istiod was installed."""
    if not any(obj["kind"] == owned.MUTATING[1] for obj in rendered):
        return
    pod = compare.probe_pod(probe_namespace(target), target.revision)
    problem = ""
    while True:
        try:
            if compare.injected(target.kube.create(pod, dry_run=True)):
                return
            problem = "no istio-proxy container was added"
        except Forbidden as error:
            if "istio-" in str(error):  # pod security refuses the pod because of what was injected
                return
            problem = str(error)
        except WebhookUnavailable as error:
            problem = str(error)
        if time.monotonic() >= deadline:
            raise MeshopsError(
                f"Istio {target.version} is installed, but sidecars are not injected in namespace"
                f" {pod['metadata']['namespace']}: {problem}"
            )
        time.sleep(_PAUSE)


def probe_namespace(target: Target) -> str:
    """Return a namespace whose labels neither ask for injection nor forbid it."""
    for name in (target.namespace, "default"):
        namespace = target.kube.get("v1", "Namespace", name)
        labels = owned.labels_of(namespace) if namespace else {}
        if "istio-injection" not in labels and owned.REVISION not in labels:
            return name
    return target.namespace


def verify_proxies(target: Target, rendered: list[dict], deadline: float, timeout: int) -> list[str]:
    """Wait until every gateway of this installation is connected to istiod; return warnings about other proxies."""
    if not istiod_of(target):
        return []
    patience = min(deadline, time.monotonic() + _STRAGGLER_SECONDS)
    while True:
        try:
            connected = versions_of(proxy_status.read(target.kube, 0.0), target.revision)
        except KubeError as error:  # an istiod that has just ended is not listed next time
            if isinstance(error, Forbidden) or time.monotonic() >= patience:
                return [f"Whether the proxies are connected is not known: {error}"]
            time.sleep(_PAUSE)
            continue
        missing = _missing(gateway_pods(target, rendered), connected)
        late = sorted(set(_missing(sidecar_pods(target), connected)) - set(missing))
        now = time.monotonic()
        if not missing and (not late or now >= patience):
            return [*not_connected(late), *other_versions(connected, target.version)]
        if now >= deadline:
            raise MeshopsError(
                f"Istio {target.version} is installed, but after {timeout} s istiod does not know the gateway"
                f" {_shortened(missing)}; see the log of its container istio-proxy."
            )
        time.sleep(_PAUSE)


def versions_of(proxies: Mapping[str, Mapping[str, Any]], revision: str) -> dict[str, str]:
    """Return the version of each proxy of a revision, by `namespace/pod`."""
    return {label: row["version"] for label, row in proxies.items() if row["revision"] == (revision or "default")}


def _runs(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def gateway_pods(target: Target, rendered: list[dict]) -> list[dict]:
    """Return the running pods of the gateways among the rendered objects."""
    found = []
    for obj in rendered:
        template = obj["spec"]["template"]["spec"] if obj["kind"] == "Deployment" else {}
        if any(container.get("name") == "istio-proxy" for container in template.get("containers") or []):
            labels = obj["spec"]["selector"]["matchLabels"]
            selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
            found += [
                pod for pod in target.kube.list("v1", "Pod", obj["metadata"]["namespace"], selector) if _runs(pod)
            ]
    return found


def sidecar_pods(target: Target) -> list[dict]:
    """Return the running pods that this revision has injected, in all namespaces."""
    found = []
    for pod in target.kube.list("v1", "Pod", None, "service.istio.io/canonical-name"):
        sidecar = injectors.sidecar(pod)
        if sidecar and sidecar.revision == (target.revision or "default") and _runs(pod):
            found.append(pod)
    return found


def _missing(pods: list[dict], connected: Mapping[str, str]) -> list[str]:
    labels = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods]
    return sorted(label for label in labels if label not in connected)


def not_connected(late: list[str]) -> list[str]:
    """Return the warning about pods with a sidecar that istiod does not know, if any."""
    if not late:
        return []
    return [f"{len(late)} injected pods are not connected to istiod: {_shortened(late)}."]


def other_versions(connected: Mapping[str, str], version: str) -> list[str]:
    """Return the warning about proxies of another version than the control plane's, if any."""
    other = [f"{label} ({found})" for label, found in sorted(connected.items()) if found and found != version]
    if not other:
        return []
    return [
        f"{len(other)} proxies are of another version than the control plane's {version} until their workloads are"
        f" restarted: {_shortened(other)}."
    ]


def _shortened(items: list[str]) -> str:
    more = f" and {len(items) - _TOLD} more" if len(items) > _TOLD else ""
    return ", ".join(items[:_TOLD]) + more
