# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: every module's way from its arguments to its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


def run(argument_spec: dict, core: Callable[[dict, bool], dict], **module_kwargs: Any) -> None:
    """Build the module, call `core(params, check_mode)` and leave with its result; MeshopsError becomes a failure.

    The result has `changed` and what the module documents. `diff` (a dict, a list of dicts, or a function that
    makes them only when asked for) is shown in diff mode only; `warnings` are shown by Ansible.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **module_kwargs)
    try:
        result = finished(core(module.params, module.check_mode), module._diff)
    except MeshopsError as error:
        module.fail_json(msg=str(error), **error.result)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result)


def finished(result: dict[str, Any], diff_mode: bool) -> dict[str, Any]:
    """Return the result of a core as Ansible takes it: with its diff in diff mode, without it otherwise."""
    diff = result.pop("diff", None)
    if diff_mode and diff is not None:
        result["diff"] = diff() if callable(diff) else diff
    return result
