# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role: the documented options are the defaults, and the skeleton is complete."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(role, path):
    return yaml.safe_load((ROOT / "roles" / role / path).read_text(encoding="utf-8"))


def test_there_are_roles():
    assert {"node", "containerd", "mirror"} <= set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_skeleton(role):
    files = [
        "README.md",
        "defaults/main.yml",
        "meta/main.yml",
        "meta/argument_specs.yml",
        "tasks/main.yml",
        "tasks/preflight.yml",
    ]
    assert [name for name in files if not (ROOT / "roles" / role / name).is_file()] == []
    info = load(role, "meta/main.yml")["galaxy_info"]
    assert (info["license"], info["min_ansible_version"]) == ("GPL-3.0-or-later", "2.18")
    assert f"meshops.istio.{role}" in (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_what_is_documented(role):
    defaults = load(role, "defaults/main.yml") or {}
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})
    documented = {name: option.get("default") for name, option in options.items() if not option.get("required")}
    assert defaults == documented


@pytest.mark.parametrize("role", ROLES)
def test_options_are_described_and_prefixed(role):
    for entry, spec in load(role, "meta/argument_specs.yml")["argument_specs"].items():
        assert spec["short_description"], entry
        for name, option in spec.get("options", {}).items():
            assert name.startswith(f"{role}_"), name
            assert option["description"] and option["type"], name


@pytest.mark.parametrize("role", ROLES)
def test_each_entry_point_has_tasks_and_each_documented_one_exists(role):
    for entry in load(role, "meta/argument_specs.yml")["argument_specs"]:
        assert (ROOT / "roles" / role / "tasks" / f"{entry}.yml").is_file(), entry
