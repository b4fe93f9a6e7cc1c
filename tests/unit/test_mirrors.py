# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordered mirrors, against a web server of this process that refuses, hangs, cuts off and lies."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.meshops.istio.plugins.module_utils import mirrors, openpgp, repositories
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.mirrors import MirrorError

DATA = b"the right file\n" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
KEYS = {
    "good": (
        "638D5775D436BBFCEA7CDF137AD8800DBB4E4042",
        "mDMEawFwNxYJKwYBBAHaRw8BAQdALs/4+ZJpSE+JqcbtZWK/WQNtJ8MAFBS/Cq1GJl4M8xi0DG1lc2hvcHMgdGVzdIiQBBMWCAA4FiEEY41XddQ2u/zq"
        "fN8TetiADbtOQEIFAmsBcDcCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQetiADbtOQEIANgD9FOno0geLbF6gmVXT17UdbMCC4j2DPIBjH3Ng"
        "bLox9jAA/3UNr2vd20y9wpYNBDttMGssZUxve708qIdqKavfWmcC",
    ),
    "other": (
        "F9B2FECE845420E4089277108F7A21391745B6F3",
        "mDMEawFwNxYJKwYBBAHaRw8BAQdAVEmppMERrJysts/2zQOVuhQwiy3uE4UuZGHX8h8xRfK0Cm90aGVyIHRlc3SIkAQTFggAOBYhBPmy/s6EVCDkCJJ3"
        "EI96ITkXRbbzBQJrAXA3AhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEI96ITkXRbbzJBABAIy98Z2SdSmoqeHdd2MS0esKa+pP8xZ+HBQWRksg"
        "+0acAPoDoY2MAkymaHqdxkb62j6+7PRIjti33DE1giSpKsOdAg==",
    ),
}


def key(name: str) -> bytes:
    return base64.b64decode(KEYS[name][1])


PACKAGES = """\
Package: containerd.io
Version: 2.3.4-1~debian.13~trixie
Architecture: amd64

Package: containerd.io
Version: 2.3.4-2~debian.13~trixie
Architecture: arm64

Package: containerd.io
Version: 2.2.9-1~debian.13~trixie
Architecture: amd64

Package: docker-ce
Version: 5:29.0.0-1
Architecture: amd64
"""
REPOMD = """<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">
<location href="repodata/primary.xml.gz"/></data></repomd>"""
PRIMARY = """<metadata xmlns="http://linux.duke.edu/metadata/common">
<package type="rpm"><name>containerd.io</name><arch>x86_64</arch><version epoch="0" ver="2.3.4" rel="1.el9"/></package>
<package type="rpm"><name>containerd.io</name><arch>aarch64</arch><version epoch="0" ver="2.9.9" rel="1.el9"/></package>
</metadata>"""


class Handler(BaseHTTPRequestHandler):
    """Each path is a way to answer."""

    def do_GET(self):
        self.server.asked.append(self.path)
        way, _slash, rest = self.path.strip("/").partition("/")
        if way == "hang":
            self.server.let_go.wait(10)
        elif way == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.server.let_go.wait(0.1):
                self.wfile.write(b".")
        elif way == "truncated":
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA[:100])
        elif rest in self.server.files.get(way, {}):
            body = self.server.files[way][rest]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_error(404)

    def log_message(self, *_args):
        pass


@pytest.fixture
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.let_go = [], threading.Event()
    server.base = f"http://127.0.0.1:{server.server_port}"
    flat = {"Packages.gz": gzip.compress(PACKAGES.encode()), "Packages": PACKAGES.encode()}
    server.files = {
        "good": {"file.tgz": DATA, "key": openpgp.armor(key("good")).encode(), **flat},
        "lies": {"file.tgz": b"<html>sorry</html>", "key": openpgp.armor(key("other")).encode()},
        "both": {"key": key("good") + key("other")},
        "sums": {
            "one": f"{SHA}\n".encode(),
            "many": f"{'0' * 64}  other\n{SHA} *file.tgz\n".encode(),
            "none": b"hello",
        },
        "dists": {"dists/trixie/stable/binary-amd64/Packages": PACKAGES.encode()},
        "old": {"Packages.gz": gzip.compress(PACKAGES.replace("2.3.4", "2.1.0").encode())},
        "cut": {"Packages.gz": flat["Packages.gz"][:60]},
        "html": {"Packages": b"<html>login</html>"},
        "rpm": {
            "9/x86_64/stable/repodata/repomd.xml": REPOMD.encode(),
            "9/x86_64/stable/repodata/primary.xml.gz": gzip.compress(PRIMARY.encode()),
        },
    }
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.let_go.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed():
    """An address where nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def options(tmp_path, urls, **more):
    return {
        "urls": urls, "checksum": f"sha256:{SHA}", "checksum_urls": None, "dest": str(tmp_path / "file.tgz"),
        "mode": "0644", "timeout": 1, "total_timeout": 2, **more,
    }  # fmt: skip


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_first_mirror_that_answers_correctly_wins(web, closed, tmp_path):
    ways = ["lies", "truncated", "hang", "missing"]
    urls = [
        f"{closed}/file.tgz",
        *(f"{web.base}/{way}/file.tgz" for way in ways),
        f"{web.base}/good/file.tgz",
        "http://never",
    ]
    result = mirrors.download(options(tmp_path, urls), False)
    assert (result["changed"], result["url"]) == (True, f"{web.base}/good/file.tgz")
    assert (tmp_path / "file.tgz").read_bytes() == DATA
    causes = [failure["error"] for failure in result["failures"]]
    wanted = ["refused", "wrong checksum", "cut off", "no answer in time", "404"]
    assert [word for word, cause in zip(wanted, causes) if word in cause] == wanted
    assert names(tmp_path) == ["file.tgz"]


def test_all_dead_names_each_with_its_error_in_bounded_time(web, closed, tmp_path):
    start = time.monotonic()
    urls = [f"{closed}/file.tgz", f"{web.base}/drip/file.tgz", f"{web.base}/lies/file.tgz"]
    with pytest.raises(MeshopsError) as failure:
        mirrors.download(options(tmp_path, urls), False)
    assert all(url in str(failure.value) for url in urls)
    assert "refused" in str(failure.value) and "not complete after 2 seconds" in str(failure.value)
    assert time.monotonic() - start < 6
    assert names(tmp_path) == []


def test_a_second_run_asks_nobody(web, tmp_path):
    params = options(tmp_path, [f"{web.base}/good/file.tgz"])
    assert mirrors.download(params, False)["changed"]
    web.asked.clear()
    assert not mirrors.download(params, False)["changed"]
    assert mirrors.download({**params, "mode": "0600"}, True)["changed"]
    assert mirrors.download({**params, "mode": "0600"}, False)["changed"]
    assert not mirrors.download({**params, "mode": "0600"}, False)["changed"]
    assert web.asked == []


def test_check_mode_writes_nothing_and_needs_no_network(closed, tmp_path):
    result = mirrors.download(options(tmp_path, [f"{closed}/file.tgz"]), True)
    assert result["changed"] and SHA in result["diff"]["after"]
    assert names(tmp_path) == []


def test_a_wrong_file_is_replaced_only_by_a_right_one(web, tmp_path):
    (tmp_path / "file.tgz").write_bytes(b"old")
    with pytest.raises(MeshopsError):
        mirrors.download(options(tmp_path, [f"{web.base}/lies/file.tgz"]), False)
    assert (tmp_path / "file.tgz").read_bytes() == b"old"
    assert mirrors.download(options(tmp_path, [f"{web.base}/good/file.tgz"]), False)["changed"]
    assert (tmp_path / "file.tgz").read_bytes() == DATA


@pytest.mark.parametrize("name", ["one", "many"])
def test_a_checksum_file_is_remembered(web, closed, tmp_path, name):
    sums = [f"{closed}/x", f"{web.base}/sums/none", f"{web.base}/sums/{name}"]
    params = options(tmp_path, [f"{web.base}/good/file.tgz"], checksum=None, checksum_urls=sums)
    result = mirrors.download(params, False)
    assert result["changed"] and len(result["failures"]) == 2
    web.asked.clear()
    assert not mirrors.download(params, False)["changed"]
    (tmp_path / "file.tgz").write_bytes(b"bit rot")
    assert mirrors.download(params, True)["changed"]
    assert web.asked == []


def test_left_over_parts_of_killed_runs_go(web, tmp_path):
    old, young = tmp_path / ".file.tgz.aaa.part", tmp_path / ".file.tgz.bbb.part"
    old.write_bytes(b"")
    young.write_bytes(b"")
    os.utime(old, (0, 0))
    mirrors.download(options(tmp_path, [f"{web.base}/good/file.tgz"]), False)
    assert names(tmp_path) == [".file.tgz.bbb.part", "file.tgz"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"checksum": "md5:1"}, "sha256"),
        ({"mode": "rw"}, "octal"),
        ({"urls": []}, "No address"),
        ({"dest": "/no/where/x"}, "folder"),
    ],
)
def test_bad_input_is_one_sentence(web, tmp_path, more, word):
    with pytest.raises(MeshopsError, match=word):
        mirrors.download({**options(tmp_path, [f"{web.base}/good/file.tgz"]), **more}, False)


def test_passwords_are_not_named():
    assert mirrors.public("https://user:secret@mirror.example:8443/a?b") == "https://mirror.example:8443/a?b"


def test_a_key_is_taken_from_the_first_mirror_that_has_it(web, closed, tmp_path):
    params = {
        "urls": [f"{closed}/key", *(f"{web.base}/{way}/key" for way in ("lies", "both", "hang", "good"))],
        "fingerprints": ["638D 5775 D436 BBFC EA7C  DF13 7AD8 800D BB4E 4042".lower()],
        "dest": str(tmp_path / "k.asc"), "refresh": False, "timeout": 1,
    }  # fmt: skip
    assert openpgp.install_key(params, True)["changed"] and not names(tmp_path)
    result = openpgp.install_key(params, False)
    assert result["changed"] and result["url"].endswith("/good/key") and len(result["failures"]) == 4
    assert result["fingerprints"] == [KEYS["good"][0]]
    web.asked.clear()
    assert not openpgp.install_key(params, False)["changed"] and web.asked == []
    assert not openpgp.install_key({**params, "refresh": True}, False)["changed"] and web.asked
    with pytest.raises(MeshopsError, match="holds the key F9B2FECE"):
        openpgp.install_key({**params, "fingerprints": ["0" * 40]}, False)


@pytest.mark.parametrize("name", KEYS)
def test_fingerprints_of_armoured_and_binary_keys(name):
    wanted, binary = KEYS[name][0], key(name)
    assert openpgp.fingerprints(binary) == openpgp.fingerprints(openpgp.armor(binary).encode()) == [wanted]


def test_the_armour_has_the_checksum_that_gpg_writes():
    assert "=CE3A" in openpgp.armor(key("good"))


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"\x99\xff\xff\x04", b"\x80", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"]
)
def test_what_is_no_key(data):
    with pytest.raises(MirrorError):
        openpgp.fingerprints(data)


def test_a_fingerprint_must_be_whole():
    with pytest.raises(MeshopsError, match="all of its 40"):
        openpgp.wanted(["BB4E4042"])
    with pytest.raises(MeshopsError, match="No fingerprint"):
        openpgp.wanted([])


def query(urls, **more):
    return {
        "urls": urls, "index": ["Packages.gz", "Packages"], "packages": ["containerd.io"], "version": "2.3.4",
        "architecture": "amd64", "sources_file": "", "fail_on_problem": True, "timeout": 1, **more,
    }  # fmt: skip


def nothing(_names):
    return {}


def test_the_first_repository_with_the_version(web, closed):
    urls = [closed, *(f"{web.base}/{way}" for way in ("missing", "html", "cut", "old", "good"))]
    result = repositories.find(query(urls), True, nothing)
    assert result["url"] == f"{web.base}/good" and not result["changed"]
    assert result["candidates"] == {"containerd.io": "2.3.4-1~debian.13~trixie"}
    assert result["versions"]["containerd.io"] == ["2.3.4-1~debian.13~trixie", "2.2.9-1~debian.13~trixie"]
    causes = " / ".join(failure["error"] for failure in result["failures"])
    assert all(
        word in causes
        for word in ("refused", "404", "no index of packages", "cannot be unpacked", "it has 2.2.9, 2.1.0")
    )


def test_the_layouts_dists_and_rpm(web):
    folder = "dists/trixie/stable/binary-amd64"
    dists = query([f"{web.base}/dists"], index=[f"{folder}/Packages.gz", f"{folder}/Packages"])
    assert repositories.find(dists, False, nothing)["candidates"]["containerd.io"].startswith("2.3.4-1")
    rpm = query([f"{web.base}/rpm"], index=["9/x86_64/stable/repodata/repomd.xml"], architecture="x86_64")
    assert repositories.find(rpm, False, nothing)["candidates"] == {"containerd.io": "2.3.4-1.el9"}


def test_a_missing_version_lists_those_there_are(web):
    with pytest.raises(MeshopsError, match=r"containerd.io 9\.9\.9.*it has 2\.3\.4, 2\.2\.9"):
        repositories.find(query([f"{web.base}/good"], version="9.9.9"), True, nothing)
    result = repositories.find(query([f"{web.base}/good"], version="9.9.9", fail_on_problem=False), True, nothing)
    assert "it has 2.3.4, 2.2.9" in result["problem"]


def test_every_mirror_dead_is_one_sentence_in_bounded_time(web, closed):
    start = time.monotonic()
    with pytest.raises(MeshopsError) as failure:
        repositories.find(query([closed, f"{web.base}/hang", f"{web.base}/drip"]), True, nothing)
    assert all(url in str(failure.value) for url in (closed, "/hang", "/drip"))
    assert time.monotonic() - start < 8


def test_a_mirror_in_use_stays_in_use(web, closed, tmp_path):
    sources = tmp_path / "x.sources"
    sources.write_text(f"URIs: {web.base}/good/\nSuites: /\n")
    params = query([f"{web.base}/dists", f"{web.base}/good"], sources_file=str(sources))
    assert repositories.find(params, False, nothing)["url"] == f"{web.base}/good"
    web.asked.clear()
    have = {"containerd.io": {"version": "2.3.4-1~debian.13~trixie", "held": True}}
    result = repositories.find(params, False, lambda _names: have)
    assert result["current"] and result["url"] == f"{web.base}/good" and web.asked == []
    sources.write_text(f"baseurl={web.base}/good/9/x86_64/stable\n")
    assert repositories.named_in(str(sources), params["urls"]) == f"{web.base}/good"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "1.1"), ("1.9", "1.10"), ("1.0~rc1", "1.0"), ("1.0", "1.0+b1"), ("9.0", "1:1.0"), ("1.0-1", "1.0-2"),
        ("1.0-1~debian.12~bookworm", "1.0-1~debian.13~trixie"), ("1.36.9-1.1", "1.36.10-1.1"), ("1.0a", "1.0+"),
    ],
)  # fmt: skip
def test_versions_are_ordered_as_debian_orders_them(older, newer):
    assert (repositories.compare(older, newer), repositories.compare(newer, older)) == (-1, 1)
    assert repositories.newest_first([older, newer, older]) == [newer, older]


@pytest.mark.parametrize(
    ("full", "wanted", "same"),
    [
        ("1.36.3-1.1", "1.36.3", True), ("1.36.30-1.1", "1.36.3", False), ("1.36.3.1-1", "1.36.3", False),
        ("1:2.3.4-1", "2.3.4", True),
        ("2.3.4~rc1-1", "2.3.4", False), ("2.3.4-1", "2.3.4-1", True), ("2.3.4-1", "", True),
    ],
)  # fmt: skip
def test_builds_of_a_version(full, wanted, same):
    assert repositories.matches(full, wanted) is same


def test_entities_in_an_index_are_refused():
    with pytest.raises(MirrorError, match="entities"):
        repositories.primary_location(b'<!DOCTYPE x [<!ENTITY a "b">]><repomd/>')


def test_file_addresses_work(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert mirrors.download(options(tmp_path, [source.as_uri()]), False)["changed"]
    assert Path(tmp_path / "file.tgz").read_bytes() == DATA
