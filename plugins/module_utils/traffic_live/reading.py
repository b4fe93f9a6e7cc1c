# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: read from the cluster what a traffic task has to know of its Service."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Forbidden
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.edit import GATEWAY_API_VERSION
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.plan import World


class Reader:
    """Reads the world of one Service; `warnings` gets what may not be read."""

    def __init__(self, kube: Any, service: Service, check_mode: bool, warnings: list[str]) -> None:
        self.kube, self.service, self.check_mode, self.warnings = kube, service, check_mode, warnings

    def world(self, cached: bool = False, api: str | None = None) -> tuple[World, Optional[Mapping[str, Any]]]:
        """Return the world and the Service itself, None in check mode when it is not there yet.

        cached: take the DestinationRules as the API server has them at hand. api: which one the user asked for.
        MeshopsError when the Service, or Istio, or the Gateway API if it was asked for, is not there.
        """
        service = self.service
        kinds = [("VirtualService", model.API_VERSION, False), ("DestinationRule", model.API_VERSION, cached)]
        kinds += [(kind, GATEWAY_API_VERSION, False) for kind in model.GATEWAY_KINDS]
        # one after the other on one connection: several at once would each begin with a handshake, which costs more
        live = self.kube.get("v1", "Service", service.name, service.namespace)
        virtual_services, rules, http_routes, grpc_routes = (
            self._list(*item, needed=api == "gateway") for item in kinds
        )
        if live is None:
            self._without_service()
        if not virtual_services and not rules:
            self._require("VirtualService", model.API_VERSION, "Install Istio first, for example by the role istio.")
        if api == "gateway" and not http_routes:
            self._require("HTTPRoute", GATEWAY_API_VERSION, "Install the CRDs of the Gateway API, or leave api out.")
        return World(service, [*virtual_services, *http_routes, *grpc_routes], rules), live

    def _list(self, kind: str, api_version: str, cached: bool, needed: bool) -> list[dict]:
        try:
            return self.kube.list(api_version, kind, cached=cached)
        except Forbidden as error:
            if api_version == GATEWAY_API_VERSION and not needed:
                return []  # whoever may not see these does not use them
            namespace = self.service.namespace
            try:
                found = self.kube.list(api_version, kind, namespace, cached=cached)
            except Forbidden:
                raise error from None
            warning = f"Only the {kind}s of namespace {namespace} may be read, those of others are not considered."
            if warning not in self.warnings:
                self.warnings.append(warning)
            return found

    def _without_service(self) -> None:
        service = self.service
        try:
            known = [model.name_of(obj) for obj in self.kube.list("v1", "Service", service.namespace)]
        except Forbidden:
            known = None
        problem = missing_service(service, known)
        if not self.check_mode:
            raise MeshopsError(problem)
        if not self.kube.absent:
            self.warnings.append(f"{problem} The check goes on as if an earlier task made it.")

    def _require(self, kind: str, api_version: str, step: str) -> None:
        if self.kube.absent or self.kube.resource(api_version, kind) is not None:
            return
        problem = f"The cluster has no kind {kind} in {api_version}. {step}"
        if not self.check_mode:
            raise MeshopsError(problem)
        self.warnings.append(f"{problem} The check goes on as if an earlier task did that.")


def missing_service(service: Service, known: Optional[Sequence[str]]) -> str:
    """Return the sentence for a Service that does not exist, with the names that are near; known: None if hidden."""
    near = difflib.get_close_matches(service.name, known or (), n=3)
    listed = near or sorted(known or ())[:10]
    there = f"{'did you mean' if near else 'there are'}: {', '.join(listed)}" if listed else "it has none"
    shown = "" if known is None else f" ({there})"
    return f"There is no Service {service.name} in namespace {service.namespace}{shown}. Correct host or namespace."
