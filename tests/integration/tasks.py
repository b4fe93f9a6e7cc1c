# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic tasks as the action plugins run them: options checked, then the core in this process, on the lab."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.support import KUBECONFIG

CORES = "ansible_collections.meshops.istio.plugins.module_utils.traffic_live"


def task(module_name: str, /, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """Runs traffic_NAME (or istio_gateway as `gateway`) and returns its result, the diff made."""
    module = importlib.import_module(f"{CORES}.{module_name}")
    checked = ArgumentSpecValidator(module.ARGS, **getattr(module, "RULES", {})).validate(
        {"kubeconfig": str(KUBECONFIG), **options}
    )
    assert not checked.error_messages, checked.error_messages
    result = module.core(checked.validated_parameters, check_mode)
    if "diff" in result:
        result["diff"] = result["diff"]()
    return result
