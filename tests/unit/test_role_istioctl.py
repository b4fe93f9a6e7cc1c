# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role istioctl as a user runs it: one run of ansible-playbook, stage after stage, with mirrors of this process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_releases import release, serving, whole

from ansible_collections.meshops.istio.plugins.module_utils.istio_release_files import RECORD

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def web():
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serving())


THEIRS = "etc/bash/_istioctl"  # a name of ours, in another place and with another content
NO_SHELL = {"istioctl_shell_setup": False}
FILE = {**NO_SHELL, "istioctl_version": "1.30.5", "istioctl_file": "{{ here }}/istio.tgz"}
STAGES = {
    "fresh, check": {"check": True},
    "fresh": {},
    "again": {},
    "beside": {**NO_SHELL, "istioctl_version": "1.23.6", "istioctl_client_only": True, "istioctl_current": False},
    "file, check": {**FILE, "check": True},
    "file": FILE,
    "file again": FILE,
    "all wrong": {
        "istioctl_version": "1.31", "istioctl_file": "istio.tgz", "istioctl_checksum": "md5:1",
        "istioctl_arch": "s390x", "istioctl_dir": "istio", "istioctl_mirors": [],
    },
    "no file": {"istioctl_file": "/nonexistent/x", "istioctl_dir": "~/istio"},
    "no mirrors": {"istioctl_mirrors": [], "istioctl_version": "latest", "istioctl_checksum": "0" * 64},
    "remove one": {"istioctl_version": "1.30.5", "tasks_from": "remove"},
    "remove wrong": {"istioctl_version": "latest", "tasks_from": "remove"},
    "remove all": {**NO_SHELL, "istioctl_version": "all", "tasks_from": "remove"},
}  # fmt: skip


# A login shell reads the file twice, and completion the other one.
TRY = """cd "$(dirname "$0")"
. etc/profile.d/istioctl.sh; . etc/profile.d/istioctl.sh; . etc/bash/istioctl
echo "$ISTIO_HOME" "${PATH##*:}" "$(echo "$PATH" | tr : '\\n' | grep -c current/bin)" "$istioctl_completion"
istioctl version
"""


def stage(name: str, variables: dict) -> dict:
    """A play of one include of the role, whose failure does not end the run, and a list of the files that are there."""
    more = dict(variables)
    role = {"name": "meshops.istio.istioctl", "tasks_from": more.pop("tasks_from", "main")}
    check = more.pop("check", False)
    find = "{{ lookup('ansible.builtin.pipe', 'find ' ~ here ~ ' -not -type d') }}"
    block = {
        "block": [{"name": "Role", "ansible.builtin.include_role": role}],
        "rescue": [{"name": "Go on", "ansible.builtin.meta": "clear_host_errors"}],
        "check_mode": check,
    }
    tasks = [block, {"name": "See", "ansible.builtin.debug": {"msg": find}}]
    if name == next(iter(STAGES)):
        tasks.insert(0, {"name": "Facts", "ansible.builtin.setup": {"gather_subset": ["!all", "min"]}})
    if name == "again":
        tasks.append(
            {
                "name": "Shell",
                "ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.pipe', 'sh ' ~ here ~ '/try.sh') }}"},
            }
        )
    return {"name": name, "hosts": "localhost", "gather_facts": False, "vars": more, "tasks": tasks}


@pytest.fixture(scope="module")
def stages(web, tmp_path_factory):
    """Stage -> (changed tasks, sentence of the failure, files afterwards)."""
    here = tmp_path_factory.mktemp("role")
    shell = {
        "profile.sh": "profile.d/istioctl.sh",
        "completion.bash": "bash/istioctl",
        "completion.zsh": "zsh/_istioctl",
    }
    paths = {name: str(here / "etc" / path) for name, path in shell.items()}
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_pipelining": True}
    options = {"istioctl_dir": str(here / "opt"), "istioctl_mirrors": [f"{web.base}/lies", f"{web.base}/good"]}
    (here / "istio.tgz").write_bytes(whole("1.30.5"))
    (here / "plays.yml").write_text(yaml.safe_dump([stage(*one) for one in STAGES.items()], sort_keys=False))
    (here / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"localhost": host}, "vars": options}}))
    (here / "try.sh").write_text(TRY)
    (here / "etc/bash").mkdir(parents=True)
    (here / THEIRS).write_text("somebody else's")
    extra = json.dumps({"here": str(here), "_istioctl_shell_paths": paths})
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "plays.yml", "-i", "hosts.yml", "-e", extra]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
    env.update(ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"), ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    done = subprocess.run(argv, cwd=here, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stdout[-3000:] + done.stderr[-3000:]
    plays = json.loads(done.stdout[done.stdout.index("{") :])["plays"]
    shell = [task for play in plays for task in play["tasks"] if task["task"]["name"] == "Shell"]
    said = [task["hosts"]["localhost"]["msg"] for task in shell]
    return {**{play["play"]["name"]: summary(play, here) for play in plays}, "shell": ([], said[0], set())}


def summary(play: dict, here: Path) -> tuple[list[str], str, set[str]]:
    tasks = [(task["task"]["name"].rpartition(" : ")[2], task["hosts"].get("localhost", {})) for task in play["tasks"]]
    changed = [name for name, result in tasks if result.get("changed")]
    failed = [result["msg"] for _name, result in tasks if result.get("failed")]
    listed = next(result["msg"] for name, result in reversed(tasks) if name == "See").splitlines()
    seen = {str(Path(line).relative_to(here)) for line in listed} - {"plays.yml", "hosts.yml", "istio.tgz", "try.sh"}
    return changed, "\n".join(failed), seen


def in_opt(*sets: set[str]) -> set[str]:
    return {f"opt/{name}" for one in sets for name in one}


SHELL = {"etc/profile.d/istioctl.sh", "etc/bash/istioctl", "etc/zsh/_istioctl", THEIRS}
BESIDE = {"istio-1.23.6/bin/istioctl", f"istio-1.23.6/{RECORD}"}
FIRST = ["Have the release", "Put istioctl into the shells' search path and completions"]


def test_role_fresh_and_again(stages):
    assert stages["fresh, check"] == (FIRST, "", {THEIRS})
    assert stages["fresh"] == (FIRST, "", in_opt(release("1.31.1"), {"current"}) | SHELL)
    assert stages["again"][:2] == ([], "")


def test_shells_find_the_current_istioctl(stages):
    line, version = stages["shell"][1].splitlines()
    home, last, times, completion = line.split()
    assert home.endswith("/opt/current") and last == f"{home}/bin"
    assert (times, completion) == ("1", "bash")
    assert "1.31.1" in version


def test_role_other_versions(stages):
    there = in_opt(release("1.31.1"), {"current"}, BESIDE) | SHELL
    assert stages["beside"] == (["Have the release"], "", there)
    assert stages["file, check"] == (["Have the release"], "", there)
    assert stages["file"] == (["Have the release"], "", there | in_opt(release("1.30.5")))
    assert stages["file again"][:2] == ([], "")


def test_role_says_all_that_is_wrong_at_once(stages):
    _changed, text, there = stages["all wrong"]
    for words in (
        "6 problems found before anything was changed",
        "istioctl_version 1.31 is not a full version",
        "istioctl_file istio.tgz is relative",
        "istioctl_checksum md5:1 is no sha256 checksum",
        "no istioctl for Linux s390x",
        "istioctl_dir istio is relative",
        "istioctl_mirors is not an option of the role istioctl. Did you mean istioctl_mirrors?",
    ):
        assert words in text, text
    assert there == stages["file"][2]
    assert "istioctl_file /nonexistent/x is no file of the controller" in stages["no file"][1]
    assert "istioctl_dir ~/istio is a home folder" in stages["no file"][1]
    assert "istioctl_mirrors is empty" in stages["no mirrors"][1]
    assert "istioctl_checksum belongs to one version" in stages["no mirrors"][1]


def test_role_removal(stages):
    # the current one goes, and with it what the shells read; the others stay
    assert stages["remove one"] == (
        ["Remove what was unpacked", "Take it out of the shells"],
        "",
        in_opt(release("1.31.1"), BESIDE) | {THEIRS},
    )
    assert "istioctl_version latest cannot be removed" in stages["remove wrong"][1]
    assert stages["remove all"] == (["Remove what was unpacked"], "", {THEIRS})
