# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the options that the traffic modules share, and what they mean to the engine."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import KUBE_ARGS
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.model import Service
from ansible_collections.meshops.istio.plugins.module_utils.traffic.targets import Request
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.engine import Options

STATE_ARGS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
SERVICE_ARGS: dict[str, dict[str, Any]] = {
    "host": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "cluster_domain": {"type": "str", "default": "cluster.local"},
    **KUBE_ARGS,
}
ROUTE_ARGS: dict[str, dict[str, Any]] = {
    "virtual_service": {"type": "str"},
    "route": {"type": "str"},
}
BETWEEN_ARGS: dict[str, dict[str, Any]] = {
    "between": {"type": "str", "choices": ["subsets", "services"], "default": "subsets"},
}
READY_ARGS: dict[str, dict[str, Any]] = {"require_ready": {"type": "bool", "default": True}}
WRITE_ARGS: dict[str, dict[str, Any]] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 30},
    "force": {"type": "bool", "default": False},
    "point": {"type": "str", "default": ""},
}


def service_of(params: Mapping[str, Any]) -> Service:
    """Return the Service that the options mean."""
    return model.service_of(params["host"], params["namespace"], params["cluster_domain"])


def request_of(params: Mapping[str, Any], weights: Optional[Mapping[str, int]] = None) -> Request:
    """Return which route the options mean, with weights for it."""
    services = params.get("between") == "services"
    return Request(
        service_of(params), weights or {}, params["virtual_service"], params["route"], services, params.get("api")
    )


def options_of(params: Mapping[str, Any], check_mode: bool, by: str) -> Options:
    """Return how the task is to be done; by: who does it, the user of this process when empty."""
    if params["wait_timeout"] <= 0:
        raise MeshopsError(
            f"wait_timeout is {params['wait_timeout']:g}. Give seconds, more than 0, or set wait to false."
        )
    return Options(
        check_mode=check_mode,
        require_ready=params.get("require_ready", False),
        force=params["force"],
        wait_timeout=params["wait_timeout"] if params["wait"] else None,
        by=by or _user(),
        point=params["point"],
        api=params.get("api"),
    )


def required(params: Mapping[str, Any], name: str, example: str) -> Any:
    """Return an option that state present needs."""
    if params[name] in (None, {}, [], ""):
        raise MeshopsError(f"{name} is missing. Give it, for example {example}, or set state to absent.")
    return params[name]


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
