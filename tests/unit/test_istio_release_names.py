# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and machines of Istio's releases, as tables."""

from __future__ import annotations

import pytest
from fake_releases import feed

from ansible_collections.meshops.istio.plugins.filter.istio_release_problems import istio_release_problems
from ansible_collections.meshops.istio.plugins.module_utils import istio_release as names
from ansible_collections.meshops.istio.plugins.module_utils import istioctl, support
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

GITHUB = "https://github.com/istio/istio/releases/download"


@pytest.mark.parametrize(
    ("version", "system", "machine", "whole", "client"),
    [
        ("1.31.1", "Linux", "x86_64", "istio-1.31.1-linux-amd64.tar.gz", "istioctl-1.31.1-linux-amd64.tar.gz"),
        ("1.31.1", "Linux", "amd64", "istio-1.31.1-linux-amd64.tar.gz", "istioctl-1.31.1-linux-amd64.tar.gz"),
        ("1.31.1", "Linux", "aarch64", "istio-1.31.1-linux-arm64.tar.gz", "istioctl-1.31.1-linux-arm64.tar.gz"),
        ("1.31.1", "Linux", "arm64", "istio-1.31.1-linux-arm64.tar.gz", "istioctl-1.31.1-linux-arm64.tar.gz"),
        ("1.31.1", "Linux", "armv7l", "istio-1.31.1-linux-armv7.tar.gz", "istioctl-1.31.1-linux-armv7.tar.gz"),
        ("1.31.1", "Linux", "armv7", "istio-1.31.1-linux-armv7.tar.gz", "istioctl-1.31.1-linux-armv7.tar.gz"),
        ("1.31.1", "Linux", "armv8l", "istio-1.31.1-linux-armv7.tar.gz", "istioctl-1.31.1-linux-armv7.tar.gz"),
        ("1.31.1", "Darwin", "arm64", "istio-1.31.1-osx-arm64.tar.gz", "istioctl-1.31.1-osx-arm64.tar.gz"),
        ("1.31.1", "Darwin", "x86_64", "istio-1.31.1-osx-amd64.tar.gz", "istioctl-1.31.1-osx-amd64.tar.gz"),
        ("1.19.0", "Darwin", "x86_64", "istio-1.19.0-osx-amd64.tar.gz", "istioctl-1.19.0-osx-amd64.tar.gz"),
        ("1.18.7", "Darwin", "x86_64", "istio-1.18.7-osx.tar.gz", "istioctl-1.18.7-osx.tar.gz"),
        ("1.10.0", "Darwin", "aarch64", "istio-1.10.0-osx-arm64.tar.gz", "istioctl-1.10.0-osx-arm64.tar.gz"),
        ("1.6.0", "Linux", "armv7l", "istio-1.6.0-linux-armv7.tar.gz", "istioctl-1.6.0-linux-armv7.tar.gz"),
        ("1.32.0-b", "Linux", "arm64", "istio-1.32.0-b-linux-arm64.tar.gz", "istioctl-1.32.0-b-linux-arm64.tar.gz"),
    ],
)  # fmt: skip
def test_names_of_archives(version, system, machine, whole, client):
    assert names.Wish(version, system, machine, False).archive == whole
    assert names.Wish(version, system, machine, True).archive == client
    assert names.problems(names.Wish(version, system, machine, True)) == []


@pytest.mark.parametrize(
    ("version", "system", "machine"),
    [
        ("1.9.9", "Darwin", "arm64"),
        ("1.5.0", "Linux", "x86_64"),
        ("1.31.1", "Linux", "riscv64"),
        ("1.31.1", "Linux", "armv6l"),
        ("1.31.1", "Darwin", "armv7l"),
        ("1.31.1", "FreeBSD", "amd64"),
    ],
)
def test_there_is_no_archive(version, system, machine):
    assert names.Wish(version, system, machine, True).platform is None
    assert names.problems(names.Wish(version, system, machine, True))


def test_addresses():
    mirrors = ["https://a/files/", GITHUB]
    assert names.addresses(mirrors, "1.31.1", "x.tar.gz") == [
        "https://a/files/1.31.1/x.tar.gz", f"{GITHUB}/1.31.1/x.tar.gz",
    ]  # fmt: skip
    assert names.latest_addresses(["https://a/files", f"{GITHUB}/"]) == [
        "https://a/files/latest", "https://github.com/istio/istio/releases.atom", f"{GITHUB}/latest",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.31.1\n", "1.31.1"),
        ("1.32.0-lab.1", "1.32.0-lab.1"),
        # what was published last is not what is newest: 1.30.5 came after 1.31.1
        (feed("1.30.5", "1.32.0-rc.1", "1.31.1", "1.9.9", "1.31.0"), "1.31.1"),
        (feed("1.32.0-alpha.0"), None),
        ("<html>login</html>", None),
        ("", None),
    ],
)
def test_newest(text, version):
    assert names.newest(text) == version


def test_versions_in_order():
    assert sorted(["1.10.0", "1.9.0", "1.10.0-rc.1"], key=names.version_key) == ["1.9.0", "1.10.0-rc.1", "1.10.0"]


def test_the_oldest_is_that_of_the_control_plane():
    assert names.OLDEST == istioctl.OLDEST
    assert all(support.minor(version) >= names.OLDEST for version in support.KUBERNETES_FOR_ISTIO)


@pytest.mark.parametrize(
    ("version", "machine", "client_only", "file", "words"),
    [
        ("1.31.1", "x86_64", False, "", []),
        ("latest", "aarch64", False, "", []),
        ("1.31.1", "x86_64", False, "/a/istio-1.31.1-linux-amd64.tar.gz", []),
        ("1.31.1", "x86_64", False, "/a/my-build.tgz", []),
        ("1.31.1", "x86_64", True, "/a/istioctl-1.31.1-linux-amd64.tar.gz", []),
        ("1.23.6", "x86_64", True, "", []),
        ("1.31", "x86_64", False, "", ["istioctl_version 1.31 is not a full version. Write it like 1.31.1."]),
        ("v1.30.5", "x86_64", False, "", ["v1.30.5 is not a full version. Write it like 1.30.5."]),
        ("1.31.1/../x", "x86_64", False, "", ["is not a full version"]),
        ("all", "x86_64", False, "", ["istioctl_version all is not a full version"]),
        (
            "1.23.6", "x86_64", False, "",
            ["istioctl_version 1.23.6 is older than 1.24, the oldest Istio that this collection installs."
             " Set istioctl_client_only to true for istioctl 1.23.6 alone"],
        ),
        (
            "1.5.9", "x86_64", True, "",
            ["istioctl_version 1.5.9 is too old: archives for each kind of machine begin with 1.6"],
        ),
        (
            "1.31.1", "s390x", False, "",
            ["There is no istioctl for Linux s390x. Upstream has linux amd64/arm64/armv7 and osx amd64/arm64 (osx is"],
        ),
        (
            "latest", "s390x", False, "/a/x",
            ["no istioctl for Linux s390x", "istioctl_version is latest, but istioctl_file /a/x is one version"],
        ),
        (
            "1.31.1", "x86_64", False, "/a/istioctl-1.30.5-linux-arm64.tar.gz",
            ["is version 1.30.5, but istioctl_version is 1.31.1", "is for linux-arm64, but the host needs linux-amd64",
             "is istioctl alone, without samples and manifests. Set istioctl_client_only to true"],
        ),
    ],
)  # fmt: skip
def test_sentences(version, machine, client_only, file, words):
    found = istio_release_problems(version, "Linux", machine, client_only=client_only, file=file, prefix="istioctl_")
    assert len(found) == len(words), found
    assert [word for word, sentence in zip(words, found) if word in sentence] == words


def test_an_old_name_is_no_contradiction():
    wish = names.Wish("1.31.1", "Darwin", "x86_64", False)
    assert names.file_problems("istio-1.31.1-osx.tar.gz", wish) == []
    assert names.problems(names.Wish("1.9.9", "Darwin", "arm64", True)) == [
        "There is no istioctl 1.9.9 for Darwin arm64: it begins with 1.10. Set version to that or a newer one."
    ]


@pytest.mark.parametrize("name", ["/etc/passwd", "istio-1.31.1/../../x", ".."])
def test_a_member_that_leaves_its_folder_is_refused(name):
    with pytest.raises(MeshopsError, match="would leave its folder"):
        names.member_path(name)
