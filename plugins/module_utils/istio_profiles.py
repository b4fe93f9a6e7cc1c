# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: installation profiles, read from the folder of a release.

istioctl itself has no command for them since 1.24 (release note operator-drop-dump of istio/istio).
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import words
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

try:
    import yaml

    IMPORT_ERROR: ImportError | None = None
except ImportError as error:
    IMPORT_ERROR = error

_DEFAULT = "default"
# what a chart adds for a profile or a platform; the same files lie beside every chart
_SETTINGS = "charts/istio-control/istio-discovery/files"


def folder(manifests: str | None, istioctl: str) -> Path | None:
    """Return the folder `manifests` of the release: the given one, else that beside istioctl; None without one."""
    if manifests:
        given = Path(manifests)
        for path in (given, given / "manifests"):  # the folder itself, or the release that has it
            if (path / "profiles").is_dir():
                return path
        raise MeshopsError(f"There are no profiles in {given}: set manifests to the folder manifests of a release.")
    program = shutil.which(istioctl)
    if program is None:
        return None
    path = Path(program).resolve().parent.parent / "manifests"
    return path if (path / "profiles").is_dir() else None


def names(manifests: Path | None) -> list[str]:
    """Return the names of the profiles, [] without a folder."""
    return sorted(path.stem for path in (manifests / "profiles").glob("*.yaml")) if manifests else []


def dump(manifests: Path | None, profile: str) -> dict[str, Any]:
    """Return the IstioOperator document that a profile stands for: its own settings over those of `default`.

    Its `values` have what the charts add for the profile. Hub and tag are those of the files; istioctl uses its own.
    """
    if manifests is None:
        raise MeshopsError(
            f"Profile {profile} cannot be shown: istioctl has no command for it since 1.24 (release note"
            " operator-drop-dump), and there is no folder of a release; set manifests to one."
        )
    known = names(manifests)
    if profile not in known:
        near = words.nearest(profile, known)
        guess = f" Did you mean {near}?" if near else ""
        raise MeshopsError(
            f"Profile {profile} is none of the release in {manifests}.{guess} There are {', '.join(known)}."
        )
    document = load(manifests / "profiles" / f"{_DEFAULT}.yaml")
    if profile != _DEFAULT:
        document = overlaid(document, load(manifests / "profiles" / f"{profile}.yaml"))
    spec = document.get("spec") or {}
    values = spec.get("values") or {}
    added: dict[str, Any] = {}
    for name in (values.get("profile"), f"platform-{(values.get('global') or {}).get('platform')}"):
        settings = manifests / _SETTINGS / f"profile-{name}.yaml"
        added = overlaid(added, load(settings)) if settings.is_file() else added
    if added:
        document = {**document, "spec": {**spec, "values": overlaid(added, values)}}
    return document


def load(path: Path) -> dict[str, Any]:
    """Return the one document of a YAML file; MeshopsError names the file."""
    if IMPORT_ERROR is not None:
        raise MeshopsError(f"The Python library PyYAML cannot be imported ({IMPORT_ERROR}): install it.")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MeshopsError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(found, dict):
        raise MeshopsError(f"{path} is no profile: it has no keys.")
    return found


def overlaid(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `top` over it as istioctl does: keys one by one, lists as a whole."""
    result = copy.deepcopy(dict(base))
    for key, value in top.items():
        below = result.get(key)
        result[key] = overlaid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
