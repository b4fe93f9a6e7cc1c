# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import intents
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    **args.ROUTE_ARGS,
    **args.STATE_ARGS,
    **args.WRITE_ARGS,
    "timeout": {"type": "str"},
    "retries": {
        "type": "dict",
        "options": {
            "attempts": {"type": "int"},
            "per_try_timeout": {"type": "str"},
            "retry_on": {"type": "list", "elements": "str"},
        },
    },
}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Put the policy of params into effect (in check mode: find out what that would change) and return the result."""
    options = args.options_of(params, check_mode, by)
    request = args.request_of(params)
    if params["state"] == "absent":
        return engine.change(
            Kube.connect(params, check_mode),
            request.service,
            lambda world: intents.no_route_policy(world, request),
            options,
        )
    timeout, retries = params["timeout"], _retries(params["retries"])
    if timeout is None and retries is None:
        raise MeshopsError("There is neither timeout nor retries. Give one of them, for example timeout: 2s.")
    return engine.change(
        Kube.connect(params, check_mode),
        request.service,
        lambda world: intents.route_policy(world, request, timeout, retries),
        options,
    )


def _retries(retries: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    if retries is None:
        return None
    retry_on = retries["retry_on"]
    fields = {
        "attempts": retries["attempts"],
        "perTryTimeout": retries["per_try_timeout"],
        "retryOn": ",".join(retry_on) if retry_on else None,
    }
    return {name: value for name, value in fields.items() if value is not None}
