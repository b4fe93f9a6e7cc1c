# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: run the core of a module in the controller's own process, when it would run there anyway.

That spares the start of a Python process for each task. Anywhere else the module itself is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.meshops.istio.plugins.module_utils import kube_transport
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.runner import finished

Core = Callable[..., dict[str, Any]]


class InProcess(ActionBase):
    """An action of the same name as a module of this collection.

    core: the work, shared with the module; spec: its options; rules: which go together; journaled: whether the core
    is told who does it.
    """

    TRANSFERS_FILES = False
    _supports_async = True
    core: Core
    spec: Mapping[str, Any]
    rules: Mapping[str, Any] = {}
    journaled = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the result of the core or, where that cannot be run here, of the module."""
        result = super().run(tmp, task_vars)
        del tmp
        if not self._runs_here():
            return {**result, **self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)}
        try:
            _checked, given = self.validate_argument_spec(dict(self.spec), **self.rules)
            params = json.loads(json.dumps(given))  # as the module would get them, without Ansible's own types
            made = type(self).core(params, self._task.check_mode, **self.context(params, task_vars or {}))
            return {**result, **finished(made, bool(self._task.diff))}
        except MeshopsError as error:
            return {**result, **error.result, "failed": True, "msg": str(error)}
        except AnsibleActionFail as error:
            # wrong options end as those of a module do: failed_when can judge them
            return {**result, "failed": True, "msg": error.message}

    def context(self, params: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the core is told beside its options."""
        play = task_vars.get("ansible_play_name")
        return {"by": f"play {play}" if play else ""} if self.journaled else {}

    def _runs_here(self) -> bool:
        """Tell whether the module would run on this host, as this user and in this environment."""
        return (
            kube_transport.IMPORT_ERROR is None
            and getattr(self._connection, "transport", "") == "local"
            and self._connection.become is None
            and not self._task.async_val
            and not any(self._task.environment or [])
        )


def action(
    core: Core, spec: Mapping[str, Any], rules: Optional[Mapping[str, Any]] = None, journaled: bool = True
) -> type[InProcess]:
    """Return the action class for one module."""
    members = {"core": staticmethod(core), "spec": spec, "rules": rules or {}, "journaled": journaled}
    return type("ActionModule", (InProcess,), members)
