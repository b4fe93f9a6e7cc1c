# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that have their options beside their core, run in this process on the lab: options checked, then the core."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.support import KUBECONFIG

UTILS = "ansible_collections.meshops.istio.plugins.module_utils"


def run(core: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """Runs the core of module_utils/CORE.py and returns its result, the diff made."""
    module, kube = importlib.import_module(f"{UTILS}.{core}"), importlib.import_module(f"{UTILS}.kube")
    checked = ArgumentSpecValidator({**kube.KUBE_ARGS, **module.ARGS}, **getattr(module, "RULES", {})).validate(
        {"kubeconfig": str(KUBECONFIG), **options}
    )
    assert not checked.error_messages, checked.error_messages
    result = module.core(checked.validated_parameters, check_mode)
    if "diff" in result:
        result["diff"] = result["diff"]()
    return result
