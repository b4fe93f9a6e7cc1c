# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istioctl_output.py: what istioctl prints, by version.

Recorded from a run: the files of 1.32, printed by the lab's istioctl, without a cluster or on a
bare API server. Made by the form in upstream's source, since older ones cannot be run here: those of 1.20 to 1.31,
from the branches release-1.20 to release-1.31 of istio/istio (pkg/config/analysis/diag/message.go,
istioctl/pkg/{tag,precheck}, istioctl/pkg/writer/pilot/status.go).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import istioctl_output as output
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

RECORDED = Path(__file__).parent / "recorded"
HOST = 'Referenced host+subset in destinationrule not found: "reviews+v9"'


def recorded(name):
    return (RECORDED / f"istioctl_{name}").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "version"), [("1.24", "1.24.6"), ("1.31", "1.31.1"), ("1.32", "1.32.0-lab.1")])
def test_version(name, version):
    assert output.parse_version(recorded(f"version_{name}.json")) == version


def rows(found, *keys):
    return [tuple(row[key] for key in keys) for row in found]


def test_analysis_of_1_24_has_no_cluster():
    found = output.parse_messages(recorded("analyze_1.24.json"), "analyze")
    assert rows(found, "code", "level", "object", "namespace", "reference") == [
        ("IST0101", "Error", "VirtualService bookinfo/reviews", "bookinfo", ""),
        ("IST0102", "Info", "Namespace plain", "plain", ""),
    ]
    assert found[0]["message"] == HOST
    assert found[0]["documentation_url"].startswith("https://istio.io/v1.24/docs/reference/config/analysis/ist0101/")


def test_analysis_of_1_30_may_name_the_cluster_and_lack_an_object():
    found = output.parse_messages(recorded("analyze_1.30.json"), "analyze")
    assert rows(found, "code", "level", "object", "namespace") == [
        ("IST0101", "Error", "VirtualService bookinfo/reviews", "bookinfo"),
        ("IST0132", "Warning", "", ""),
    ]
    assert set(found[0]) == {"code", "level", "message", "object", "namespace", "documentation_url", "reference"}


def test_analysis_of_1_32_names_file_and_line():
    found = output.parse_messages(recorded("analyze_1.32.json"), "analyze")
    assert rows(found, "code", "reference") == [
        ("IST0101", "routes.yaml:6"),
        ("IST0101", "routes.yaml:8"),
        ("IST0132", "routes.yaml:6"),
    ]


def test_analysis_of_1_32_of_a_cluster():
    found = output.parse_messages(recorded("analyze_1.32_cluster.json"), "analyze")
    assert rows(found, "code", "level", "object", "namespace")[2:] == [
        ("IST0132", "Warning", "VirtualService bookinfo/reviews", "bookinfo"),
        ("IST0102", "Info", "Namespace default", "default"),
        ("IST0102", "Info", "Namespace plain", "plain"),
        ("IST0118", "Info", "Service bookinfo/reviews", "bookinfo"),
    ]


def test_log_lines_before_the_json_are_passed_over():
    text = recorded("analyze_1.32_unread.txt")
    assert "\twarn\t" in text.splitlines()[0]
    assert len(output.parse_messages(text, "analyze")) == 3


@pytest.mark.parametrize("text", ["", "\n", "[]\n", recorded("analyze_1.20_clean.json")])
def test_nothing_found(text):
    assert output.parse_messages(text, "x precheck") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.24", [("IST0141", "Error", "Cluster"), ("IST0142", "Error", "Cluster")]),
        ("1.32", [("IST0141", "Error", "Cluster")] * 11),
        (
            "1.30",
            [("IST0172", "Warning", "CustomResourceDefinition grpcroutes.gateway.networking.k8s.io")],
        ),
    ],
)
def test_precheck(name, expected):
    found = output.parse_messages(recorded(f"precheck_{name}.json"), "x precheck")
    assert rows(found, "code", "level", "object") == expected
    assert {row["namespace"] for row in found} == {""}


@pytest.mark.parametrize("text", ["✔ No issues found", "{}", '["x"]', '[{"level": "Error"}]', "[{"])
def test_what_is_no_list_of_findings(text):
    with pytest.raises(MeshopsError, match=r"istioctl analyze answered"):
        output.parse_messages(text, "analyze")


def test_files_that_were_not_read_are_a_sentence():
    found = output.analysis_problem(recorded("analyze_1.32_unread.stderr.txt"))
    assert found == (
        "A file cannot be analysed: error processing broken.yaml[0]: failed converting YAML to JSON: yaml: line 3: did"
        " not find expected ',' or '}'; correct it, or take it out of files."
    )


def test_other_ends_of_an_analysis():
    # the namespace that is missing: istioctl/pkg/analyze/analyze.go, with exit code 0
    assert output.analysis_problem('namespace "shop" not found\n').startswith("Namespace shop does not exist")
    assert output.analysis_problem("✔ No validation issues found when analyzing all namespaces.\n") is None
    assert output.analysis_problem("Skipping file a.txt, recognized file extensions are: [.json .yaml .yml]\n") is None


def test_no_cluster_in_the_kubeconfig():
    assert output.no_cluster(recorded("analyze_1.32_no_cluster.stderr.txt"))
    assert not output.no_cluster('Error: Get "https://10.0.0.1:6443/api": dial tcp 10.0.0.1:6443: connection refused')


def test_a_missing_right_is_in_the_log():
    words = output.denied(recorded("analyze_1.32_denied.txt"))
    assert words.startswith("user weak may not list ")
    assert words.endswith("; grant it by a ClusterRole, or use another kubeconfig")
    crd = "failed to list *v1.VirtualService: virtualservices.networking.istio.io is forbidden"
    found = f'{crd}: User "u" cannot list resource "virtualservices" in API group "networking.istio.io"'
    assert output.denied(found).startswith("user u may not list virtualservices.networking.istio.io;")
    # a finding of precheck is no right that it waits for
    assert output.denied('"message": "Missing (User \\"u\\" cannot create resource \\"roles\\" in API group)"') == ""


@pytest.mark.parametrize("name", ["1.24", "1.29"])
def test_no_tags_is_plain_text(name):
    assert output.parse_tags(recorded(f"tags_none_{name}.txt")) == []


def test_tags_of_1_24():
    assert output.parse_tags(recorded("tags_1.24.json")) == [
        {"tag": "prod", "revision": "1-24-6", "namespaces": ["bookinfo"]}
    ]


def test_tags_of_1_32():
    assert output.parse_tags(recorded("tags_1.32.json")) == [
        {"tag": "prod", "revision": "1-31-1", "namespaces": ["bookinfo"]}
    ]


def test_tags_of_1_31_leave_out_plain_revisions():
    assert rows(output.parse_tags(recorded("tags_1.31.json")), "tag", "revision", "namespaces") == [
        ("default", "default", []),
        ("prod", "default", ["bookinfo", "shop"]),
    ]


@pytest.mark.parametrize("text", ["no tags", "{}", '[{"revision": "x"}]', "[1]"])
def test_what_is_no_list_of_tags(text):
    if text == "{}":
        assert output.parse_tags(text) == []
        return
    with pytest.raises(MeshopsError, match="something else than tags"):
        output.parse_tags(text)


def test_proxy_status_is_one_document_for_each_istiod():
    assert output.parse_proxy_status(recorded("proxy_status_1.30.json")) == {
        "reviews-v1-6f8c8d-abcde.bookinfo": {
            "Cluster": "SYNCED",
            "RouteConfiguration": "STALE",
            "TypedExtensionConfig": "NOT_SENT",
        },
        "istio-ingressgateway-7d9-xyz.istio-system": {"Cluster": "ERROR", "Listener": "UNKNOWN"},
    }


@pytest.mark.parametrize(
    "text", ["NAME CLUSTER ISTIOD", '{"resources": [{}]}', '{"resources": [{"node": {"id": "x"}}]}']
)
def test_what_is_no_proxy_status(text):
    with pytest.raises(MeshopsError, match="something else than proxies"):
        output.parse_proxy_status(text)
