# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_mirror."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import intents, leaves, targets
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Destination
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    **args.ROUTE_ARGS,
    **args.BETWEEN_ARGS,
    **args.STATE_ARGS,
    **args.READY_ARGS,
    **args.WRITE_ARGS,
    "destination": {"type": "str"},
    "percent": {"type": "float"},
}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Put the mirror of params into effect (in check mode: find out what that would change) and return the result."""
    options = args.options_of(params, check_mode, by)
    request = args.request_of(params)
    where = _destination(request, params["destination"]) if params["destination"] else None
    if params["state"] == "absent":
        return engine.change(
            Kube.connect(params, check_mode),
            request.service,
            lambda world: intents.no_mirror(world, request, where),
            options,
        )
    args.required(params, "destination", "v2")
    percent = leaves.percentage(args.required(params, "percent", "10"), "percent")
    return engine.change(
        Kube.connect(params, check_mode),
        request.service,
        lambda world: intents.mirror(world, request, where, percent),
        options,
    )


def _destination(request: targets.Request, name: str) -> Destination:
    wanted = targets.Request(request.service, {name: 1}, services=request.services)
    return next(iter(targets.destinations(wanted, request.services)))
