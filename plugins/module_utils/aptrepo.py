# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: signed apt repositories made from folders of .deb files."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import mirrors, openpgp
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

STAMP = ".meshops-stamp"
Run = Callable[[list[str]], bytes]


def execute(argv: list[str]) -> bytes:
    """Output of a command. Raises MeshopsError with what it said on failure."""
    try:
        done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise MeshopsError(f"The command {argv[0]} is missing. Install its package.") from error
    if done.returncode:
        cause = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise MeshopsError(f"{argv[0]} {argv[-1]} failed: {cause}")
    return done.stdout


@dataclass
class Signer:
    """A signing key in a GnuPG folder of its own that only root may read."""

    home: Path
    name: str
    run: Run = execute

    def gpg(self, *arguments: str) -> bytes:
        """Output of gpg in this folder."""
        return self.run(["gpg", "--homedir", str(self.home), "--batch", "--yes", "--no-tty", "--quiet", *arguments])

    def public_key(self) -> bytes:
        """The public key in ASCII armour; empty when there is none yet."""
        if not (self.home / "pubring.kbx").exists():
            return b""
        return self.gpg("--armor", "--export", f"={self.name}")

    def create(self) -> None:
        """Make the key: no passphrase, no expiry, for signing only."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self.gpg("--passphrase", "", "--quick-generate-key", self.name, "ed25519", "sign", "never")

    def sign(self, release: Path) -> None:
        """Write InRelease and Release.gpg beside a Release file."""
        user = ["--local-user", f"={self.name}"]
        self.gpg(*user, "--clearsign", "--output", str(release.with_name("InRelease")), str(release))
        detached = str(release.with_name("Release.gpg"))
        self.gpg(*user, "--armor", "--detach-sign", "--output", detached, str(release))


def debs(folder: Path) -> list[Path]:
    """The .deb files of a folder, in order of their names."""
    return sorted(folder.glob("*.deb")) if folder.is_dir() else []


def sources(repository: dict[str, Any]) -> dict[str, list[Path]]:
    """.deb files by suite ('' for a flat repository): of packages_dir/<suite> where it exists, else packages_dir."""
    root = Path(repository["packages_dir"])
    suites = repository["suites"] if repository["layout"] == "dists" else [""]
    return {suite: debs(root / suite if suite and (root / suite).is_dir() else root) for suite in suites}


def stamp(repository: dict[str, Any], fingerprint: str) -> str:
    """A digest of all that a repository is made from: its description, its files by size and time, its key."""
    files = {
        suite: [(deb.name, deb.stat().st_size, deb.stat().st_mtime_ns) for deb in found]
        for suite, found in sources(repository).items()
    }
    text = json.dumps([1, {k: str(v) for k, v in repository.items()}, files, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def stanza(deb: Path, filename: str, run: Run = execute) -> tuple[str, str]:
    """(architecture, paragraph of a Packages index) of one .deb file."""
    control = run(["dpkg-deb", "--field", str(deb)]).decode("utf-8", "replace").strip()
    architecture = next((x.split()[1] for x in control.splitlines() if x.startswith("Architecture:")), "all")
    data = deb.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return architecture, f"{control}\nFilename: {filename}\nSize: {len(data)}\nSHA256: {digest}\n"


def release(folder: Path, fields: dict[str, str], names: list[str]) -> str:
    """Text of a Release file over the index files `names` below `folder`."""
    head = "".join(f"{key}: {value}\n" for key, value in fields.items() if value)
    lines = []
    for name in names:
        data = (folder / name).read_bytes()
        lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n")
    return f"{head}Date: {email.utils.formatdate(usegmt=True)}\nSHA256:\n{''.join(lines)}"


def write_index(folder: Path, name: str, text: str) -> list[str]:
    """Write a Packages index plain and compressed; returns both names."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    Path(f"{path}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return [name, f"{name}.gz"]


def place(deb: Path, target: Path) -> None:
    """Have the package file inside the tree without a second copy where the file system allows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(deb, target)
    except OSError:
        shutil.copy2(deb, target)


def build_flat(tree: Path, repository: dict[str, Any], signer: Signer) -> None:
    """Indexes and packages side by side, as `deb URL /` reads them."""
    found = sources(repository)[""]
    for deb in found:
        place(deb, tree / deb.name)
    stanzas = [stanza(deb, f"./{deb.name}", signer.run) for deb in found]
    names = write_index(tree, "Packages", "\n".join(text for _arch, text in stanzas))
    architectures = " ".join(sorted({arch for arch, _text in stanzas}))
    fields = {"Origin": "meshops", "Label": repository["path"], "Architectures": architectures}
    (tree / "Release").write_text(release(tree, fields, names), encoding="utf-8")
    signer.sign(tree / "Release")


def build_dists(tree: Path, repository: dict[str, Any], signer: Signer) -> None:
    """dists/<suite>/<component>/binary-<arch>/ and pool/<suite>/, as `deb URL suite component` reads them."""
    component = repository["component"]
    for suite, found in sources(repository).items():
        root, stanzas, names = tree / "dists" / suite, [], []
        for deb in found:
            filename = f"pool/{suite}/{component}/{deb.name}"
            place(deb, tree / filename)
            stanzas.append(stanza(deb, filename, signer.run))
        architectures = sorted(({arch for arch, _text in stanzas} - {"all"}) or {"amd64"})
        for arch in architectures:
            text = "\n".join(text for offered, text in stanzas if offered in (arch, "all"))
            names += write_index(root, f"{component}/binary-{arch}/Packages", text)
        fields = {
            "Origin": "meshops", "Suite": suite, "Codename": suite,
            "Architectures": " ".join(architectures), "Components": component,
        }  # fmt: skip
        (root / "Release").write_text(release(root, fields, names), encoding="utf-8")
        signer.sign(root / "Release")


def rebuild(root: Path, repository: dict[str, Any], signer: Signer, key: bytes, wanted: str) -> None:
    """Build a repository beside the old one and put it in its place; the stamp is written last."""
    target = root / repository["path"].strip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir()
    (build_flat if repository["layout"] == "flat" else build_dists)(fresh, repository, signer)
    for name in ("Release.key", "gpg"):  # the names that upstream's repositories use
        (fresh / name).write_bytes(key)
    (fresh / STAMP).write_text(wanted, encoding="ascii")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def checked(repository: dict[str, Any]) -> dict[str, Any]:
    """The description with its layout settled; MeshopsError for one that cannot become a repository."""
    path = repository["path"]
    if ".." in path.split("/") or not path.strip("/"):
        raise MeshopsError(f"The repository path '{path}' must be a folder below the web root.")
    if repository["layout"] == "dists" and not repository["suites"]:
        raise MeshopsError(f"The repository {path} has no suites. Name those that its users have, such as trixie.")
    if repository["layout"] == "auto":
        return {**repository, "layout": "dists" if repository["suites"] else "flat"}
    return repository


def publish(params: dict[str, Any], check_mode: bool, run: Run = execute) -> dict[str, Any]:
    """Core of the module apt_publish: params as in its documentation."""
    os.umask(0o022)  # a web server that is not root reads the tree
    root, signer = Path(params["root"]), Signer(Path(params["gnupg_home"]), params["key_name"], run)
    repositories = [checked(repository) for repository in params["repositories"]]
    for repository in repositories:
        if not check_mode and not any(sources(repository).values()):
            raise MeshopsError(
                f"The folder {repository['packages_dir']} for the repository {repository['path']} holds no .deb file. "
                "Put the packages there first."
            )
    changed, key = False, signer.public_key()
    if not key:
        changed = True
        if not check_mode:
            signer.create()
            key = signer.public_key()
    fingerprint = openpgp.fingerprints(key)[0] if key else ""
    rebuilt = []
    for repository in repositories:
        wanted, marker = stamp(repository, fingerprint), root / repository["path"].strip("/") / STAMP
        if marker.exists() and marker.read_text(encoding="ascii") == wanted:
            continue
        rebuilt.append(repository["path"])
        if not check_mode:
            rebuild(root, repository, signer, key, wanted)
    note = root / "fingerprint"
    if fingerprint and (not note.exists() or note.read_text(encoding="ascii") != fingerprint + "\n"):
        changed = True
        if not check_mode:
            mirrors.write_atomic(str(note), (fingerprint + "\n").encode(), 0o644)
    return {"changed": changed or bool(rebuilt), "fingerprint": fingerprint, "rebuilt": rebuilt}
