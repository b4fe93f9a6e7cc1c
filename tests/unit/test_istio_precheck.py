# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate istio_precheck: istioctl's findings, and those of the module's own."""

from __future__ import annotations

import pytest
from mesh_world import RECORDED, Cluster, istiod, no_cluster, program, use

from ansible_collections.meshops.istio.plugins.module_utils import istio_analysis as analysis
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

CLEAN = "echo '✔ No issues found when checking the cluster.' >&2"


def printed(version):
    return f"cat {RECORDED}/istioctl_precheck_{version}.json; echo 'Error: Issues found' >&2; exit 1"


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(script=CLEAN, cluster=None, check_mode=False, version="1.32", **options):
        use(monkeypatch, cluster or Cluster(istiod()))
        given = {"istioctl": program(tmp_path, version, script, tmp_path / "log"), "namespace": "istio-system"}
        return analysis.precheck({**given, "fail_on": "error", **options}, check_mode)

    call.log = tmp_path / "log"
    return call


def codes(rows):
    return [row["code"] for row in rows]


def test_clean(run):
    result = run(fail_on="warning")
    assert run.log.read_text().strip() == "x precheck -o json -i istio-system"
    assert (result["findings"], result["counts"]) == ([], {"error": 0, "warning": 0, "info": 0})
    assert (result["version"], result["kubernetes"], result["changed"]) == ("1.32.0-lab.1", "1.36.3", False)
    assert [plane["version"] for plane in result["control_planes"]] == ["1.32.0-lab.1"]


def test_a_cluster_without_a_mesh_is_fine(run):
    assert run(cluster=Cluster())["control_planes"] == []


@pytest.mark.parametrize(
    ("recorded", "fail_on", "words"),
    [
        ("1.24", "error", "istioctl x precheck found 2 errors: IST0141 Cluster: Missing required permission to create"),
        ("1.24", "never", None),
        ("1.30", "error", None),
        ("1.30", "warning", "istioctl x precheck found 1 warning: IST0172 CustomResourceDefinition grpcroutes"),
    ],
)
def test_gate(run, recorded, fail_on, words):
    if words is None:
        assert run(printed(recorded), fail_on=fail_on)["findings"]
        return
    with pytest.raises(MeshopsError) as caught:
        run(printed(recorded), fail_on=fail_on)
    assert str(caught.value).startswith(words)
    assert caught.value.result["findings"]
    assert "warnings" not in caught.value.result


@pytest.mark.parametrize(("kubernetes", "words"), [("1.39.0", "Kubernetes 1.39.0 is not"), ("1.30.1", "1.30.1 is not")])
def test_a_kubernetes_that_this_istio_does_not_support(run, kubernetes, words):
    with pytest.raises(MeshopsError, match=words):
        run(cluster=Cluster(kubernetes=kubernetes))


def test_istioctl_that_says_so_itself_is_not_repeated(run):
    found = run(printed("1.24"), Cluster(kubernetes="1.27.3"), fail_on="never")["findings"]
    assert codes(found) == ["IST0141", "IST0142"]


@pytest.mark.parametrize(
    ("client", "meshes", "bad"),
    [
        ("1.31", ["1.31.1"], []),
        ("1.31", ["1.30.5", "1.32.0"], []),
        ("1.31", ["1.29.7"], ["Deployment istio-system/istiod"]),
        ("1.31", ["1.31.1", "1.33.0"], ["Deployment istio-system/istiod-r1"]),
        ("1.31", ["my-build"], []),
    ],
)
def test_skew_with_each_control_plane(run, client, meshes, bad):
    names = [("default", "istiod"), ("r1", "istiod-r1")]
    cluster = Cluster(*(istiod(mesh, *name) for mesh, name in zip(meshes, names)))
    found = run(cluster=cluster, version=client, fail_on="never")["findings"]
    assert [(row["code"], row["object"], row["namespace"]) for row in found] == [
        ("VersionSkew", where, "istio-system") for where in bad
    ]


def test_check_mode_before_there_is_anything(run, tmp_path):
    assert run(cluster=no_cluster(), check_mode=True)["warnings"] == ["Nothing was checked: there is no kubeconfig"]
    result = run(istioctl=str(tmp_path / "none"), check_mode=True)
    assert (result["version"], result["kubernetes"]) == (None, "1.36.3")
    assert result["warnings"] == ["Nothing was checked, there is no istioctl yet."]
    with pytest.raises(MeshopsError, match="There is no istioctl at"):
        run(istioctl=str(tmp_path / "none"))


def test_an_istioctl_without_that_output(run, monkeypatch):
    monkeypatch.setattr(analysis.istioctl.Istioctl, "version", lambda _self: "1.19.9")
    with pytest.raises(MeshopsError, match=r"istioctl 1.19.9 has no `x precheck -o json`: only 1.20 .*46072"):
        run()
    assert not run.log.exists()
