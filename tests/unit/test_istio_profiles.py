# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles read from the folder of a release; the folder is made in the form of istio/istio, manifests/."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.meshops.istio.plugins.module_utils import istio_profiles as profiles
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

HEAD = {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator"}
GATEWAYS = [{"name": "istio-ingressgateway", "enabled": True}, {"name": "second", "enabled": True}]
FILES = {
    "default": {
        **HEAD,
        "spec": {
            "hub": "docker.io/istio",
            "components": {"base": {"enabled": True}, "pilot": {"enabled": True}, "ingressGateways": GATEWAYS},
            "values": {"global": {"istioNamespace": "istio-system"}},
        },
    },
    "demo": {**HEAD, "spec": {"values": {"profile": "demo", "pilot": {"traceSampling": 50}}}},
    "minimal": {
        **HEAD,
        "spec": {"components": {"ingressGateways": [{"name": "istio-ingressgateway", "enabled": False}]}},
    },
    "openshift": {**HEAD, "spec": {"values": {"global": {"platform": "openshift"}}}},
}
SETTINGS = {
    "demo": {"pilot": {"autoscaleEnabled": False, "traceSampling": 100}},
    "platform-openshift": {"cni": {"cniBinDir": "/var/lib/cni/bin"}},
}


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "istio-1.31.1"
    settings = root / "manifests/charts/istio-control/istio-discovery/files"
    for folder in (root / "bin", root / "manifests/profiles", settings):
        folder.mkdir(parents=True)
    for name, content in FILES.items():
        (root / f"manifests/profiles/{name}.yaml").write_text(yaml.safe_dump(content))
    for name, content in SETTINGS.items():
        (settings / f"profile-{name}.yaml").write_text(yaml.safe_dump(content))
    (root / "bin/istioctl").write_text("#!/bin/sh\n")
    (root / "bin/istioctl").chmod(0o755)
    return root


def test_folder_is_found_beside_istioctl_through_links(release, tmp_path):
    (tmp_path / "current").symlink_to(release)
    (tmp_path / "istioctl").symlink_to(tmp_path / "current/bin/istioctl")
    found = profiles.folder(None, str(tmp_path / "istioctl"))
    assert found == release / "manifests"
    assert profiles.names(found) == ["default", "demo", "minimal", "openshift"]


def test_folder_may_be_given_as_itself_or_as_the_release(release):
    assert profiles.folder(str(release), "none") == profiles.folder(str(release / "manifests"), "none")
    with pytest.raises(MeshopsError, match=r"no profiles in .*bin: set manifests to the folder"):
        profiles.folder(str(release / "bin"), "none")


def test_no_folder(tmp_path):
    assert profiles.folder(None, str(tmp_path / "none")) is None
    (tmp_path / "istioctl").write_text("")
    (tmp_path / "istioctl").chmod(0o755)
    assert profiles.folder(None, str(tmp_path / "istioctl")) is None
    assert profiles.names(None) == []
    with pytest.raises(MeshopsError, match=r"no command for it since 1\.24 \(release note operator-drop-dump\)"):
        profiles.dump(None, "demo")


def test_default_is_itself(release):
    assert profiles.dump(release / "manifests", "default") == FILES["default"]


def test_a_profile_lies_over_default(release):
    spec = profiles.dump(release / "manifests", "minimal")["spec"]
    assert spec["components"] == {
        "base": {"enabled": True},
        "pilot": {"enabled": True},
        "ingressGateways": [{"name": "istio-ingressgateway", "enabled": False}],  # a list as a whole, as istioctl does
    }
    assert spec["hub"] == "docker.io/istio"


def test_the_charts_settings_lie_below_the_profiles_own(release):
    assert profiles.dump(release / "manifests", "demo")["spec"]["values"] == {
        "profile": "demo",
        "global": {"istioNamespace": "istio-system"},
        "pilot": {"autoscaleEnabled": False, "traceSampling": 50},
    }
    values = profiles.dump(release / "manifests", "openshift")["spec"]["values"]
    assert values["cni"] == {"cniBinDir": "/var/lib/cni/bin"}


def test_unknown_profile_lists_those_there_are(release):
    with pytest.raises(MeshopsError, match=r"Did you mean minimal\? There are default, demo, minimal, openshift\."):
        profiles.dump(release / "manifests", "minimel")


@pytest.mark.parametrize(("text", "words"), [("a: [", "cannot be read"), ("- a", "is no profile")])
def test_a_broken_file_is_named(release, text, words):
    (release / "manifests/profiles/demo.yaml").write_text(text)
    with pytest.raises(MeshopsError, match=rf"demo\.yaml {words}"):
        profiles.dump(release / "manifests", "demo")
