# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istioctl: argument lists and parsed answers, as recorded."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import istioctl
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

VERSION = """{
  "clientVersion": {
    "version": "1.32.0-lab.1",
    "revision": "unknown",
    "golang_version": "go1.26.8",
    "status": "Clean",
    "tag": "1.32.0-lab.1"
  }
}
"""


def test_argv():
    assert istioctl.argv_version("/i") == ["/i", "version", "--remote=false", "-o", "json"]
    assert istioctl.argv_generate("/i", "/f", cluster=False, context="x") == ["/i", "manifest", "generate", "-f", "/f"]
    assert istioctl.argv_generate("/i", "/f", cluster=True, context="x")[-3:] == [
        "--cluster-specific",
        "--context",
        "x",
    ]
    assert istioctl.argv_install("/i", "/f", 60) == ["/i", "install", "-y", "-f", "/f", "--readiness-timeout", "60s"]


def test_environment_has_no_defaults_of_the_user():
    env = istioctl.environment({"PATH": "/bin", "ISTIOCTL_ISTIONAMESPACE": "evil"}, ["/a", "/b"], "/c")
    assert env == {"PATH": "/bin", "ISTIOCONFIG": "/c", "KUBECONFIG": "/a:/b", "NO_COLOR": "1"}


def test_parse_version():
    assert istioctl.parse_version(VERSION) == "1.32.0-lab.1"
    for text in ("", "[]", '{"clientVersion": null}', "unknown command"):
        with pytest.raises(MeshopsError, match="something else than its version"):
            istioctl.parse_version(text)


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            'Error: could not unmarshal: json: unknown field "meshConfg"\n',
            'could not unmarshal: json: unknown field "meshConfg"',
        ),
        (
            "- Processing resources for Istiod.\n✘ Istiod encountered an error: x\nError: failed to install: 1 error"
            " occurred:\n\t* failed to wait for resource: resources not ready after 4s\n\n",
            "failed to install: 1 error occurred: * failed to wait for resource: resources not ready after 4s",
        ),
        ("panic\nsomething\n", "something"),
        ("", "it said nothing"),
    ],
)
def test_parse_error(stderr, expected):
    assert istioctl.parse_error(stderr) == expected


@pytest.mark.parametrize(
    ("version", "words"),
    [("1.31.1", None), ("1.24.0", None), ("1.23.6", "too old"), ("1.6.0", "too old"), ("unknown", "calls itself")],
)
def test_version_problem(version, words):
    found = istioctl.version_problem(version)
    assert (found is None) if words is None else (words in found)


@pytest.mark.parametrize(
    ("installed", "wanted", "words"),
    [
        (None, "1.31.1", None),
        ("1.31.0", "1.31.1", None),
        ("1.30.5", "1.31.1", None),
        ("1.32.0-lab.1", "1.31.1", None),
        ("my-build", "1.31.1", None),
        ("1.29.7", "1.31.1", "an upgrade in place takes one minor version at a time; go to 1.30 first"),
        ("1.32.0", "1.30.5", "a downgrade in place takes one minor version at a time; go to 1.31 first"),
    ],
)
def test_step_problem(installed, wanted, words):
    found = istioctl.step_problem(installed, wanted)
    assert (found is None) if words is None else (words in found)


def tool(tmp_path, script):
    path = tmp_path / "istioctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return istioctl.Istioctl(str(path), ["/k"], None, str(tmp_path))


def test_missing_program_is_a_sentence(tmp_path):
    with pytest.raises(istioctl.IstioctlMissing, match="There is no istioctl at /nowhere/istioctl"):
        istioctl.Istioctl("/nowhere/istioctl", [], None, str(tmp_path)).version()


def test_failure_carries_the_reason(tmp_path):
    with pytest.raises(MeshopsError, match=r"^istioctl manifest generate failed with 1: it broke$"):
        tool(tmp_path, "echo 'Error: it broke' >&2; exit 1").render(cluster=False)


def test_program_for_another_machine(tmp_path):
    (tmp_path / "istioctl").write_bytes(b"\x7fELFnot really")
    (tmp_path / "istioctl").chmod(0o755)
    with pytest.raises(MeshopsError, match="is it built for this machine"):
        istioctl.Istioctl(str(tmp_path / "istioctl"), [], None, str(tmp_path)).version()


def test_render_parses_what_is_printed(tmp_path):
    script = "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: a}\\n---\\n'"
    assert tool(tmp_path, script).render(cluster=True) == [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    ]


def test_workspace_is_private_and_goes_away():
    with istioctl.workspace({"kind": "IstioOperator", "spec": {"values": {"secret": "s"}}}) as folder:
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        for path in Path(folder).iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "secret: s" in (Path(folder) / "operator.yaml").read_text()
    assert not Path(folder).exists()
