# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images from binaries, pushed into the registry folder that the mirror serves."""

from __future__ import annotations

import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.binaries import module_folder
from lab.data import Cache, LabError, text_digest
from lab.progress import Progress
from lab.run import run

REGISTRY = "meshops-lab-registry"
REGISTRY_TIMEOUT = 30  # seconds


def build_all(cache: Cache, images: list[dict[str, Any]], binaries: dict[str, Path], roots: dict[str, str]) -> None:
    """Builds and pushes what the registry folder lacks; the engine keeps no copy that anything depends on."""
    stamps = cache.content / "registry.stamps"
    stamps.mkdir(parents=True, exist_ok=True)
    keys = {image["name"]: image_key(image, binaries, roots) for image in images}
    progress = Progress("image", len(images))

    def stamp(name: str) -> Path:
        return stamps / name.replace("/", "_").replace(":", "_")

    stale = {name for name, key in keys.items() if not stamp(name).exists() or stamp(name).read_text() != key}
    if not stale:
        progress.close()
        return
    with registry(cache, roots["mirror"]) as address:
        for image in images:
            name = image["name"]
            with progress.step(name, cached=name not in stale):
                if name in stale:
                    push(image, address, binaries, roots)
                    stamp(name).write_text(keys[name])
    progress.close()


def image_key(image: dict[str, Any], binaries: dict[str, Path], roots: dict[str, str]) -> str:
    """What an image is made from."""
    used = {source: str(binaries[source.split("/")[0]].name) for source in image["copy"]}
    return text_digest(image, used, roots[image["base"]] if "base" in image else "scratch")


@contextmanager
def registry(cache: Cache, mirror_image: str) -> Iterator[str]:
    """A registry on a free loopback port while images are pushed; its program comes from the mirror's image."""
    storage = cache.content / "registry"
    storage.mkdir(parents=True, exist_ok=True)
    run(["docker", "rm", "-f", REGISTRY])
    config = "version: 0.1\nstorage: {filesystem: {rootdirectory: /registry}}\nhttp: {addr: ':5000'}\n"
    run(
        ["docker", "run", "-d", "--name", REGISTRY, "-p", "127.0.0.1::5000", "-v", f"{storage}:/registry"]
        + ["--entrypoint", "/bin/sh", mirror_image, "-c"]
        + ['printf %s "$0" > /tmp/config.yml && exec docker-registry serve /tmp/config.yml', config]
    )
    try:
        port = run(["docker", "port", REGISTRY, "5000/tcp"]).split(":")[-1].strip()
        wait_for_registry(f"http://127.0.0.1:{port}/v2/")
        yield f"localhost:{port}"
    finally:
        run(["docker", "rm", "-f", REGISTRY])


def wait_for_registry(url: str) -> None:
    """Returns when the registry answers."""
    deadline = time.monotonic() + REGISTRY_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a loopback address of our own
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"The lab's registry does not answer on {url}: {error}.") from error
            time.sleep(0.2)


def push(image: dict[str, Any], address: str, binaries: dict[str, Path], roots: dict[str, str]) -> None:
    """One `docker build` and `docker push`."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        lines = [f"FROM {roots[image['base']] if 'base' in image else 'scratch'}"]
        for source, target in image["copy"].items():
            component, name = source.split("/")
            shutil.copy(binaries[component] / name, context / name)
            lines.append(f"COPY {name} {target}")
        for item in image.get("module_files", []):
            file = Path(item["file"]).name
            shutil.copy(module_folder(binaries, item["component"], item["path"]) / item["file"], context / file)
            (context / file).chmod(0o644)
            lines.append(f"COPY {file} {item['to']}")
        if "path" in image:
            lines.append(f"ENV PATH={image['path']}")
        if "user" in image:
            lines.append(f"USER {image['user']}")
        entrypoint = ", ".join(f'"{word}"' for word in image.get("entrypoint", []))
        lines += [f"ENTRYPOINT [{entrypoint}]", "CMD []"] if entrypoint else ["CMD []"]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        tag = f"{address}/{image['name']}"
        run(["docker", "build", "-q", "-t", tag, str(context)], env={"DOCKER_BUILDKIT": "0"})
        run(["docker", "push", "-q", tag])
        run(["docker", "rmi", tag])
