# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core of istio_release, against a web server of this process that has fake releases."""

from __future__ import annotations

import contextlib
import fcntl
import os

import pytest
from fake_releases import ARCH, SAMPLE, client, digest, pack, program, release, serving, tree, whole

from ansible_collections.meshops.istio.plugins.module_utils import istio_release_core as core
from ansible_collections.meshops.istio.plugins.module_utils import istio_release_files as files
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError


@pytest.fixture(scope="module")
def web():
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serving())


@pytest.fixture
def have(web, tmp_path):
    """Calls the core as the module does."""

    def call(version="1.31.1", check=False, **more):
        params = {name: option.get("default") for name, option in core.ARGS.items()}
        given = {"dir": str(tmp_path / "istio"), "mirrors": [f"{web.base}/good"], "timeout": 2, "version": version}
        result = core.core({**params, **given, **more}, check)
        result["files"] = tree(tmp_path / "istio")
        return result

    web.asked.clear()
    return call


def test_install_check_first_and_again(have, tmp_path, web):
    before = have(check=True)
    assert before["changed"] and not (tmp_path / "istio").exists() and not web.asked
    made = have()
    assert made["diff"] == before["diff"] and made["installed"] == before["installed"] == ["1.31.1"]
    assert made["files"] == release("1.31.1") | {"current"}
    assert made["diff"]["after"] == "current: istio-1.31.1\nistio-1.31.1: whole release\n"
    assert (tmp_path / "istio/current/bin/istioctl").stat().st_mode & 0o777 == 0o755
    sample = (tmp_path / "istio/istio-1.31.1" / SAMPLE).stat()
    assert (sample.st_mode & 0o777, sample.st_uid) == (0o644, os.getuid())
    web.asked.clear()
    for check in (True, False):
        assert not have(check=check)["changed"]
    assert web.asked == []


def test_a_lying_mirror_is_passed_over_by_name(have, web):
    path = f"1.31.1/istio-1.31.1-linux-{ARCH}.tar.gz"
    made = have(mirrors=[f"{web.base}/missing", f"{web.base}/lies", f"{web.base}/good"])
    assert made["url"] == f"{web.base}/good/{path}"
    assert [warning for warning in made["warnings"] if f"{web.base}/lies/{path} was passed over: wrong" in warning]


def test_a_wrong_checksum_is_refused_and_leaves_nothing(have, tmp_path, web):
    with pytest.raises(MeshopsError, match=f"{web.base}/good/.*wrong checksum"):
        have(checksum="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_versions_side_by_side_and_their_removal(have, tmp_path):
    have()
    assert have("1.30.5", current=False)["current"] == "istio-1.31.1"
    assert have("1.30.5")["current"] == "istio-1.30.5"
    (tmp_path / "istio/notes").write_text("mine")
    (tmp_path / "istio/istio-1.30.5/samples/mine.yaml").write_text("mine")
    would = have("1.30.5", check=True, state="absent")
    assert "current" in would["files"]
    gone = have("1.30.5", state="absent")
    assert gone["diff"] == would["diff"] and gone["warnings"] == would["warnings"]
    assert "for the sake of what others put there: samples/mine.yaml" in gone["warnings"][0]
    assert gone["files"] == release("1.31.1") | {"notes", "istio-1.30.5/samples/mine.yaml"}
    assert (gone["current"], gone["installed"]) == ("", ["1.31.1"])
    assert not have("1.30.5", state="absent")["changed"]
    assert have("all", state="absent")["files"] == {"notes", "istio-1.30.5/samples/mine.yaml"}
    assert not have("all", state="absent")["changed"]


def test_removal_of_all_takes_an_empty_folder_along(have, tmp_path):
    have()
    assert have("all", state="absent")["changed"]
    assert list(tmp_path.iterdir()) == []
    assert not have("all", state="absent")["changed"]
    with pytest.raises(MeshopsError, match="version latest cannot be removed"):
        have("latest", state="absent")


def test_client_alone_then_the_rest(have, tmp_path):
    made = have("1.23.6", client_only=True)
    assert made["files"] == {"istio-1.23.6/bin/istioctl", f"istio-1.23.6/{files.RECORD}", "current"}
    with pytest.raises(MeshopsError, match=r"older than 1\.24"):
        have("1.23.6")
    assert have(client_only=True)["changed"]
    (tmp_path / "istio/istio-1.31.1/mine").write_text("mine")
    assert have()["diff"]["before"].startswith(
        "current: istio-1.31.1\nistio-1.23.6: client alone\nistio-1.31.1: client"
    )
    assert release("1.31.1") | {"istio-1.31.1/mine"} <= have()["files"]
    assert not have(client_only=True)["changed"]


@pytest.mark.parametrize("moment", ["unpacking", "placing", "removing"])
def test_a_killed_run_is_healed_by_the_next(have, tmp_path, monkeypatch, moment):
    """Stopped where it hurts, with what only `finally` would tidy left lying."""
    home = tmp_path / "istio/istio-1.31.1"
    target = {"unpacking": "check_binary", "placing": "_unlink", "removing": "_unlink"}[moment]
    have("1.30.5")
    if moment != "unpacking":
        have(client_only=moment == "placing")

    def killed(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, target, killed)
        patch.setattr(files.shutil, "rmtree", lambda *_args, **_more: None)
        with pytest.raises(KeyboardInterrupt):
            have(state="absent" if moment == "removing" else "present")
    assert files.leftovers(tmp_path / "istio")
    assert moment == "unpacking" or (home / "bin/istioctl").exists()
    assert have(check=True)["changed"]
    healed = have()
    assert healed["files"] == release("1.31.1") | release("1.30.5") | {"current"}
    assert not have()["changed"]


def test_a_replacement_that_stopped_half_way_is_done_again(have, tmp_path):
    first, second = whole("1.31.1"), whole("1.31.1", comment="# another build")
    (tmp_path / "given").write_bytes(first)
    assert have(file=str(tmp_path / "given"), checksum=digest(first))["changed"]
    (tmp_path / "given").write_bytes(second)
    home = tmp_path / "istio/istio-1.31.1"
    (home / "LICENSE").unlink()
    (home / "LICENSE").mkdir()
    options = {"file": str(tmp_path / "given"), "checksum": digest(second)}
    with pytest.raises(MeshopsError, match="LICENSE cannot be changed"):
        have(**options)
    (home / "LICENSE").rmdir()
    (home / "LICENSE").write_text("words")
    assert "another build" not in (home / "bin/istioctl").read_text()
    assert files.look(home) is None
    assert have(**options)["changed"]
    assert "another build" in (home / "bin/istioctl").read_text()
    assert not have(**options)["changed"]


@pytest.mark.parametrize("lost", [SAMPLE, "bin/istioctl", files.RECORD])
def test_what_was_lost_comes_back(have, tmp_path, lost):
    have()
    (tmp_path / "istio/istio-1.31.1" / lost).unlink()
    # without a record it is as an earlier version of the collection left it
    assert have()["changed"] == (lost != files.RECORD)
    assert release("1.31.1") - {f"istio-1.31.1/{files.RECORD}"} <= have()["files"]


def test_what_an_earlier_version_unpacked_is_removed_by_name_only(have, tmp_path):
    have()
    (tmp_path / "istio/istio-1.31.1" / files.RECORD).unlink()
    (tmp_path / "istio/.unpacking-1.31.1").mkdir()
    stays = have("all", state="absent", current=False)
    assert "was not unpacked by this collection and stays" in stays["warnings"][0]
    assert "istio-1.31.1/bin/istioctl" in stays["files"]
    (tmp_path / "istio/istio-1.31.1/mine").write_text("mine")
    assert have("1.31.1", state="absent")["files"] == {"istio-1.31.1/mine"}


def test_latest(have, web, tmp_path):
    hub = {"mirrors": [f"{web.base}/nobody", f"{web.base}/gh/releases/download"]}
    assert have("latest", check=True, **hub)["version"] == "1.31.1"
    assert have("latest", **hub)["installed"] == ["1.31.1"]
    assert not have("latest", **hub)["changed"]
    assert have("latest")["version"] == "1.30.5"  # what a text file on the mirror says
    with pytest.raises(MeshopsError) as failure:
        have("latest", mirrors=[f"{web.base}/nobody"])
    assert f"{web.base}/nobody/latest: HTTP status 404" in str(failure.value)
    assert (
        f"Give version in full, or a mirror that says what is newest. 1.30.5 and 1.31.1 are installed in {tmp_path}"
        in str(failure.value)
    )
    with pytest.raises(MeshopsError, match="A checksum belongs to one version"):
        have("latest", checksum="0" * 64)


@pytest.mark.parametrize(
    ("content", "client_only", "wanted"),
    [
        (whole("1.31.1"), False, release("1.31.1")),
        (whole("1.31.1"), True, {"istio-1.31.1/bin/istioctl", f"istio-1.31.1/{files.RECORD}"}),
        (client("1.31.1"), True, {"istio-1.31.1/bin/istioctl", f"istio-1.31.1/{files.RECORD}"}),
        (program("1.31.1"), True, {"istio-1.31.1/bin/istioctl", f"istio-1.31.1/{files.RECORD}"}),
    ],
)
def test_from_a_file(have, tmp_path, content, client_only, wanted):
    file = tmp_path / "given"
    file.write_bytes(content)
    options = {"file": str(file), "checksum": digest(content), "client_only": client_only, "mirrors": []}
    assert have(check=True, **options)["changed"]
    assert have(**options)["files"] == wanted | {"current"}
    assert not have(**options)["changed"]
    # another build of the same version
    again = content + (b"\n" if content.startswith(b"#!") else b"\0")
    file.write_bytes(again)
    assert have(**{**options, "checksum": digest(again)})["changed"]


@pytest.mark.parametrize(
    ("content", "words", "in_check"),
    [
        (whole("1.30.5"), "has neither istio-1.31.1/bin/istioctl nor istioctl, but istio-1.30.5", True),
        (whole("1.31.1", says="1.30.5"), "calls itself 1.30.5, not 1.31.1", False),
        (client("1.31.1"), "is istioctl alone, without samples and manifests", True),
        (program("1.31.1"), "is istioctl alone, without samples and manifests", True),
        (whole("1.31.1")[:-40], "cannot be unpacked", True),
        (pack({"istio-1.31.1/bin/istioctl": b"\x7fELF no"}), "cannot be run on this Linux|does not tell", False),
        (pack({"istio-1.31.1/bin/istioctl": b"#!/bin/false"}), "does not tell its version", False),
        (pack({"../../x": b"x"}), "would leave its folder", True),
        (pack({}, ("istio-1.31.1/bin", "/etc")), "has a link or a device", True),
    ],
)
def test_a_file_that_is_not_what_it_should_be(have, tmp_path, content, words, in_check):
    (tmp_path / "given").write_bytes(content)
    options = {"file": str(tmp_path / "given"), "checksum": digest(content)}
    for check in (True, False) if in_check else (False,):
        with pytest.raises(MeshopsError, match=words):
            have(check=check, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_sentences_of_the_core(have, tmp_path):
    with pytest.raises(MeshopsError, match="mirrors is empty") as failure:
        have("1.31", mirrors=[])
    assert "version 1.31 is not a full version" in str(failure.value)
    (tmp_path / "istio/current").mkdir(parents=True)
    with pytest.raises(MeshopsError, match="current is no link, so it is not of this collection"):
        have()
    (tmp_path / "plain").write_text("")
    with pytest.raises(MeshopsError, match="plain is no folder"):
        have(dir=str(tmp_path / "plain"))
    with pytest.raises(MeshopsError, match="plain/istio cannot be changed: Not a directory"):
        have(dir=str(tmp_path / "plain/istio"))


def test_a_folder_that_cannot_be_written_is_named_in_check_mode_too(have, tmp_path, monkeypatch):
    monkeypatch.setattr(core.os, "access", lambda path, _mode: path != tmp_path)
    for check in (True, False):
        with pytest.raises(MeshopsError, match=f"{tmp_path} cannot be changed: Permission denied. Use become"):
            have(check=check)


def test_a_mirror_may_be_a_folder(have, tmp_path):
    name = f"istio-1.31.1-linux-{ARCH}.tar.gz"
    (tmp_path / "usb/1.31.1").mkdir(parents=True)
    (tmp_path / "usb/latest").write_text("1.31.1\n")
    (tmp_path / "usb/1.31.1" / name).write_bytes(whole("1.31.1"))
    (tmp_path / f"usb/1.31.1/{name}.sha256").write_text(f"{digest(whole('1.31.1'))} {name}\n")
    made = have("latest", mirrors=[(tmp_path / "usb").as_uri()])
    assert (made["url"], made["installed"]) == (f"file://{tmp_path}/usb/1.31.1/{name}", ["1.31.1"])


def test_two_runs_at_once_wait_for_each_other(have, tmp_path, monkeypatch):
    (tmp_path / "istio").mkdir()
    holder = os.open(tmp_path / "istio", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    monkeypatch.setattr(files, "PATIENCE", 0.3)
    with pytest.raises(MeshopsError, match="Another run has been at work"):
        have()
    os.close(holder)
    assert have()["changed"]
