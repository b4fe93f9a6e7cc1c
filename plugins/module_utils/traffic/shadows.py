# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what keeps an edit of a VirtualService from having effect. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.traffic import consumers, delegates, model, targets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.envoy_expected import MESH


def problem(obj: Mapping[str, Any], routes: Sequence[Mapping[str, Any]], domain: str) -> str:
    """Return the sentence for what keeps the VirtualService from having effect, "" when nothing does.

    routes: all objects with routes, as they would be after the edit.
    """
    if model.form_of(obj) is model.GATEWAY:
        return ""
    if not model.spec_of(obj).get("hosts"):
        return _delegation(obj, routes, domain)
    others = [
        other for other in routes if model.form_of(other) is model.ISTIO and model.label(other) != model.label(obj)
    ]
    found = [other for other in others if _shadows(other, obj, domain)]
    if not found:
        return ""
    first = min(found, key=_age)
    return (
        f"VirtualService {model.label(first)} has the same host and is older than {model.label(obj)}, so that Istio"
        f" takes its routes. Set virtual_service to {model.label(first)}, or take the host from one of the two."
    )


def _delegation(obj: Mapping[str, Any], routes: Sequence[Mapping[str, Any]], domain: str) -> str:
    virtual_services = [other for other in routes if model.form_of(other) is model.ISTIO]
    prefixed = f"of VirtualService {model.label(obj)} is not in force"
    for root in delegates.roots_of(virtual_services, obj):
        for sentence in delegates.merged(root, virtual_services, domain)[1]:
            if prefixed in sentence:
                return f"{sentence} Correct the match of one of the two."
    return ""


def _age(obj: Mapping[str, Any]) -> tuple[str, str, str]:
    # an object without a time is one that is about to be created; istiod orders those of the same second by name
    created = str(model.dict_of(obj.get("metadata")).get("creationTimestamp") or "9999")
    return created, model.name_of(obj), model.namespace_of(obj)


def _shadows(other: Mapping[str, Any], obj: Mapping[str, Any], domain: str) -> bool:
    if _age(other) > _age(obj) or not consumers.hosts_of(other, domain) & consumers.hosts_of(obj, domain):
        return False
    shared = set(consumers.gateways_of(other)) & set(consumers.gateways_of(obj))
    if MESH in shared and consumers.is_exported_to(other, model.namespace_of(obj)):
        return True  # sidecars take the routes of one object only
    # a gateway takes those of both, the older ones first
    return bool(shared - {MESH}) and any(
        section == "http" and targets.is_default(section, route) for section, _at, route in model.routes_of(other)
    )
