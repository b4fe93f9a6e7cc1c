# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: is the live control plane the rendered one, and what is remembered of it. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

INSTALLING = "installing"
INSTALLED = "installed"
PURGING = "purging"
RECORD_LABELS = {"app.kubernetes.io/managed-by": "meshops.istio"}
DEFAULT_TAG_WEBHOOK = "istio-revision-tag-default"
_DEACTIVATED = ("istio.io/deactivated", "never-match")
_SELECTORS = ("namespaceSelector", "objectSelector")


def suffixed(name: str, revision: str) -> str:
    """Return `istiod-1-31` for the revision 1-31, `istiod` for the unnamed one."""
    return f"{name}-{revision}" if revision else name


def installed_version(istiod: Mapping[str, Any] | None) -> str | None:
    """Return the version of a live istiod Deployment: the installer's label, else its image's tag."""
    if not istiod:
        return None
    label = (istiod["metadata"].get("labels") or {}).get("operator.istio.io/version")
    if label:
        return label
    for container in istiod["spec"]["template"]["spec"]["containers"]:
        if container["name"] == "discovery":
            tag = container["image"].split("@")[0].rpartition("/")[2].partition(":")[2]
            return tag or None
    return None


def scaled(objects: list[dict]) -> set[tuple[str, str, str]]:
    """Return kind, namespace and name of what a HorizontalPodAutoscaler among the objects scales."""
    return {
        (target["kind"], obj["metadata"].get("namespace", ""), target["name"])
        for obj in objects
        if obj["kind"] == "HorizontalPodAutoscaler"
        for target in [obj["spec"]["scaleTargetRef"]]
    }


def contains(live: Any, wanted: Any) -> bool:
    """Tell whether applying `wanted` to `live` would change nothing, as far as that can be seen without the server.

    Dicts may have more in live; lists have to be equal. False means: ask the server.
    """
    if isinstance(live, dict) and isinstance(wanted, dict):
        return all(value is None or (key in live and contains(live[key], value)) for key, value in wanted.items())
    return live == wanted


def keep_foreign(live: dict, after: dict, autoscaled: bool = False) -> dict:
    """Return `after` with the fields that Istio's own controllers set later taken from `live`.

    These are, all measured on live installations: the certificate bundles of webhooks (istiod), the failurePolicy that
    istiod raises to Fail once it serves, the selectors of an injector that the installer has switched off because the
    default tag's webhook serves in its place, and the replicas of what an autoscaler scales.
    """
    result = copy.deepcopy(after)
    if live["kind"] in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        there = {hook["name"]: hook for hook in live.get("webhooks") or []}
        for hook in result.get("webhooks") or []:
            if hook["name"] in there:
                _keep_webhook(there[hook["name"]], hook, live["kind"])
    elif live["kind"] == "Deployment" and autoscaled and "replicas" in live["spec"]:
        result["spec"]["replicas"] = live["spec"]["replicas"]
    return result


def _keep_webhook(live: dict, hook: dict, kind: str) -> None:
    if live.get("clientConfig", {}).get("caBundle"):
        hook.setdefault("clientConfig", {})["caBundle"] = live["clientConfig"]["caBundle"]
    if kind == "ValidatingWebhookConfiguration":
        if live.get("failurePolicy") == "Fail":
            hook["failurePolicy"] = "Fail"
    elif _hook_deactivated(live):
        for selector in _SELECTORS:
            hook.pop(selector, None)
            if selector in live:
                hook[selector] = copy.deepcopy(live[selector])


def _hook_deactivated(hook: Mapping[str, Any]) -> bool:
    key, value = _DEACTIVATED
    return any(((hook.get(selector) or {}).get("matchLabels") or {}).get(key) == value for selector in _SELECTORS)


def deactivated(injector: Mapping[str, Any] | None) -> bool:
    """Tell whether the injector's webhook configuration is switched off."""
    return any(_hook_deactivated(hook) for hook in (injector or {}).get("webhooks") or [])


def record_name(revision: str, name: str = "") -> str:
    """Return the name of the record of an installation; `name` is its IstioOperator's own, "" for none."""
    return suffixed("meshops-istio", revision) + (f".{name}" if name else "")


def record(place: Mapping[str, str], state: str, digest: str, version: str) -> dict:
    """Return the ConfigMap that remembers what was installed: a dropped setting leaves no other trace.

    place: name and namespace of it.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**place, "labels": RECORD_LABELS},
        "data": {"state": state, "rendering": f"sha256:{digest}", "istioctl": version},
    }


def record_problem(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> str | None:
    """Return why the record asks for an installation, None when it does not (or there is none)."""
    data = (live or {}).get("data") or {}
    if not data:
        return None
    if data.get("state") == PURGING:
        return "an earlier removal did not finish"
    if data.get("state") != INSTALLED:
        return "an earlier installation did not finish"
    if data.get("rendering") != wanted["data"]["rendering"]:
        return "the settings differ from those of the last installation"
    return None


def difference_text(results: list[str]) -> str | None:
    """Return how many objects are missing and differ, in words; None when none does."""
    parts = [
        f"{count} {'object' if count == 1 else 'objects'} {verb}"
        for count, verb in ((results.count("created"), "missing"), (results.count("changed"), "different"))
        if count
    ]
    return ", ".join(parts) or None


def probe_pod(namespace: str, revision: str) -> dict:
    """Return the Pod whose dry-run creation shows whether sidecars are injected for the revision."""
    labels = {"istio.io/rev": revision} if revision else {"sidecar.istio.io/inject": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "meshops-injection-probe", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "probe", "image": "registry.k8s.io/pause:3.10"}]},
    }


def injected(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod has Istio's proxy, as a container or as a native sidecar."""
    spec = pod.get("spec") or {}
    return any(
        container["name"] == "istio-proxy"
        for container in (spec.get("containers") or []) + (spec.get("initContainers") or [])
    )
