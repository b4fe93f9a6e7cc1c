# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, intents
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    **args.ROUTE_ARGS,
    **args.BETWEEN_ARGS,
    **args.STATE_ARGS,
    **args.READY_ARGS,
    **args.WRITE_ARGS,
    "weights": {"type": "dict"},
    "api": {"type": "str", "choices": ["istio", "gateway"]},
}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Put the split of params into effect (in check mode: find out what that would change) and return the result."""
    options = args.options_of(params, check_mode, by)
    if params["state"] == "absent":
        request = args.request_of(params)
        return engine.change(
            Kube.connect(params, check_mode), request.service, lambda world: intents.unsplit(world, request), options
        )
    weights = edit.parse_weights(args.required(params, "weights", "{v1: 90, v2: 10}"))
    request = args.request_of(params, weights)
    return engine.change(
        Kube.connect(params, check_mode), request.service, lambda world: intents.split(world, request), options
    )
