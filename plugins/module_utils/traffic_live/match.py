# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the work of the module traffic_match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Kube
from ansible_collections.meshops.istio.plugins.module_utils.traffic import edit, intents, matches
from ansible_collections.meshops.istio.plugins.module_utils.traffic.rules import Rule
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import args, engine

# the options of a condition and the fields of Istio's HTTPMatchRequest
_FIELDS = {
    "uri": "uri",
    "method": "method",
    "scheme": "scheme",
    "authority": "authority",
    "headers": "headers",
    "without_headers": "withoutHeaders",
    "query_params": "queryParams",
    "source_labels": "sourceLabels",
    "source_namespace": "sourceNamespace",
    "gateways": "gateways",
    "port": "port",
    "ignore_uri_case": "ignoreUriCase",
}
ARGS: dict[str, dict[str, Any]] = {
    **args.SERVICE_ARGS,
    **args.ROUTE_ARGS,
    **args.BETWEEN_ARGS,
    **args.STATE_ARGS,
    **args.READY_ARGS,
    **args.WRITE_ARGS,
    "name": {"type": "str", "required": True},
    "uri": {"type": "raw"},
    "method": {"type": "raw"},
    "scheme": {"type": "raw"},
    "authority": {"type": "raw"},
    "headers": {"type": "dict"},
    "without_headers": {"type": "dict"},
    "query_params": {"type": "dict"},
    "source_labels": {"type": "dict"},
    "source_namespace": {"type": "str"},
    "gateways": {"type": "list", "elements": "str"},
    "port": {"type": "int"},
    "ignore_uri_case": {"type": "bool", "default": False},
    "destination": {"type": "str"},
    "weights": {"type": "dict"},
    "before": {"type": "str", "default": ""},
    "after": {"type": "str", "default": ""},
}
RULES: dict[str, Any] = {"mutually_exclusive": [("destination", "weights"), ("before", "after")]}


def core(params: Mapping[str, Any], check_mode: bool, by: str = "") -> dict[str, Any]:
    """Put the rule of params into effect (in check mode: find out what that would change) and return the result."""
    options = args.options_of(params, check_mode, by)
    if params["state"] == "absent":
        request = args.request_of(params)
        return engine.change(
            Kube.connect(params, check_mode),
            request.service,
            lambda world: intents.no_rule(world, request, params["name"]),
            options,
        )
    conditions = matches.parse({field: params[option] for option, field in _FIELDS.items()})
    rule = Rule(params["name"], conditions, before=params["before"], after=params["after"])
    request = args.request_of(params, _weights(params))
    return engine.change(
        Kube.connect(params, check_mode), request.service, lambda world: intents.rule(world, request, rule), options
    )


def _weights(params: Mapping[str, Any]) -> dict[str, int]:
    if params["destination"]:
        return {params["destination"]: 1}
    if params["weights"]:
        return edit.parse_weights(params["weights"])
    raise MeshopsError(
        f"The rule {params['name']} has neither destination nor weights. Say where its requests go, for example"
        " destination: v2."
    )
