# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's builder: builds once, resumes, refuses what is not pinned."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab import binaries, cli, data, debs, nodes


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MESHOPS_LAB_CACHE", str(tmp_path / "cache"))
    return data.Cache.open()


@pytest.fixture
def commands(monkeypatch):
    """Records what would be run; a build leaves its output, one that is named in `broken` fails."""
    seen, broken = [], set()

    def run(argv, **_options):
        if argv[:2] == ["go", "build"]:
            output = Path(argv[argv.index("-o") + 1])
            if output.stem in broken:
                raise data.LabError(f"{output.stem} is interrupted")
            output.write_text("program")
            seen.append(output.stem)
        return ""

    monkeypatch.setattr(binaries, "run", run)
    return seen, broken


COMPONENTS = [
    {"name": "one", "version": 1, "source": "images/pause", "binaries": {"a": "./a", "b": "./b"}},
    {"name": "two", "version": 1, "source": "images/pause", "binaries": {"c": "./c"}},
]


def test_a_second_build_runs_nothing(cache, commands, capsys):
    seen = commands[0]
    first = binaries.build_all(cache, COMPONENTS)
    assert seen == ["a", "b", "c"]
    assert binaries.build_all(cache, COMPONENTS) == first
    assert seen == ["a", "b", "c"]
    assert "components 2/2 (cached)" in capsys.readouterr().out


def test_an_interrupted_build_goes_on_where_it_stopped(cache, commands):
    seen, broken = commands
    broken.add("b")
    with pytest.raises(data.LabError, match="b is interrupted"):
        binaries.build_all(cache, COMPONENTS)
    broken.clear()
    binaries.build_all(cache, COMPONENTS)
    assert seen == ["a", "b", "c"]


def test_another_version_is_another_build(cache):
    newer = {**COMPONENTS[0], "version": 2}
    assert binaries.folder(cache, newer) != binaries.folder(cache, COMPONENTS[0])


def test_inputs_that_are_not_pinned_are_refused(cache, tmp_path):
    component = {"name": "etcd", "version": "1", "wrapper": "etcd", "inputs": "0" * 64, "binaries": {"etcd": "x"}}
    with pytest.raises(data.LabError, match=r"components.yml expects 000000000000. Run `python3 -m lab inputs`"):
        binaries.wrapper_copy(component, tmp_path)


def test_an_unknown_source_is_one_sentence(cache, monkeypatch, capsys):
    monkeypatch.setenv("LAB_SOURCE", "elsewhere")
    monkeypatch.setattr(cli.engine, "ensure_tools", lambda build: None)
    monkeypatch.setattr(cli.engine, "ensure_engine", lambda log: None)
    assert cli.main(["build"]) == 1
    assert capsys.readouterr().err == "lab: LAB_SOURCE is elsewhere: it can be `build` (the default) or `upstream`.\n"


def test_the_state_folder_is_private(cache):
    assert cache.state.stat().st_mode & 0o077 == 0


def test_nodes_ask_the_mirror_for_names_where_there_is_one(cache):
    described = data.load()["nodes"]
    assert nodes.write_resolver(cache, described).read_text() == "nameserver 172.30.0.10\n"
    without = [node for node in described if node["name"] != nodes.MIRROR]
    assert nodes.write_resolver(cache, without).read_text() == Path("/etc/resolv.conf").read_text()


def test_a_package_is_laid_out_with_its_modes(cache, tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text("x")
    program.chmod(0o755)
    trees = []

    def run(argv):
        tree = Path(argv[-2])
        trees.append({str(p.relative_to(tree)): oct(p.stat().st_mode & 0o777) for p in tree.rglob("*") if p.is_file()})
        assert "Version: 1-1\n" in (tree / "DEBIAN/control").read_text()
        Path(argv[-1]).write_text("deb")

    monkeypatch.setattr(debs, "run", run)
    package = {
        "name": "p",
        "version": "1-1",
        "repository": "r",
        "tree": {"usr/bin/p": "c/program", "usr/lib/u": "package_files/kubelet.service"},
    }
    for _again in range(2):
        debs.build_all(cache, [package], {"c": tmp_path})
    assert trees == [{"usr/bin/p": "0o755", "usr/lib/u": "0o644", "DEBIAN/control": "0o644"}]
    assert (cache.content / "packages/r/p_1-1_amd64.deb").exists()
