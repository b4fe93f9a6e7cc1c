# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IstioOperator document of a task's options, `set` by a table, and istioctl's complaints as recorded."""

from __future__ import annotations

import pytest
from control_plane_world import SYSTEM, params

from ansible_collections.meshops.istio.plugins.module_utils import control_plane_input as given
from ansible_collections.meshops.istio.plugins.module_utils import control_plane_set
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

PLAIN = {"profile": "default", "hub": "docker.io/istio"}
HEAD = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"


def spec(**options):
    return given.operator_document(params(**options))["spec"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PLAIN),
        ({"revision": "default"}, PLAIN),
        (
            {"tag": "1.31.1", "revision": "1-31-1", "hub": None, "spec": {"profile": "demo", "values": {"a": None}}},
            {"profile": "demo", "tag": "1.31.1", "revision": "1-31-1", "values": {"a": None}},
        ),
        (
            {"namespace": "mesh", "spec": {"values": {"global": {"network": "n1"}, "b": None}}},
            {**PLAIN, "values": {"global": {"istioNamespace": "mesh", "network": "n1"}, "b": None}},
        ),
        ({"spec": {"values": {"a": 1, "b": 1}}, "values": {"b": 2}}, {**PLAIN, "values": {"a": 1, "b": 2}}),
        (
            {"values": {"b": {"c": 2}}, "set": ["values.b.c=3", "values.b.d=x=y"]},
            {**PLAIN, "values": {"b": {"c": 3, "d": "x=y"}}},
        ),
    ],
)
def test_operator_document(options, expected):
    document = given.operator_document(params(**options))
    assert document == {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": expected}
    assert given.namespace_of(document) == options.get("namespace", SYSTEM)


def test_operator_document_refuses_a_whole_document():
    with pytest.raises(MeshopsError, match="what stands under spec"):
        spec(spec={"kind": "IstioOperator", "spec": {}})


def test_options_are_not_changed():
    options = {"spec": {"values": {"a": {"b": 1}}}, "values": {"c": {"d": 1}}}
    spec(**options, set=["values.a.b=2", "values.c.d=2"])
    assert options == {"spec": {"values": {"a": {"b": 1}}}, "values": {"c": {"d": 1}}}


def test_files_from_left_to_right_under_spec(tmp_path):
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(
        f"{HEAD}metadata: {{name: one}}\nspec:\n  profile: demo\n  tag: 1.31\n"
        "  components: {ingressGateways: [{name: a}, {name: b}]}\n  values: {a: {x: 1, y: 1}}\n"
    )
    second.write_text(
        f"---\n{HEAD}metadata: {{name: two}}\nspec:\n  components: {{ingressGateways: [{{name: c}}]}}\n"
        "  values: {a: {y: 2}}\n"
    )
    document = given.operator_document(params(files=[str(first), str(second)], spec={"values": {"a": {"z": 3}}}))
    assert document["metadata"] == {"name": "two"}
    assert document["spec"] == {
        **PLAIN,
        "profile": "demo",
        "tag": 1.31,
        "components": {"ingressGateways": [{"name": "c"}]},
        "values": {"a": {"x": 1, "y": 2, "z": 3}},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not an IstioOperator"),
        ("kind: ConfigMap\napiVersion: v1\n", "is not an IstioOperator"),
        (f"{HEAD}spec: {{}}\n---\n{HEAD}spec: {{}}\n", "cannot be read"),
        (f"{HEAD}spec: {{}}\nmeshConfig: {{}}\n", "has meshConfig beside spec"),
        (f"{HEAD}spec: [1]\n", "spec of .* is not a dictionary"),
        ("a: b: c", "cannot be read"),
    ],
)
def test_files_that_are_refused(tmp_path, text, words):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(MeshopsError, match=words):
        spec(files=[str(path)])


@pytest.mark.parametrize(
    ("revision", "right"),
    [("1-31-1", True), ("a", True), ("1.31.1", False), ("-a", False), ("A", False), ("a" * 64, False), ("a\n", False)],
)
def test_revision_is_a_dns_label(revision, right):
    if right:
        assert spec(revision=revision)["revision"] == revision
        return
    for options in ({"revision": revision}, {"spec": {"revision": revision}}):
        with pytest.raises(MeshopsError, match="is not a DNS label"):
            spec(**options)


def test_manifests_have_to_be_a_folder_of_a_release(tmp_path):
    with pytest.raises(MeshopsError, match=f"There are no profiles in {tmp_path}"):
        spec(manifests=str(tmp_path))
    (tmp_path / "profiles").mkdir()
    assert spec(manifests=str(tmp_path))["installPackagePath"] == str(tmp_path)


def test_namespace_has_the_network_as_the_installer_would_set_it():
    document = given.operator_document(params(spec={"values": {"global": {"network": "n1"}}}))
    assert given.namespace_object(document)["metadata"]["labels"] == {"topology.istio.io/network": "n1"}
    assert "labels" not in given.namespace_object(given.operator_document(params()))["metadata"]


# Compared with what `istioctl manifest generate --set` of 1.32 makes of them; where that panics, they mean the obvious.
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["a.b=c"], {"a": {"b": "c"}}),
        (
            ["a.b=1", "a.c=1.5", "a.d=true", "a.e=False", "a.f="],
            {"a": {"b": 1, "c": 1.5, "d": True, "e": False, "f": ""}},
        ),
        (
            ["a=t", "b=yes", "c=null", "d=1e3", "e=007", "f=+5"],
            {"a": True, "b": "yes", "c": "null", "d": 1000.0, "e": 7, "f": 5},
        ),
        (["a=nan", "b=1_000", "c=0x10", "d=1.2.3"], {"a": "nan", "b": "1_000", "c": "0x10", "d": "1.2.3"}),
        (
            ["tag=1.31", "values.global.tag=1", "compatibilityVersion=1.30"],
            {"tag": "1.31", "values": {"global": {"tag": "1"}}, "compatibilityVersion": "1.30"},
        ),
        (
            ["meshConfig.defaultConfig.proxyMetadata.A=true"],
            {"meshConfig": {"defaultConfig": {"proxyMetadata": {"A": "true"}}}},
        ),
        ([r"a.b\.c/d=e"], {"a": {"b.c/d": "e"}}),
        ([r"a=b\,c"], {"a": "b,c"}),
        (["a=b=c=d"], {"a": "b=c=d"}),
        (["a[0].b=1", "a[0].c=2", "a.[1].b=3"], {"a": [{"b": 1, "c": 2}, {"b": 3}]}),
        (["a[0]=x", "a[5]=y", "a[0]=z"], {"a": ["z", "y"]}),
        (["a[0].name=x", "a.[name:x].b=2"], {"a": [{"name": "x", "b": 2}]}),
        ([" a.b = c "], {"a": {"b": "c"}}),
    ],
)
def test_set(entries, expected):
    made = {}
    control_plane_set.apply(made, entries)
    assert made == expected
    assert repr(made) == repr(expected)  # 1, 1.0 and True are equal, but not the same setting


@pytest.mark.parametrize(
    ("start", "entries", "words"),
    [
        ({}, ["a.b=1", "enableTracing"], r"set\[1\] 'enableTracing' is not of the form path=value"),
        ({}, ["=1"], "is not of the form"),
        ({"a": [1]}, ["a.b=1"], r"set\[0\] a.b cannot be set: there is no key b in a list"),
        ({"a": "x"}, ["a[0]=1"], "names an item of what is no list"),
        ({"a": []}, ["a.[name:x].b=1"], "no item has name: x"),
    ],
)
def test_set_that_is_refused(start, entries, words):
    with pytest.raises(MeshopsError, match=words):
        control_plane_set.apply(start, entries)


DOCUMENT = {
    "spec": {
        "meshConfg": {},
        "components": {"pilot": {"k8s": {"replicaCoun": 2}}, "ingressGateways": [{"name": "a", "enable": True}]},
        "values": {"pilott": {}, "pilot": {"envv": {}, "enable": 1}, "global": {"proxy": {"imge": "a"}}},
    }
}
YAML = "could not unmarshal: error unmarshaling JSON: while decoding JSON: "


# As istioctl 1.32 said them; 1.24 to 1.31 have the same code.
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            'merge inputs: profile "foo" not found: open profiles/foo.yaml: file does not exist',
            "There is no profile foo: choose one of default, mine.",
        ),
        ('could not unmarshal: json: unknown field "meshConfg"', "unknown field: spec.meshConfg."),
        (
            'could not unmarshal: json: unknown field "replicaCoun"',
            "unknown field: spec.components.pilot.k8s.replicaCoun.",
        ),
        (
            'could not unmarshal: json: unknown field "enable"',
            "unknown field: spec.components.ingressGateways[0].enable.",
        ),
        (
            f'{YAML}unknown field "pilott" in istio.operator.v1alpha1.Values',
            "unknown field: spec.values.pilott (Values has no such field).",
        ),
        (
            f'{YAML}unknown field "envv" in istio.operator.v1alpha1.PilotConfig',
            "unknown field: spec.values.pilot.envv (PilotConfig has no such field).",
        ),
        ('could not unmarshal: json: unknown field "of-the-profile"', "unknown field: of-the-profile."),
        (
            "could not unmarshal: json: cannot unmarshal string into Go struct field"
            " KubernetesResources.spec.components.pilot.k8s.replicaCount of type uint32",
            "spec.components.pilot.k8s.replicaCount is a string, but has to be of type uint32.",
        ),
        ("something else", "something else"),
    ],
)
def test_complaints_name_the_path(said, expected):
    said = f"istioctl manifest generate failed with 1: {said}"
    assert expected in given.complaint(said, DOCUMENT, ["default", "mine"])


def test_profiles_are_those_of_the_release(tmp_path):
    (tmp_path / "manifests" / "profiles").mkdir(parents=True)
    (tmp_path / "manifests" / "profiles" / "mine.yaml").write_text("")
    assert given.profiles("/nowhere", str(tmp_path / "manifests")) == ["mine"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "istioctl").write_text("")
    (tmp_path / "bin" / "istioctl").chmod(0o755)
    assert given.profiles(str(tmp_path / "bin" / "istioctl"), None) == ["mine"]
    assert "ambient" in given.profiles("/nowhere", None)
