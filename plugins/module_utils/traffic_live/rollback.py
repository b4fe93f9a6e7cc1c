# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_rollback."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import intents
from ansible_collections.meshops.istio.plugins.module_utils.traffic.journal import Stamp
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    "virtual_service": {"type": "str"},
    **args.READY_ARGS,
    **{name: spec for name, spec in args.WRITE_ARGS.items() if name != "point"},
    "steps": {"type": "int"},
    "point": {"type": "str"},
}
RULES: dict[str, Any] = {"mutually_exclusive": [("steps", "point")]}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Go back (in check mode: find out what that would change) and return the result."""
    options = args.options_of({**params, "point": ""}, check_mode, by)
    request = args.request_of({**params, "route": None})
    steps = 1 if params["steps"] is None else params["steps"]
    to = intents.Point(steps, params["point"] or "", params["force"])
    now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    stamp = Stamp(now, options.by)
    return engine.change(
        Kube.connect(params, check_mode),
        request.service,
        lambda world: intents.back(world, request, stamp, to),
        options,
        tidy=False,
    )
