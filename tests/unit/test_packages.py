# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages: exact versions installed and held, and repositories made of them."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import apt, aptrepo, openpgp, repositories
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

PARAMS = {
    "packages": {"kubelet": "1.36.3-1.1", "kubeadm": "1.36.3-1.1", "cri-tools": ""},
    "sources_file": "/etc/apt/sources.list.d/k.sources", "state": "present", "lock_timeout": 5,
}  # fmt: skip


def state(version, held):
    return {"version": version, "held": held}


def pin(have, check_mode=False, run=None, **more):
    asked = []

    def recorded(argv):
        asked.append(argv)
        return run(argv) if run else (0, "")

    return apt.pin(
        {**PARAMS, **more}, check_mode, recorded, lambda names, *_: {n: have[n] for n in names if n in have}
    ), asked


def test_fresh_host():
    foreseen, asked = pin({}, True)
    assert foreseen["changed"] and asked == []
    result, asked = pin({})
    assert result == foreseen and result["installed"] == ["cri-tools", "kubeadm", "kubelet"]
    assert [argv[0:2] for argv in asked] == [
        ["dpkg", "--force-confdef"], ["apt-get", "update"], ["apt-get", "install"], ["apt-mark", "hold"],
    ]  # fmt: skip
    assert "kubelet=1.36.3-1.1" in asked[2] and "cri-tools" in asked[2]
    assert f"Dir::Etc::sourcelist={PARAMS['sources_file']}" in asked[1]


def test_nothing_to_do():
    have = {
        "kubelet": state("1.36.3-1.1", True),
        "kubeadm": state("1.36.3-1.1", True),
        "cri-tools": state("1.35.0-1.1", True),
    }
    result, asked = pin(have)
    assert not result["changed"] and asked == [] and result["diff"] is None


def test_another_version_and_a_lost_hold():
    have = {
        "kubelet": state("1.35.0-1.1", True),
        "kubeadm": state("1.36.3-1.1", False),
        "cri-tools": state("1.35.0-1.1", True),
    }
    result, asked = pin(have)
    assert (result["installed"], result["held"]) == (["kubelet"], ["kubeadm", "kubelet"])
    assert (
        "kubelet: 1.35.0-1.1 held\n" in result["diff"]["before"]
        and "kubelet: 1.36.3-1.1 held\n" in result["diff"]["after"]
    )
    assert asked[-1] == ["apt-mark", "hold", "kubeadm", "kubelet"]


def test_purge():
    have = {"kubelet": state("1.36.3-1.1", True)}
    assert pin(have, True, state="absent")[1] == []
    result, asked = pin(have, state="absent")
    assert result["removed"] == ["kubelet"] and asked[-1][:2] == ["apt-get", "purge"] and asked[-1][-1] == "kubelet"
    assert not pin({}, state="absent")[0]["changed"]


def test_another_package_manager_is_waited_for(monkeypatch):
    monkeypatch.setattr(apt, "PAUSE", 0)
    answers = iter(
        [(100, "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1"), *[(0, "")] * 9]
    )
    assert pin({}, run=lambda _argv: next(answers))[0]["changed"]
    with pytest.raises(MeshopsError, match="Could not get lock"):
        pin({}, run=lambda _argv: (100, "E: Could not get lock /var/lib/apt/lists/lock"), lock_timeout=-1)
    with pytest.raises(MeshopsError, match=r"dpkg .* failed: disk full"):
        pin({}, run=lambda _argv: (1, "disk full"))


def test_what_dpkg_says(monkeypatch):
    lines = [
        "a\t1\tinstalled\thold",
        "b\t2\tinstalled\tinstall",
        "c\t3\tconfig-files\tdeinstall",
        "d\t\tnot-installed\tunknown",
        "junk",
    ]
    monkeypatch.setattr(repositories, "_query", lambda _argv: lines)
    assert repositories.dpkg_installed(["a"]) == {"a": state("1", True), "b": state("2", False)}
    assert sorted(repositories.dpkg_installed(["a"], ())) == ["a", "b", "c"]


needs_tools = pytest.mark.skipif(
    not (shutil.which("dpkg-deb") and shutil.which("gpg")), reason="needs dpkg-deb and gpg, as on a Debian host"
)


def make_deb(folder, name, version, architecture="amd64"):
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "x <x@example.com>",
        "Description": "test",
    }
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}_{version}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    return target


@pytest.fixture
def site(tmp_path):
    make_deb(tmp_path / "kubernetes", "kubelet", "1.36.3-1.1")
    make_deb(tmp_path / "docker", "containerd.io", "2.3.4-1")
    make_deb(tmp_path / "docker/trixie", "containerd.io", "2.3.4-2")
    (tmp_path / "www").mkdir()
    flat = {"path": "kubernetes/core:/stable:/v1.36/deb", "layout": "auto", "suites": [], "component": "stable"}
    dists = {"path": "docker/linux/debian", "layout": "auto", "suites": ["bookworm", "trixie"], "component": "stable"}
    yield {
        "root": str(tmp_path / "www"), "gnupg_home": str(tmp_path / "gnupg"), "key_name": "test mirror",
        "repositories": [
            {**flat, "packages_dir": str(tmp_path / "kubernetes")}, {**dists, "packages_dir": str(tmp_path / "docker")},
        ],
    }  # fmt: skip
    subprocess.run(["gpgconf", "--homedir", str(tmp_path / "gnupg"), "--kill", "all"], check=False)


def verified(folder, tmp_path):
    """Is the Release file signed by the key of the repository, and does it name the right digest of each index?"""
    ring = tmp_path / "ring.gpg"
    key = next(path for path in [folder, *folder.parents] if (path / "Release.key").exists()) / "Release.key"
    ring.write_bytes(openpgp.dearmor(key.read_bytes()))
    subprocess.run(
        ["gpgv", "--keyring", str(ring), str(folder / "Release.gpg"), str(folder / "Release")],
        check=True,
        capture_output=True,
    )
    subprocess.run(["gpgv", "--keyring", str(ring), str(folder / "InRelease")], check=True, capture_output=True)
    named = re.findall(r"^ ([0-9a-f]{64}) (\d+) (\S+)$", (folder / "Release").read_text(), re.MULTILINE)
    assert named
    for digest, size, name in named:
        data = (folder / name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, int(size))


@needs_tools
def test_repositories_are_signed_and_found_by_our_own_reader(site, tmp_path):
    foreseen = aptrepo.publish(site, True)
    assert foreseen["changed"] and not list((tmp_path / "www").iterdir()) and not (tmp_path / "gnupg").exists()
    result = aptrepo.publish(site, False)
    assert result["rebuilt"] == foreseen["rebuilt"] and len(result["fingerprint"]) == 40
    assert (tmp_path / "www/fingerprint").read_text().strip() == result["fingerprint"]
    assert (tmp_path / "gnupg").stat().st_mode & 0o777 == 0o700
    flat, docker = tmp_path / "www/kubernetes/core:/stable:/v1.36/deb", tmp_path / "www/docker/linux/debian"
    verified(flat, tmp_path)
    verified(docker / "dists/trixie", tmp_path)
    verified(docker / "dists/bookworm", tmp_path)
    assert openpgp.fingerprints((docker / "gpg").read_bytes()) == [result["fingerprint"]]
    packages = gzip.decompress((docker / "dists/trixie/stable/binary-amd64/Packages.gz").read_bytes()).decode()
    assert repositories.parse_packages(packages, ["containerd.io"], "amd64") == {"containerd.io": ["2.3.4-2"]}
    assert (docker / re.search(r"^Filename: (.*)$", packages, re.MULTILINE)[1]).is_file()
    assert "Filename: ./kubelet_1.36.3-1.1_amd64.deb" in (flat / "Packages").read_text()


@needs_tools
def test_only_what_changed_is_rebuilt(site, tmp_path):
    first = aptrepo.publish(site, False)
    assert not aptrepo.publish(site, False)["changed"]
    make_deb(tmp_path / "kubernetes", "kubeadm", "1.36.3-1.1")
    assert aptrepo.publish(site, True)["rebuilt"] == ["kubernetes/core:/stable:/v1.36/deb"]
    second = aptrepo.publish(site, False)
    assert second["rebuilt"] == ["kubernetes/core:/stable:/v1.36/deb"] and second["fingerprint"] == first["fingerprint"]
    # a run that was killed while it put a repository in place
    (tmp_path / "www/docker/linux/debian").rename(tmp_path / "www/docker/linux/.debian.old")
    assert aptrepo.publish(site, False)["rebuilt"] == ["docker/linux/debian"]
    assert sorted(path.name for path in (tmp_path / "www/docker/linux").iterdir()) == ["debian"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"path": "../etc"}, "below the web root"),
        ({"layout": "dists"}, "has no suites"),
        ({"packages_dir": "/no"}, "no .deb file"),
    ],
)
def test_bad_input(tmp_path, more, word):
    one = {"path": "a", "layout": "flat", "suites": [], "component": "stable", "packages_dir": str(tmp_path), **more}
    params = {"root": str(tmp_path), "gnupg_home": str(tmp_path / "g"), "key_name": "x", "repositories": [one]}
    with pytest.raises(MeshopsError, match=word):
        aptrepo.publish(params, False)
