# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate istio_analyze: what counts, what is refused, what the failed task says."""

from __future__ import annotations

import json

import pytest
from mesh_world import RECORDED, Cluster, istiod, no_cluster, program, use

from ansible_collections.meshops.istio.plugins.module_utils import istio_analysis as analysis
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.istioctl_output import finding

FOUND = f"cat {RECORDED}/istioctl_analyze_1.24.json"  # an error on a VirtualService, an info on a Namespace
REVIEWS = "VirtualService bookinfo/reviews"


def params(**options):
    given = {
        "istioctl": "istioctl",
        "cluster": True,
        "files": None,
        "namespaces": None,
        "istio_namespace": "istio-system",
        "revision": None,
        "fail_on": "never",
        "ignore": None,
        "baseline": None,
    }
    return {**given, **options}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def run(monkeypatch, tmp_path):
    def call(script=FOUND, cluster=None, check_mode=False, version="1.32", **options):
        use(monkeypatch, cluster or Cluster(istiod(), namespace("bookinfo"), namespace("plain")))
        given = {"istioctl": program(tmp_path, version, script, tmp_path / "log"), **options}
        return analysis.analyze(params(**given), check_mode)

    call.log = tmp_path / "log"
    return call


def codes(rows):
    return [row["code"] for row in rows]


def test_all_namespaces_of_the_cluster(run):
    result = run()
    assert run.log.read_text().strip() == "analyze -o json -i istio-system -A"
    assert codes(result["findings"]) == codes(result["new"]) == ["IST0101", "IST0102"]
    assert result["counts"] == {"error": 1, "warning": 0, "info": 1}
    assert (result["changed"], result["version"]) == (False, "1.32.0-lab.1")


@pytest.mark.parametrize(("fail_on", "shut"), [("never", 0), ("info", 2), ("warning", 1), ("error", 1)])
def test_gate(run, fail_on, shut):
    if not shut:
        assert run(fail_on=fail_on)["findings"]
        return
    with pytest.raises(MeshopsError) as caught:
        run(fail_on=fail_on)
    assert codes(caught.value.result["findings"]) == ["IST0101", "IST0102"]
    words = "1 error and 1 info" if shut == 2 else "1 error"
    start = f"istioctl analyze found {words}: IST0101 {REVIEWS}: Referenced host+subset in destinationrule not found"
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith("Correct them, or name code and object under ignore.")


def test_the_first_ones_are_named_and_the_others_counted():
    many = [finding("IST0001", "Warning", f"m{n}.", f"Pod a/p{n}", "", "f.yaml:1" if n == 1 else "") for n in range(5)]
    assert analysis.sentence("istioctl analyze", many, "Do it.") == (
        "istioctl analyze found 5 warnings: IST0001 Pod a/p0: m0; IST0001 Pod a/p1 (f.yaml:1): m1; IST0001 Pod a/p2:"
        " m2; and 2 more. Do it."
    )


@pytest.mark.parametrize(
    ("code", "obj", "left"),
    [
        ("IST0101", None, ["IST0102"]),
        ("IST0101", REVIEWS, ["IST0102"]),
        ("IST0101", "VirtualService bookinfo/*", ["IST0102"]),
        ("*", "Namespace plain", ["IST0101"]),
        ("IST0102", REVIEWS, ["IST0101", "IST0102"]),
        ("IST0101", "VirtualService bookinfo", ["IST0101", "IST0102"]),
    ],
)
def test_ignored_by_code_and_object(run, code, obj, left):
    assert codes(run(ignore=[{"code": code, "object": obj}])["findings"]) == left


def test_only_what_is_new_counts(run):
    first = run()["findings"]
    again = run(baseline=first, fail_on="info")
    assert (again["new"], again["counts"]["error"]) == ([], 0)
    assert codes(again["findings"]) == ["IST0101", "IST0102"]  # so that it is a baseline in its turn
    moved = [{**row, "reference": "other.yaml:9", "documentation_url": "elsewhere"} for row in first]
    assert run(baseline=moved, fail_on="info")["new"] == []
    with pytest.raises(MeshopsError, match="found 1 error: IST0101"):
        run(baseline=first[1:], fail_on="error")
    assert codes(run(baseline=[{**first[0], "message": "another"}])["new"]) == ["IST0101", "IST0102"]
    assert codes(run(baseline=[{"code": "IST0101"}])["new"]) == ["IST0101", "IST0102"]


def test_one_namespace_and_several(run):
    assert codes(run(namespaces=["bookinfo"])["findings"]) == ["IST0101"]
    assert codes(run(namespaces=["plain", "bookinfo"])["findings"]) == ["IST0101", "IST0102"]
    assert [line.split("istio-system ")[1] for line in run.log.read_text().splitlines()] == ["-n bookinfo", "-A"]
    with pytest.raises(MeshopsError, match="Namespace shop does not exist"):
        run(namespaces=["shop"])


def test_what_is_of_no_namespace_stays():
    assert analysis.in_namespaces(finding("x", "Error", "m", "Cluster"), ["a"])
    assert not analysis.in_namespaces(finding("x", "Error", "m", "Pod b/p"), ["a"])


def test_files_without_a_cluster_need_no_kubeconfig(run, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("x")
    (tmp_path / "dir/sub").mkdir(parents=True)
    (tmp_path / "dir/sub/b.yml").write_text("x")
    files = [str(tmp_path / "a.yaml"), str(tmp_path / "dir")]
    use(monkeypatch, None)
    run(cluster=None, files=files)
    given = params(istioctl=str(tmp_path / "istioctl"), cluster=False, files=files)
    monkeypatch.setattr(analysis.Kube, "connect", staticmethod(lambda *_any: pytest.fail("asked for a cluster")))
    assert codes(analysis.analyze(given, False)["findings"]) == ["IST0101", "IST0102"]
    with_cluster, without = run.log.read_text().splitlines()
    assert with_cluster.endswith(f"-A -- {' '.join(files)}")
    assert without.endswith(f"-A --use-kube=false -- {' '.join(files)}")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, "of files does not exist; correct files"),
        ("a.txt", "has no file that ends in .json or .yaml or .yml"),
        ("dir/a.txt", "has no file that ends in"),
    ],
)
def test_files_that_istioctl_would_pass_over(run, tmp_path, make, words):
    if make:
        (tmp_path / make).parent.mkdir(exist_ok=True)
        (tmp_path / make).write_text("x")
    path = str(tmp_path / ((make or "nowhere").split("/")[0]))
    with pytest.raises(MeshopsError, match=words):
        run(files=[path])
    assert not run.log.exists()


def test_nothing_to_analyse(run):
    with pytest.raises(MeshopsError, match="nothing to analyse: cluster is false and files is empty"):
        analysis.analyze(params(cluster=False), False)


@pytest.mark.parametrize(("mesh", "way"), [("1.30.5", "newer"), ("1.34.0", "older")])
def test_a_mesh_too_far_away_is_a_finding(run, mesh, way):
    cluster = Cluster(istiod(mesh))
    with pytest.raises(MeshopsError, match=f"VersionSkew Deployment istio-system/istiod: .* {way} than the control"):
        run(cluster=cluster, fail_on="error")
    assert codes(run(cluster=cluster, ignore=[{"code": "VersionSkew", "object": None}])["findings"])[0] == "IST0101"


def test_only_the_control_plane_of_the_revision_matters(run):
    cluster = Cluster(istiod("1.29.7"), istiod("1.31.1", "1-31", "istiod-1-31"))
    assert codes(run(cluster=cluster, revision="1-31")["findings"]) == ["IST0101", "IST0102"]
    assert " -r 1-31" in run.log.read_text()
    assert codes(run(cluster=cluster)["findings"])[0] == "VersionSkew"
    with pytest.raises(MeshopsError, match=r"no control plane of revision 1-33: there is 1-31, default; correct"):
        run(cluster=cluster, revision="1-33")


def test_check_mode_before_there_is_anything(run, tmp_path):
    result = run(cluster=no_cluster(), check_mode=True)
    assert (result["findings"], result["warnings"]) == ([], ["Nothing was analysed: there is no kubeconfig"])
    result = run(istioctl=str(tmp_path / "none"), check_mode=True, fail_on="error")
    assert (result["version"], result["warnings"]) == (None, ["Nothing was analysed, there is no istioctl yet."])
    (tmp_path / "a.yaml").write_text("x")
    result = run(cluster=no_cluster(), check_mode=True, files=[str(tmp_path / "a.yaml")])
    assert codes(result["findings"]) == ["IST0101", "IST0102"]
    assert result["warnings"] == ["Only the files were analysed: there is no kubeconfig"]


def test_no_istioctl_and_one_that_fails(run, tmp_path):
    with pytest.raises(MeshopsError, match="There is no istioctl at"):
        run(istioctl=str(tmp_path / "none"))
    with pytest.raises(MeshopsError, match="istioctl analyze failed with 3: it said nothing"):
        run("exit 3")


def test_a_level_of_a_later_istioctl_shuts_the_gate():
    rows = [finding("IST9999", "Fatal", "m"), finding("IST0001", "Info", "m")]
    assert codes(analysis.reaching(rows, "error")) == ["IST9999"]
    assert "found 1: IST9999" in analysis.sentence("istioctl analyze", analysis.reaching(rows, "error"), "Do it.")
    assert json.dumps(analysis.counts(rows)) == '{"error": 0, "warning": 0, "info": 1}'
