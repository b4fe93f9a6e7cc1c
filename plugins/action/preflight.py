# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects what is wrong with the input or a host, and says all of it at once. Runs on the controller alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.meshops.istio.plugins.module_utils import words

FACT, RUN = "meshops_problems", "meshops_problems_run"
ROLES = Path(__file__).resolve().parents[2] / "roles"
OPTIONS: dict[str, set[str]] = {}


def role_options(role: str) -> set[str]:
    """The options that a role of this collection documents, over all its entry points."""
    if role not in OPTIONS:
        path = ROLES / role / "meta" / "argument_specs.yml"
        if not path.is_file():
            raise AnsibleActionFail(f"The collection has no role {role} with documented options.")
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        OPTIONS[role] = {str(name) for spec in specs.values() for name in spec.get("options", {})}
    return OPTIONS[role]


def this_run() -> str:
    """A name for the running ansible process, so that problems in a cache of facts do not outlive their run."""
    parent = os.getppid()
    try:
        started = (
            Path(f"/proc/{parent}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError):
        started = ""
    return f"{parent}.{started}"


def failed_checks(checks: list[dict[str, Any]]) -> list[str]:
    """Messages of the checks that do not hold."""
    problems = []
    for number, check in enumerate(checks):
        if not isinstance(check, dict) or set(check) != {"that", "msg"}:
            raise AnsibleActionFail(f"checks[{number}] must have exactly that and msg.")
        try:
            holds = boolean(check["that"])
        except TypeError as error:
            raise AnsibleActionFail(f"checks[{number}].that must be true or false, not {check['that']!r}.") from error
        if not holds:
            problems.append(str(check["msg"]).strip())
    return problems


def report(problems: list[str]) -> str:
    """The numbered list that the user reads."""
    lines = [f"  {number}. {problem}" for number, problem in enumerate(problems, 1)]
    noun = "problem" if len(problems) == 1 else "problems"
    return "\n".join([f"{len(problems)} {noun} found before anything was changed:", *lines])


class ActionModule(ActionBase):
    """Options are documented with the module of the same name."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("checks", "problems", "defer", "role"))
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Collect, accumulate in the fact meshops_problems, and fail unless deferred."""
        result = super().run(tmp, task_vars)
        del tmp
        args, task_vars = self._task.args, task_vars or {}
        known = task_vars.get("ansible_facts") or {}
        collected = list(known.get(FACT) or []) if known.get(RUN) == this_run() else []
        collected += failed_checks(args.get("checks") or [])
        collected += [str(text).strip() for text in args.get("problems") or [] if text]
        if args.get("role"):
            collected += self.mistyped(str(args["role"]), task_vars)
        problems = list(dict.fromkeys(collected))
        if problems and not boolean(args.get("defer", False)):
            result.update(failed=True, msg=report(problems))
            return result
        result.update(changed=False, problems=problems, ansible_facts={FACT: problems, RUN: this_run()})
        return result

    @staticmethod
    def mistyped(role: str, task_vars: dict[str, Any]) -> list[str]:
        """Sentences for variables that are no option of the role but nearly."""
        names = [name for name in task_vars if isinstance(name, str) and name.startswith(f"{role}_")]
        roles = [path.name for path in ROLES.iterdir() if path.is_dir()]
        return words.unknown_options(role, names, role_options(role), roles)
