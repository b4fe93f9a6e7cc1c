# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_fault."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import faults, intents
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    **args.ROUTE_ARGS,
    **args.STATE_ARGS,
    **args.WRITE_ARGS,
    "delay": {
        "type": "dict",
        "options": {
            "duration": {"type": "str", "required": True},
            "percent": {"type": "float", "default": 100},
        },
    },
    "abort": {
        "type": "dict",
        "options": {
            "status": {"type": "str", "required": True},
            "percent": {"type": "float", "default": 100},
        },
    },
    "expires": {"type": "str", "default": ""},
}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Put the fault of params into effect (in check mode: find out what that would change) and return the result."""
    options = args.options_of(params, check_mode, by)
    request = args.request_of(params)
    if params["state"] == "absent":
        return engine.change(
            Kube.connect(params, check_mode), request.service, lambda world: intents.no_fault(world, request), options
        )
    delay, abort = params["delay"], params["abort"]
    wanted = faults.Fault(
        delay=faults.delay(delay["duration"], delay["percent"]) if delay else None,
        abort=faults.abort(abort["status"], abort["percent"]) if abort else None,
        expires=params["expires"],
        now=datetime.now(timezone.utc),
    )
    return engine.change(
        Kube.connect(params, check_mode), request.service, lambda world: intents.fault(world, request, wanted), options
    )
