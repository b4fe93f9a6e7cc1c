# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what there is of a revision tag, how it differs, and why it is to be left. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import injectors, manifests
from ansible_collections.meshops.istio.plugins.module_utils.injectors import Injector

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST = 63 - len("istiod-revision-tag-")  # the name of its Service, which is a DNS label
_ASKED = {injectors.INJECTION: "enabled"}
_HELM = "meta.helm.sh/release-name"


class Cluster(NamedTuple):
    """All injecting webhooks, and of one tag: its webhooks, its Services, the validators that came with it."""

    found: list[Injector]
    tagged: list[Injector]
    services: list[dict]
    validators: list[dict]

    @property
    def objects(self) -> list[dict]:
        return [*(item.obj for item in self.tagged), *self.services, *self.validators]


def name_problem(name: str) -> str:
    """Return why a tag cannot have the name, "" when it can."""
    if _LABEL.fullmatch(name) and len(name) <= _LONGEST:
        return ""
    return (
        f"{name!r} cannot be the name of a tag: use at most {_LONGEST} small letters, digits and, inside, hyphens, like"
        " prod-a."
    )


def own_injector(found: Iterable[Injector], revision: str) -> Injector | None:
    """Return the webhook that the revision itself brought, None when the revision has no control plane."""
    return next((item for item in found if item.revision == revision and not item.tag), None)


def target(injector: Injector) -> tuple[Any, ...]:
    """Return where an injector's webhooks lead: the Service and its path, or the URL."""
    config = injector.hooks[0]["clientConfig"]
    service = config.get("service") or {}
    return service.get("namespace"), service.get("name"), service.get("path"), config.get("url")


def difference(cluster: Cluster, revision: str, with_service: bool) -> str:
    """Return how the tag differs from one that points to the revision, in words; "" when it does not."""
    return next(_differences(cluster, revision, with_service), "")


def _differences(cluster: Cluster, revision: str, with_service: bool) -> Iterator[str]:
    if not cluster.tagged:
        yield "the tag does not exist"
        return
    own = own_injector(cluster.found, revision)
    for item in cluster.tagged:
        if item.revision != revision:
            yield f"the tag points to revision {item.revision}"
        if own and target(item) != target(own):
            yield f"the tag's webhook does not lead to istiod of revision {revision}"
    for obj in [*cluster.services, *cluster.validators]:
        other = obj["metadata"]["labels"].get(injectors.REVISION)
        if other != revision:
            yield f"{manifests.describe(obj)} of the tag still is of revision {other}"
    if with_service and not cluster.services:
        yield "the tag has no Service"
    plain = own_injector(cluster.found, injectors.DEFAULT)
    if cluster.tagged[0].tag == injectors.DEFAULT and plain and injectors.serving([plain], _ASKED):
        yield f"{plain.name} injects where the tag does"


def refusal(cluster: Cluster, name: str, revision: str) -> str:
    """Return why the tag cannot point to the revision, "" when it can."""
    there = injectors.revisions(cluster.found)
    if name in there and name != injectors.DEFAULT:
        return f"{name} is the name of a revision, so it cannot be a tag; choose another name."
    if revision not in there:
        listed = ", ".join(there) or "none"
        pointing = injectors.tags(cluster.found).get(revision)
        known = f"it is a tag of revision {pointing}" if pointing else "there is no such control plane"
        return f"Tag {name} cannot point to revision {revision}: {known}. The revisions that are there: {listed}."
    return foreign(cluster, name)


def foreign(cluster: Cluster, name: str) -> str:
    """Return why the tag must be left to Helm, "" when it need not."""
    for obj in cluster.objects:
        release = (obj["metadata"].get("annotations") or {}).get(_HELM)
        if release:
            return (
                f"Tag {name} belongs to the Helm release {release} ({manifests.describe(obj)}): change revisionTags in"
                " its values instead."
            )
    return ""


def chooses(labels: Mapping[str, str], name: str) -> bool:
    """Tell whether a namespace's labels ask for the tag; istio-injection, where it is, is the only one that counts."""
    if injectors.INJECTION in labels:
        return name == injectors.DEFAULT and labels[injectors.INJECTION] == "enabled"
    return labels.get(injectors.REVISION) == name


def previous(cluster: Cluster) -> str:
    """Return the revision that the tag points to, "" when there is no tag."""
    return cluster.tagged[0].revision if cluster.tagged else ""


def shown(name: str, before: dict | None, after: dict | None, reason: str) -> list[dict]:
    """Return the diff of a tag; the objects behind it are istioctl's own matter."""
    if not reason:
        return []
    header = f"revision tag {name}"
    texts = {"before": manifests.dump(before) if before else "", "after": manifests.dump(after) if after else ""}
    if texts["before"] == texts["after"]:  # the same revision, but something of the tag is not right
        texts["before"] += f"# {reason}\n"
    return [{"before_header": header, "after_header": header, **texts}]
