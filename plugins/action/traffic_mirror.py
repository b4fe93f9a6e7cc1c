# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of the same name, in the controller's own process where it would run there anyway."""

from __future__ import annotations

from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.mirror import ARGS, core
from ansible_collections.meshops.istio.plugins.plugin_utils.in_process import action

ActionModule = action(core, ARGS)
