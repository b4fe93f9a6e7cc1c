# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's commands: up, build, down, inputs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any, Optional

from lab import binaries, container_images, content, debs, engine, nodes, roots
from lab.data import LAB, Cache, LabError, digest, load, text_digest
from lab.progress import say
from lab.run import run

PROJECT = LAB.parent


def main(argv: Optional[list[str]] = None) -> int:
    """Runs one command; a known trouble is one sentence on stderr and code 1."""
    parser = argparse.ArgumentParser(
        prog="python3 -m lab", description="Three real Kubernetes nodes and a mirror on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="build what is missing, start the machines, fill the mirror")
    up_parser.add_argument("--fresh", action="store_true", help="make the nodes anew, as bare machines")
    up_parser.add_argument("nodes", nargs="*", help="only these machines")
    commands.add_parser("build", help="build what the cache lacks")
    commands.add_parser("down", help="remove the machines and the network")
    commands.add_parser("inputs", help="write the digests of the wrapper modules into components.yml")
    arguments = parser.parse_args(argv)
    try:
        data, cache = load(), Cache.open()
        if arguments.command == "up":
            up(cache, data, arguments.nodes, arguments.fresh)
        elif arguments.command == "build":
            build(cache, data)
        elif arguments.command == "down":
            nodes.down(data)
        else:
            write_inputs(data)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    return 0


def from_source() -> bool:
    """LAB_SOURCE=upstream leaves out the builds and the mirror: the nodes use the upstream registries."""
    source = os.environ.get("LAB_SOURCE", "build")
    if source not in ("build", "upstream"):
        raise LabError(f"LAB_SOURCE is {source}: it can be `build` (the default) or `upstream`.")
    return source == "build"


def build(cache: Cache, data: dict[str, Any]) -> dict[str, str]:
    """All that the machines need. Returns root name -> image name."""
    engine.ensure_tools(build=True)
    engine.ensure_engine(cache.root / "dockerd.log")
    if not from_source():
        return roots.build_all(cache, {name: root for name, root in data["roots"].items() if name.startswith("node-")})
    built = binaries.build_all(cache, data["components"])
    debs.build_all(cache, data["packages"], built)
    images = roots.build_all(cache, data["roots"])
    container_images.build_all(cache, data["images"], built, images)
    content.build_all(cache, data, built)
    return images


def up(cache: Cache, data: dict[str, Any], only: list[str], fresh: bool) -> None:
    """From nothing, or from whatever is left, to running machines and a filled mirror."""
    images = build(cache, data)
    if not from_source():
        data["nodes"] = [node for node in data["nodes"] if node["name"] != nodes.MIRROR]
        nodes.up(cache, data, images, only, fresh)
        return
    machines = [node["name"] for node in data["nodes"] if node["name"] != nodes.MIRROR]
    made = nodes.up(cache, data, images, [nodes.MIRROR], fresh=False)
    serve(cache, anew=bool(made))
    nodes.up(cache, data, images, only or machines, fresh)


def serve(cache: Cache, anew: bool) -> None:
    """Runs the mirror's playbook when the mirror is new, its content or its role has changed."""
    stamp = cache.state / "mirror.stamp"
    stamps = sorted((cache.content / "registry.stamps").iterdir())
    packages = sorted((cache.content / "packages").rglob(".*"))
    key = text_digest(
        digest(PROJECT / "roles" / "mirror", PROJECT / "inventories/lab/group_vars/mirror", *stamps, *packages)
    )
    if not anew and stamp.exists() and stamp.read_text() == key:
        say(" lab   mirror ready")
        return
    stamp.unlink(missing_ok=True)
    ansible = Path(sys.executable).with_name("ansible-playbook")
    run([str(ansible), "playbooks/mirror.yml", "-i", "inventories/lab"], cwd=PROJECT, log=cache.root / "mirror.log")
    fingerprint = run(["docker", "exec", nodes.PREFIX + nodes.MIRROR, "cat", "/srv/mirror/www/fingerprint"])
    (cache.state / "mirror.fingerprint").write_text(fingerprint)
    stamp.write_text(key)
    say(" lab   mirror filled")


def write_inputs(data: dict[str, Any]) -> None:
    """Pins the wrapper modules as they are now."""
    file = LAB / "components.yml"
    text = file.read_text()
    for component in data["components"]:
        if "wrapper" in component:
            pattern = rf"(    wrapper: {component['wrapper']}\n    inputs: ).*"
            text = re.sub(pattern, rf"\g<1>{binaries.wrapper_digest(component['wrapper'])}", text)
    file.write_text(text)
    say(" lab   digests written to lab/components.yml")
