# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_subset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import intents, model
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    **args.STATE_ARGS,
    **args.READY_ARGS,
    **{name: spec for name, spec in args.WRITE_ARGS.items() if name != "point"},
    "name": {"type": "str", "required": True},
    "labels": {"type": "dict"},
    "traffic_policy": {"type": "dict"},
}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Put the subset of params into effect (in check mode: find out what that would change) and return the result."""
    options = args.options_of({**params, "point": ""}, check_mode, by)
    name, service = params["name"], args.service_of(params)
    if params["state"] == "absent":
        return engine.change(
            Kube.connect(params, check_mode), service, lambda world: intents.no_subset(world, name), options
        )
    labels = {str(key): str(value) for key, value in params["labels"].items()} if params["labels"] else None
    policy = params["traffic_policy"]
    _refuse_idle_failover(name, policy or {})
    return engine.change(
        Kube.connect(params, check_mode), service, lambda world: intents.subset(world, name, labels, policy), options
    )


def _refuse_idle_failover(name: str, policy: Mapping[str, Any]) -> None:
    locality = model.dict_of(model.dict_of(policy.get("loadBalancer")).get("localityLbSetting"))
    if locality.get("failover") and not policy.get("outlierDetection"):
        raise MeshopsError(
            f"Subset {name} has a locality failover without outlierDetection, so that Istio never fails over."
            " Add outlierDetection to traffic_policy."
        )
