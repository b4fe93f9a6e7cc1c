# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which injection webhook takes a pod, which proxy a pod has, what to say of both. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

REVISION = "istio.io/rev"
TAG = "istio.io/tag"
INJECTION = "istio-injection"
DATAPLANE = "istio.io/dataplane-mode"
DEFAULT = "default"
ADMISSION = "admissionregistration.k8s.io/v1"
# istiod injects nothing here, whatever the labels say
IGNORED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
PROXY = "istio-proxy"
AUTO_IMAGE = "auto"  # what a gateway's template has until injection puts the proxy in
_WEBHOOK = "sidecar-injector.istio.io"
_INJECT = "sidecar.istio.io/inject"
_STATUS = "sidecar.istio.io/status"
_VARIANTS = ("-distroless", "-debug")


class Injector(NamedTuple):
    """One MutatingWebhookConfiguration that injects: its own of a revision (`tag` is ""), or that of a tag."""

    name: str
    revision: str
    tag: str
    hooks: list[dict]
    obj: dict

    @property
    def label(self) -> str:
        """The value of istio.io/rev that asks for it."""
        return self.tag or self.revision


class Sidecar(NamedTuple):
    """The proxy of a pod: the revision that injected it and its version; "" for what cannot be told."""

    revision: str
    version: str

    def __str__(self) -> str:
        of = f" of revision {self.revision}" if self.revision else ""
        return f"sidecar {self.version}{of}" if self.version else f"a sidecar{of}"


def injectors(configurations: Iterable[Mapping[str, Any]]) -> list[Injector]:
    """Return the injecting ones among MutatingWebhookConfigurations, in the order in which they are called."""
    found = []
    for obj in sorted(configurations, key=lambda item: item["metadata"]["name"]):
        labels = obj["metadata"].get("labels") or {}
        hooks = [hook for hook in obj.get("webhooks") or [] if hook["name"].endswith(_WEBHOOK)]
        if hooks and labels.get(REVISION):
            found.append(Injector(obj["metadata"]["name"], labels[REVISION], labels.get(TAG, ""), hooks, dict(obj)))
    return found


def revisions(found: Iterable[Injector]) -> list[str]:
    """Return the revisions that have a control plane of their own."""
    return sorted({item.revision for item in found if not item.tag})


def tags(found: Iterable[Injector]) -> dict[str, str]:
    """Return the revision of each tag."""
    return {item.tag: item.revision for item in found if item.tag}


def known(found: Iterable[Injector]) -> str:
    """Return all revisions and tags in words."""
    found = list(found)
    there = [f"revision {name}" for name in revisions(found)]
    there += [f"tag {name} of revision {revision}" for name, revision in sorted(tags(found).items())]
    return ", ".join(there) or "none, no control plane is installed"


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector takes the labels; an empty or missing one takes all."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for rule in selector.get("matchExpressions") or []:
        value, values = labels.get(rule["key"]), rule.get("values") or []
        holds = {
            "In": value is not None and value in values,
            "NotIn": value is None or value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[rule["operator"]]:
            return False
    return True


def serving(
    found: Iterable[Injector], namespace: Mapping[str, str], pod: Mapping[str, str] | None = None
) -> Injector | None:
    """Return what injects a pod with these labels in a namespace with those; None: nothing does.

    Of several the last is called last, and replaces what the others put in.
    """
    taking = [
        item
        for item in found
        if any(
            matches(hook.get("namespaceSelector"), namespace) and matches(hook.get("objectSelector"), pod or {})
            for hook in item.hooks
        )
    ]
    return taking[-1] if taking else None


def injector_of(
    found: Iterable[Injector], name: str, namespace: Mapping[str, str], template: Mapping[str, Any]
) -> Injector | None:
    """Return what injects pods of a template in the namespace `name` with these labels; None: nothing does."""
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    labels = meta.get("labels") or {}
    refused = _INJECT not in labels and (meta.get("annotations") or {}).get(_INJECT) == "false"
    if name in IGNORED_NAMESPACES or spec.get("hostNetwork") or refused:
        return None
    return serving(found, namespace, labels)


def proxy_container(pod: Mapping[str, Any]) -> dict | None:
    """Return the proxy's container of a pod or template; a native sidecar stands among the initContainers."""
    spec = pod.get("spec") or {}
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        if container["name"] == PROXY:
            return container
    return None


def sidecar(pod: Mapping[str, Any]) -> Sidecar | None:
    """Return the proxy of a pod or of a template, None when it has none."""
    container = proxy_container(pod)
    if container is None:
        return None
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    try:
        revision = str(json.loads(annotations.get(_STATUS) or "{}").get("revision") or "")
    except (ValueError, AttributeError):
        revision = ""
    return Sidecar(revision or annotations.get(REVISION, ""), image_version(container.get("image") or ""))


def image_version(image: str) -> str:
    """Return the tag of an image without its variant (-distroless, -debug), else its digest, else its name."""
    name = image.rpartition("/")[2]
    plain, _at, digest = name.partition("@")
    tag = plain.partition(":")[2]
    for variant in _VARIANTS:
        if tag.endswith(variant):
            tag = tag[: -len(variant)]
    return tag or digest or plain


def expected(template: Mapping[str, Any], injected: Sidecar | None) -> Sidecar | None:
    """Return the proxy of a template's next pod, `injected` being what its webhook puts into any (None: no webhook).

    Without a webhook it is the template's own, as kube-inject leaves it. An image that the template chooses stays.
    """
    if injected is None:
        return sidecar(template)
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    container = proxy_container(template)
    image = annotations.get("sidecar.istio.io/proxyImage", "")
    if not image and container and _STATUS not in annotations:
        image = container.get("image") or ""
    return injected if image in ("", AUTO_IMAGE) else Sidecar(injected.revision, image_version(image))


def difference(has: Sidecar | None, would: Sidecar | None) -> str:
    """Return in words how a pod differs from the one that would be made now, "" when it does not."""
    if has == would:
        return ""
    if has is None:
        return f"no sidecar, a new pod would get {would}"
    if would is None:
        return f"{has}, a new pod would get none"
    same_version = has.version == would.version or not would.version
    if same_version and (has.revision == would.revision or not has.revision):
        return ""
    return f"{has}, a new pod would get {would}"


def labels_for(mode: str, revision: str | None, live: Mapping[str, str], unasked: bool) -> dict[str, str | None]:
    """Return the three labels of a namespace that decide, for a mode; None: the label is not there.

    unasked: namespaces without any label are injected too, so that off has to be said.
    """
    dataplane = None if live.get(DATAPLANE) == "ambient" else live.get(DATAPLANE)
    if mode == "on":
        return {INJECTION: "enabled", REVISION: None, DATAPLANE: dataplane}
    if mode == "revision":
        return {INJECTION: None, REVISION: revision, DATAPLANE: dataplane}
    said = live.get(INJECTION)
    injection = said if said not in (None, "enabled") else "disabled" if unasked else None
    return {INJECTION: injection, REVISION: None, DATAPLANE: "ambient" if mode == "ambient" else dataplane}


def with_labels(live: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return labels with the changes made; None takes a label away."""
    return {key: value for key, value in {**live, **changes}.items() if value is not None}
