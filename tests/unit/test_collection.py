# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a whole: it installs from a tarball, its names resolve there, its data agrees with itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(PROJECT))

from lab import binaries, data  # noqa: E402 - the path comes first


def run(*argv: str, cwd: Path, **environment: str) -> str:
    scrubbed = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    result = subprocess.run(
        [str(BIN / argv[0]), *argv[1:]],
        cwd=cwd,
        env={**scrubbed, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder in which the built tarball is installed, away from the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder), cwd=PROJECT)
    (tarball,) = folder.glob("*.tar.gz")
    run("ansible-galaxy", "collection", "install", "--no-deps", "-p", str(folder), str(tarball), cwd=folder)
    return folder


def test_playbooks_of_the_tarball_resolve_by_name(installed):
    argv = ["ansible-playbook", "meshops.istio.site", "--list-tasks", "-i", str(PROJECT / "inventories/three_nodes")]
    output = run(*argv, cwd=installed, ANSIBLE_COLLECTIONS_PATH=str(installed))
    assert "meshops.istio.kubeadm" in output or "kubeadm" in output


def test_modules_of_the_tarball_have_a_page(installed):
    modules = sorted(path.stem for path in (PROJECT / "plugins/modules").glob("*.py"))
    names = [f"meshops.istio.{module}" for module in modules]
    output = run(
        "ansible-doc", "--json", "-t", "module", *names, cwd=installed, ANSIBLE_COLLECTIONS_PATH=str(installed)
    )
    assert sorted(name for name, page in json.loads(output).items() if page.get("doc")) == names


def test_the_tarball_has_nothing_of_the_workshop(installed):
    inside = installed / "ansible_collections/meshops/istio"
    names = {path.name for path in inside.iterdir()}
    assert not names & {"lab", ".venv", "collections", "build", ".ci"}, names
    assert not list(inside.rglob("admin.conf"))


def test_digests_of_the_wrapper_modules_are_pinned():
    for component in data.load()["components"]:
        if "wrapper" in component:
            assert component["inputs"] == binaries.wrapper_digest(component["wrapper"]), component["name"]


def test_every_file_of_an_image_or_package_is_built():
    described = data.load()
    built = {
        f"{component['name']}/{name}"
        for component in described["components"]
        for name in component.get("binaries", {component["name"]: ""})
    }
    wanted = {source for image in described["images"] for source in image["copy"]}
    wanted |= {source for package in described["packages"] for source in package["tree"].values()}
    assert {source for source in wanted if not source.startswith("package_files/")} <= built
    assert all((PROJECT / "lab" / source).is_file() for source in wanted if source.startswith("package_files/"))


def test_inventories_parse_and_have_the_groups():
    for inventory in sorted(path.parent for path in (PROJECT / "inventories").glob("*/hosts.yml")):
        found = yaml.safe_load(run("ansible-inventory", "-i", str(inventory), "--list", "--yaml", cwd=PROJECT))
        assert found["all"]["children"]["mesh"]["hosts"], inventory
