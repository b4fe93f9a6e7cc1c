# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of the same name, in the controller's own process, where a long run can show how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.traffic_live import probe
from ansible_collections.meshops.istio.plugins.plugin_utils.in_process import InProcess

SHOW_FROM = 1000  # requests


class ActionModule(InProcess):
    """Options are documented with the module of the same name."""

    core = staticmethod(probe.core)
    spec = probe.ARGS
    rules = probe.RULES

    def context(self, params: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return the function that shows progress, for runs that take a while."""
        return {"progress": self.show} if params["requests"] >= SHOW_FROM else {}

    def show(self, done: int, total: int, errors: int) -> None:
        """Print how far the run is."""
        self._display.display(f"traffic_probe: {done} of {total} requests, {errors} errors")
