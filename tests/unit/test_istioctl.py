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


def test_argv_of_what_only_looks():
    everything = istioctl.Analysis([], True, "", "istio-system", "")
    assert istioctl.argv_analyze("/i", everything, "x") == [
        *("/i", "analyze", "-o", "json", "-i", "istio-system", "-A", "--context", "x")
    ]
    files = istioctl.Analysis(["-a.yaml", "b"], False, "shop", "mesh", "1-31")
    assert istioctl.argv_analyze("/i", files, "x") == [
        *("/i", "analyze", "-o", "json", "-i", "mesh", "-n", "shop", "-r", "1-31", "--use-kube=false"),
        *("--", "-a.yaml", "b"),
    ]
    assert istioctl.argv_precheck("/i", "mesh") == ["/i", "x", "precheck", "-o", "json", "-i", "mesh"]
    assert istioctl.argv_tags("/i", "mesh", "x") == ["/i", "tag", "list", "-o", "json", "-i", "mesh", "--context", "x"]
    assert istioctl.argv_proxy_status("/i", "mesh") == ["/i", "proxy-status", "-o", "json", "-i", "mesh"]


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
    ("version", "command", "words"),
    [
        ("1.29.7", "proxy-status -o json", "only 1.30 and newer have it (istio/istio pull request 58493); ask istiod"),
        ("1.30.0", "proxy-status -o json", None),
        ("1.23.6", "profile", None),
        (
            "1.24.0",
            "profile",
            "it was removed in 1.24 (release note operator-drop-dump of istio/istio); read the folder",
        ),
        ("1.19.9", "x precheck -o json", "only 1.20 and newer have it (istio/istio pull request 46072)"),
        ("1.14.0", "analyze --revision", "istio/istio issue 38148"),
        ("1.10.0", "tag list -o json", "only 1.11 and newer"),
        ("my-build", "tag list -o json", None),
    ],
)
def test_gates_name_the_change(version, command, words):
    found = istioctl.unavailable(version, command)
    assert (found is None) if words is None else (words in found and found.startswith(f"istioctl {version} has no "))


@pytest.mark.parametrize(
    ("client", "mesh", "words"),
    [
        ("1.31.1", "1.31.0", None),
        ("1.30.5", "1.31.0", None),
        ("1.32.0-lab.1", "1.31.0", None),
        ("1.29.7", "1.31.0", "istioctl 1.29.7 is more than one minor version older than the control plane a/istiod"),
        ("1.32.0", "1.30.5", "newer than the control plane a/istiod, which is 1.30.5; use an istioctl of 1.30."),
        ("1.31.0", "2.31.0", "older"),
        ("1.31.0", "my-build", None),
    ],
)
def test_skew_problem(client, mesh, words):
    found = istioctl.skew_problem(client, mesh, "a/istiod")
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


LOOKS = istioctl.Analysis([], True, "", "istio-system", "")


def test_precheck_with_findings_ends_with_1_and_is_no_failure(tmp_path):
    script = (
        """echo '[{"code": "IST0141", "level": "Error", "message": "no"}]'; echo 'Error: Issues found' >&2; exit 1"""
    )
    assert [row["code"] for row in tool(tmp_path, script).precheck("istio-system")] == ["IST0141"]


def test_clean_precheck_prints_nothing(tmp_path):
    assert tool(tmp_path, "echo '✔ No issues found' >&2").precheck("istio-system") == []


def test_precheck_that_failed(tmp_path):
    script = "printf '2026-11-26T21:04:58.7Z\\twarn\\tx\\n'; echo 'Error: no such host' >&2; exit 1"
    with pytest.raises(MeshopsError, match=r"^istioctl x precheck failed with 1: no such host$"):
        tool(tmp_path, script).precheck("istio-system")


def test_analysis_that_failed_or_was_not_whole(tmp_path):
    with pytest.raises(MeshopsError, match=r"^istioctl analyze failed with 64: unknown flag: --x$"):
        tool(tmp_path, "echo 'Error: unknown flag: --x' >&2; exit 64").analyze(LOOKS)
    with pytest.raises(MeshopsError, match="Namespace shop does not exist"):
        tool(tmp_path, "echo 'namespace \"shop\" not found' >&2").analyze(LOOKS)
    assert tool(tmp_path, "echo '[]'").analyze(LOOKS) == []


@pytest.mark.parametrize(("call", "argument"), [("analyze", LOOKS), ("precheck", "istio-system")])
def test_kubeconfig_without_a_cluster(tmp_path, call, argument):
    refused = 'Error: Get "http://localhost:8080/version": dial tcp 127.0.0.1:8080: connect: connection refused'
    found = tool(tmp_path, f"echo '{refused}' >&2; exit 1")
    with pytest.raises(MeshopsError, match="found no cluster in the kubeconfig /k and asked localhost:8080"):
        getattr(found, call)(argument)


@pytest.mark.parametrize(("call", "argument"), [("analyze", LOOKS), ("precheck", "istio-system")])
def test_without_a_right_it_does_not_wait_for_ever(tmp_path, monkeypatch, call, argument):
    monkeypatch.setattr(istioctl, "_GLANCE_SECONDS", 0.1)
    recorded = Path(__file__).parent / "recorded/istioctl_analyze_1.32_denied.txt"
    found = tool(tmp_path, f"cat {recorded}; exec sleep 60")
    with pytest.raises(MeshopsError, match=rf"^istioctl .*{call} cannot go on: user weak may not list \w+"):
        getattr(found, call)(argument)


def test_a_command_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(istioctl, "_QUICK_SECONDS", 0.3)
    found = tool(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(MeshopsError, match=r"^istioctl tag list did not end within 0 s and was stopped\.$"):
        found.tags("istio-system")
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_tags_and_proxies(tmp_path):
    assert tool(tmp_path, "echo 'No Istio revision tags found.'").tags("istio-system") == []
    assert tool(tmp_path, "echo '{}'; echo '{}'").proxy_status("istio-system") == {}


def test_workspace_is_private_and_goes_away():
    with istioctl.workspace({"kind": "IstioOperator", "spec": {"values": {"secret": "s"}}}) as folder:
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        for path in Path(folder).iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "secret: s" in (Path(folder) / "operator.yaml").read_text()
    assert not Path(folder).exists()
