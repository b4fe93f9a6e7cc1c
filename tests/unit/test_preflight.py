# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin preflight: everything that is wrong, once, in order."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.meshops.istio.plugins.action import preflight


def run(task_vars=None, **args):
    task = SimpleNamespace(
        args=args, async_val=False, action="meshops.istio.preflight", environment=None, check_mode=True, diff=False
    )
    context = SimpleNamespace(check_mode=True)
    plugin = preflight.ActionModule(
        task, SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)), context, None, None, None
    )
    return plugin.run(task_vars={"ansible_facts": {}, **(task_vars or {})})


def facts_of(result):
    return {"ansible_facts": result["ansible_facts"]}


GOOD, BAD, WORSE = (
    {"that": True, "msg": "fine"},
    {"that": False, "msg": "n1 is small."},
    {"that": "False", "msg": "n1 is old."},
)


def test_all_good_is_no_failure():
    result = run(checks=[GOOD, {"that": "yes", "msg": ""}])
    assert not result.get("failed") and result["problems"] == [] and not result["changed"]


def test_all_problems_at_once():
    result = run(checks=[BAD, GOOD, WORSE], problems=["", "No repository."])
    assert result["failed"]
    assert result["msg"].splitlines() == [
        "3 problems found before anything was changed:",
        "  1. n1 is small.",
        "  2. n1 is old.",
        "  3. No repository.",
    ]


def test_deferred_problems_accumulate_without_repetition():
    first = run(checks=[BAD], defer=True)
    assert not first.get("failed")
    second = run(facts_of(first), checks=[BAD, WORSE], defer="true")
    assert second["ansible_facts"]["meshops_problems"] == ["n1 is small.", "n1 is old."]
    last = run(facts_of(second), checks=[])
    assert last["failed"] and last["msg"].startswith("2 problems")


def test_problems_of_an_earlier_run_are_forgotten():
    stale = {"ansible_facts": {"meshops_problems": ["old"], "meshops_problems_run": "1.1"}}
    assert run(stale, checks=[GOOD])["problems"] == []


@pytest.mark.parametrize(
    "check", [{"that": True}, {"that": "n1 == n2", "msg": "x"}, "text", {"that": True, "msg": "", "name": 1}]
)
def test_a_malformed_check_is_an_error(check):
    with pytest.raises(AnsibleActionFail, match=r"checks\[1\]"):
        run(checks=[GOOD, check])


def test_a_mistyped_option_is_named_with_the_nearest():
    variables = {
        "containerd_verzion": 1,
        "containerd_version": 1,
        "_containerd_verzion": 1,
        "__containerd_verzion": 1,
        "istio_verzion": 1,
    }
    result = run(variables, role="containerd")
    assert result["msg"].splitlines()[1:] == [
        "  1. containerd_verzion is not an option of the role containerd. Did you mean containerd_version?"
    ]


def test_a_role_that_does_not_exist():
    with pytest.raises(AnsibleActionFail, match="no role nodes"):
        run(role="nodes")
