# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode says what the run after it does, and a second run changes and writes nothing, for every traffic module."""

from __future__ import annotations

import difflib
import re
from collections import Counter

import pytest

from tests.integration.cases import CASES, options_of, prepared, tasks
from tests.integration.playbooks import requests_since, results
from tests.integration.tasks import task
from tests.support import audit_position

# an environment makes the action plugin run the module itself
WAYS = {"in the controller": {}, "as a module": {"environment": {"MESHOPS_TEST": "1"}}}
PHASES = [(name, phase) for name in CASES for phase in ("present", "absent") if options_of(name, phase) is not None]
READS = {"get", "list"}
SAME = ("changed", "diff", "before", "after", "steps", "effective")


def by_name(found):
    return {result["name"]: result for result in found}


@pytest.fixture(scope="module", params=WAYS)
def runs(request):
    """By phase: what the check, the run and the second run returned, and what the second run asked of the API."""
    keywords = {"ignore_errors": True, **WAYS[request.param]}
    found = {"way": request.param}
    with prepared():
        for phase in ("present", "absent"):
            checked = by_name(results(tasks(phase), "--check", "--diff", **keywords))
            made = by_name(results(tasks(phase), "--diff", **keywords))
            position = audit_position()
            again = by_name(results(tasks(phase), "--diff", **keywords))
            found[phase] = {"checked": checked, "made": made, "again": again, "asked": requests_since(position)}
    return found


@pytest.mark.parametrize(("name", "phase"), PHASES)
def test_check_mode_says_what_the_run_does(runs, name, phase):
    checked, made = runs[phase]["checked"][name], runs[phase]["made"][name]
    for result in (checked, made):
        assert not result.get("failed"), result["msg"]
        # only a module tells its invocation
        assert ("invocation" in result) == (runs["way"] == "as a module")
    assert {key: checked.get(key) for key in SAME} == {key: made.get(key) for key in SAME}
    assert made["changed"] == (CASES[name].module != "traffic_info")
    if made["changed"]:
        assert any(entry["before"] != entry["after"] for entry in made["diff"])
        assert checked.get("warnings", []) == made.get("warnings", [])


@pytest.mark.parametrize(("name", "phase"), PHASES)
def test_the_second_run_changes_nothing(runs, name, phase):
    again = runs[phase]["again"][name]
    assert not again.get("failed"), again["msg"]
    assert again["changed"] is False
    assert again.get("diff", []) == []
    assert again.get("steps", []) == []


@pytest.mark.parametrize("phase", ["present", "absent"])
def test_the_second_run_only_reads(runs, phase):
    asked = runs[phase]["asked"]
    number = len(runs[phase]["again"])
    print(f"{runs['way']}, {phase}: {len(asked)} requests of {number} unchanged tasks: {counted(asked)}")
    assert len(asked) >= number
    # traffic_info runs a command in each proxy, to ask what it has
    assert {line.split()[0] for line in asked if "/exec?" not in line} <= READS
    assert all("pilot-agent" in line for line in asked if "/exec?" in line)


def counted(asked):
    """How often what was asked."""
    found = Counter()
    for verb, address in (line.split() for line in asked):
        path = address.partition("?")[0].split("/")
        found[f"{verb} {path[-2] if verb == 'get' and path[-1] != 'exec' else path[-1]}"] += 1
    return dict(found.most_common())


def test_the_diff_of_a_weight_change_shows_the_weights_and_nothing_else(runs):
    (shown,) = runs["present"]["made"]["check-split"]["diff"]
    lines = difflib.ndiff(shown["before"].splitlines(), shown["after"].splitlines())
    changed = [re.sub(r"\s+", " ", line) for line in lines if line[0] in "+-"]
    assert sorted(changed) == ["+ weight: 20", "+ weight: 80", "- weight: 50", "- weight: 50"]


def test_an_unchanged_task_sends_few_requests_and_no_write():
    """The number of requests of each module when there is nothing to do."""
    with prepared():
        for name, phase in PHASES:
            module = CASES[name].module.removeprefix("traffic_").removeprefix("istio_")
            options = options_of(name, phase)
            task(module, **options)
            position = audit_position()
            assert task(module, **options)["changed"] is False
            asked = [line for line in requests_since(position) if "/exec?" not in line]
            print(f"{name:<16} {phase:<8} {len(asked)} requests: {counted(asked)}")
            assert {line.split()[0] for line in asked} <= READS
            # traffic_info also reads what the routes depend on
            assert 1 <= len(asked) <= (20 if name == "check-info" else 5)


def test_a_probe_sends_nothing_in_check_mode():
    options = {"url": "http://192.0.2.1/nobody", "requests": 5}
    (result,) = results([{"name": "probe", "meshops.istio.traffic_probe": options}], "--check")
    assert (result["skipped"], result["changed"], result["requests"]) == (True, False, 0)
