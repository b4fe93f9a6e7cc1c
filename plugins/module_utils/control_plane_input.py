# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the one IstioOperator document of a task's options, and what istioctl says against it.

Pure but for `read_files` and `profiles`, which read files of the host.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import control_plane_set
from ansible_collections.meshops.istio.plugins.module_utils import istio_profiles as release
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

API_VERSION, KIND = "install.istio.io/v1alpha1", "IstioOperator"
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PARTS = frozenset({"apiVersion", "kind", "metadata", "spec"})
# the profiles of every release since 1.24, for an istioctl without its release's folder
_PROFILES = [
    "ambient",
    "default",
    "demo",
    "empty",
    "minimal",
    "openshift",
    "openshift-ambient",
    "preview",
    "remote",
    "stable",
]
_NO_PROFILE = re.compile(r'profile "([^"]*)" not found')
_UNKNOWN = re.compile(r'unknown field "([^"]+)"(?: in (?:\w+\.)*(\w+))?')
_WRONG_TYPE = re.compile(r"cannot unmarshal (\w+) into Go (?:struct field \w+\.(\S+)|value) of type (\S+)")


class FileMissing(MeshopsError):  # noqa: N818
    """One of the option `files` is not there."""


def operator_document(params: Mapping[str, Any]) -> dict:
    """Return the one IstioOperator document of the options; MeshopsError for what cannot be one.

    The later one has its way: profile, hub, tag and revision, then files, spec, values, set.
    """
    metadata: dict[str, Any] = {}
    spec: dict[str, Any] = {key: params[key] for key in ("profile", "hub", "tag", "revision") if params[key]}
    if params["manifests"]:
        spec["installPackagePath"] = str(Path(params["manifests"]).expanduser().resolve())
    if params["namespace"] != "istio-system":
        spec["values"] = {"global": {"istioNamespace": params["namespace"]}}
    for document in read_files(params["files"] or []):
        metadata = release.overlaid(metadata, document.get("metadata") or {})
        spec = release.overlaid(spec, document.get("spec") or {})
    inline = params["spec"] or {}
    if "kind" in inline or "apiVersion" in inline:
        raise MeshopsError("The option spec takes what stands under spec: of an IstioOperator, not the whole document.")
    spec = release.overlaid(spec, inline)
    if params["values"]:
        spec = release.overlaid(spec, {"values": params["values"]})
    spec = copy.deepcopy(spec)
    control_plane_set.apply(spec, params["set"] or [])
    if spec.get("revision") == "default":
        del spec["revision"]  # the name of the unnamed revision
    _check(spec)
    name = {"metadata": {"name": metadata["name"]}} if metadata.get("name") else {}
    return {"apiVersion": API_VERSION, "kind": KIND, **name, "spec": spec}


def _check(spec: Mapping[str, Any]) -> None:
    revision = spec.get("revision")
    if revision and not _DNS_LABEL.fullmatch(str(revision)):
        raise MeshopsError(
            f"The revision {revision} is not a DNS label: use at most 63 small letters, digits and hyphens,"
            " a letter or digit at both ends, like 1-31-1."
        )
    folder = spec.get("installPackagePath")
    if folder and not (Path(folder) / "profiles").is_dir():
        raise MeshopsError(
            f"There are no profiles in {folder}: give the folder manifests of an Istio release, or a copy of it."
        )


def read_files(paths: list[str]) -> list[dict]:
    """Return the IstioOperator document of each file."""
    return [_document(Path(path).expanduser()) for path in paths]


def _document(path: Path) -> dict:
    if not path.exists():
        raise FileMissing(f"There is no file {path}: the option files takes files on the host of the task.")
    document = release.load(path)
    if document.get("kind") != KIND or not str(document.get("apiVersion", "")).startswith("install.istio.io/"):
        raise MeshopsError(f"{path} is not an IstioOperator: it needs apiVersion: {API_VERSION} and kind: {KIND}.")
    unknown = sorted(set(document) - _PARTS)
    if unknown:
        raise MeshopsError(f"{path} has {', '.join(unknown)} beside spec, which no IstioOperator has: mind the indent.")
    for part in ("metadata", "spec"):
        if not isinstance(document.get(part) or {}, dict):
            raise MeshopsError(f"{part} of {path} is not a dictionary.")
    return document


def values_of(document: Mapping[str, Any]) -> dict:
    """Return what stands under values.global, {} when nothing does."""
    found = (document["spec"].get("values") or {}).get("global")
    return found if isinstance(found, dict) else {}


def namespace_of(document: Mapping[str, Any]) -> str:
    """Return the namespace that the document installs into."""
    return values_of(document).get("istioNamespace") or "istio-system"


def namespace_object(document: Mapping[str, Any]) -> dict:
    """Return the namespace as the installer itself would make it, with the label of the mesh network if it has one."""
    network = values_of(document).get("network")
    labels = {"labels": {"topology.istio.io/network": network}} if network else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace_of(document), **labels}}


def profiles(istioctl: str, folder: str | None) -> list[str]:
    """Return the names of the profiles that `folder`, or the release that istioctl lies in, has."""
    return release.names(release.folder(folder, istioctl)) or _PROFILES


def complaint(said: str, document: Mapping[str, Any], known: list[str]) -> str:
    """Return istioctl's complaint about a document as a sentence that names the path, or as it was said."""
    profile = _NO_PROFILE.search(said)
    if profile:
        return f"There is no profile {profile[1]}: choose one of {', '.join(known)}."
    unknown = _UNKNOWN.search(said)
    if unknown:
        of = f" ({unknown[2]} has no such field)" if unknown[2] else ""
        # istioctl reads values on their own, and says then which type lacks the field
        paths = [
            ".".join(path)
            for path in _paths_of(document["spec"], unknown[1], ("spec",))
            if (path[1] == "values") == bool(unknown[2]) and path[1] not in ("meshConfig", "unvalidatedValues")
        ]
        return f"The IstioOperator has an unknown field: {' or '.join(paths) or unknown[1]}{of}. Correct or remove it."
    wrong = _WRONG_TYPE.search(said)
    if wrong and wrong[2]:
        return f"The IstioOperator's {wrong[2]} is a {wrong[1]}, but has to be of type {wrong[3]}. Correct it."
    return said


def _paths_of(node: Any, name: str, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield (*at, key)
            yield from _paths_of(value, name, (*at, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _paths_of(value, name, (*at[:-1], f"{at[-1]}[{index}]"))
