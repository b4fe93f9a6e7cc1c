# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of Istio made by the tests, and a web server that has them as mirrors."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ansible_collections.meshops.istio.plugins.module_utils.istio_release import ARCHES
from ansible_collections.meshops.istio.plugins.module_utils.istio_release_files import RECORD

ARCH = ARCHES[os.uname().machine]
SAMPLE = "samples/bookinfo/platform/kube/bookinfo.yaml"
# The form of GitHub's feed; in the text of an entry everything is escaped.
FEED = """<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">
<link type="application/atom+xml" rel="self" href="https://github.com/istio/istio/releases.atom"/>
{entries}</feed>"""
ENTRY = """<entry><id>tag:github.com,2008:Repository/74175805/{tag}</id>
<link rel="alternate" type="text/html" href="https://github.com/istio/istio/releases/tag/{tag}"/>
<content type="html">&lt;a href=&quot;https://github.com/istio/istio/releases/tag/9.9.9&quot;&gt;</content></entry>"""


def feed(*tags: str) -> str:
    return FEED.format(entries="".join(ENTRY.format(tag=tag) for tag in tags))


def program(version: str) -> bytes:
    """An istioctl that knows its version and a completion."""
    return (
        '#!/bin/sh\ncase "$1" in\n'
        f'version) echo \'{{"clientVersion": {{"version": "{version}"}}}}\' ;;\n'
        'completion) echo "istioctl_completion=$2" ;;\n*) exit 64 ;;\nesac\n'
    ).encode()


def pack(members: dict[str, bytes], *links: tuple[str, str]) -> bytes:
    """A .tar.gz as upstream packs it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(content), 0o755 if content.startswith(b"#!") else 0o640, 4711
            archive.addfile(info, io.BytesIO(content))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return made.getvalue()


def whole(version: str, says: str = "", comment: str = "") -> bytes:
    top = f"istio-{version}"
    return pack(
        {
            f"{top}/LICENSE": b"words", f"{top}/manifest.yaml": b"a: 1", f"{top}/{SAMPLE}": version.encode(),
            f"{top}/manifests/profiles/demo.yaml": b"b: 2", f"{top}/tools/certs/Makefile": b"all:",
            f"{top}/bin/istioctl": program(says or version) + comment.encode(),
        }
    )  # fmt: skip


def client(version: str) -> bytes:
    return pack({"istioctl": program(version)})


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_args):
        pass


def published() -> dict[str, bytes]:
    """Releases 1.31.1, 1.30.5 and clients under a mirror's path, with checksum files as upstream writes them."""
    found = {}
    for version in ("1.31.1", "1.30.5", "1.23.6"):
        for name, content in (("istio", whole(version)), ("istioctl", client(version))):
            path = f"/{version}/{name}-{version}-linux-{ARCH}.tar.gz"
            found[path] = content
            found[f"{path}.sha256"] = f"{digest(content)} {path.rpartition('/')[2]}\n".encode()
    return found


@contextlib.contextmanager
def serving() -> Iterator[ThreadingHTTPServer]:
    """Mirrors: good, lies (right checksums, wrong files), gh (as GitHub, with a feed); what was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.files = [], {}
    server.base = f"http://127.0.0.1:{server.server_port}"
    good = published()
    server.files.update({f"/good{path}": body for path, body in good.items()})
    # a mirror that kept the checksums and lost the files
    server.files.update({f"/lies{path}": body if path.endswith("sha256") else b"lies" for path, body in good.items()})
    server.files.update({f"/gh/releases/download{path}": body for path, body in good.items()})
    server.files["/gh/releases.atom"] = feed("1.30.5", "1.32.0-rc.1", "1.31.1").encode()
    server.files["/good/latest"] = b"1.30.5\n"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def release(version: str) -> set[str]:
    names_ = (
        "LICENSE",
        "manifest.yaml",
        SAMPLE,
        "manifests/profiles/demo.yaml",
        "tools/certs/Makefile",
        "bin/istioctl",
    )
    return {f"istio-{version}/{name}" for name in (*names_, RECORD)}
