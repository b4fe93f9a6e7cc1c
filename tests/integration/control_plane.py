# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istio_control_plane as its main() runs it, in this process, on the lab; as a program, to be killed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "collections"))

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.meshops.istio.plugins.module_utils import istio_profiles, runner
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.modules import istio_control_plane
from tests.support import INVENTORY, KUBECONFIG

__all__ = ["LAB", "RELEASE", "SITE", "MeshopsError", "control_plane", "istio_profiles"]
LAB = yaml.safe_load((INVENTORY / "group_vars" / "all" / "mirror.yml").read_text(encoding="utf-8"))
RELEASE = Path.home() / ".cache/meshops-istio/lab/istio" / f"istio-{LAB['istio_version']}"
# what the site installs
SITE = {"profile": "demo", "tag": LAB["istio_version"], "spec": LAB["istio_spec"], "timeout": 120}


def control_plane(check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """Checks the options, runs the core and makes the diff."""
    found: list[Any] = []
    original, runner.run = runner.run, lambda spec, core: found.extend((spec, core))
    try:
        istio_control_plane.main()
    finally:
        runner.run = original
    spec, core = found
    given = {"kubeconfig": str(KUBECONFIG), "istioctl": str(RELEASE / "bin" / "istioctl"), **options}
    checked = ArgumentSpecValidator(spec).validate(given)
    assert not checked.error_messages, checked.error_messages
    return runner.finished(core(checked.validated_parameters, check_mode), True)


if __name__ == "__main__":
    control_plane(**json.loads(sys.argv[1]))
