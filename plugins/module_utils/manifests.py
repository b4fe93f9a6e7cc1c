# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Kubernetes manifests as data: read, changed, ordered, compared, shown. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.meshops.istio.plugins.module_utils import kube_paths
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

try:
    import yaml

    IMPORT_ERROR: ImportError | None = None
    # libyaml is ten times as fast, which matters for the megabyte of Istio's CRDs
    _LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
        """Shows texts of several lines as such."""

    def _text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    _Dumper.add_representer(str, _text)
except ImportError as error:
    IMPORT_ERROR = error

MASK = "(hidden)"
_SERVER_OWNED = frozenset(
    {"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "deletionTimestamp"}
)
_CLIENT_APPLY = "kubectl.kubernetes.io/last-applied-configuration"
_CONTAINER_LISTS = frozenset({"containers", "initContainers", "ephemeralContainers"})


class Identity(NamedTuple):
    """What names an object in a cluster; `namespace` is "" where there is none."""

    api_version: str
    kind: str
    namespace: str
    name: str


def _yaml() -> Any:
    if IMPORT_ERROR is not None:
        raise MeshopsError(f"The Python library PyYAML cannot be imported ({IMPORT_ERROR}): install it.")
    return yaml


def load(text: str, origin: str = "the manifest") -> list[dict]:
    """Return the objects of a multi-document YAML (or JSON) text; List kinds are taken apart, empty documents dropped.

    Raises MeshopsError that names `origin` for bad syntax and for what is not a Kubernetes object.
    """
    parser = _yaml()
    try:
        documents = list(parser.load_all(text, Loader=_LOADER))
    except parser.YAMLError as error:
        raise MeshopsError(f"{origin} is not valid YAML: {' '.join(str(error).split())}") from error
    return flatten([document for document in documents if document is not None], origin)


def flatten(documents: list, origin: str = "the manifest") -> list[dict]:
    """Return the objects of already parsed documents, checked for apiVersion, kind and metadata.name."""
    objects: list[dict] = []
    for number, document in enumerate(documents, 1):
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
            objects += flatten(document["items"] or [], origin)
            continue
        if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
            raise MeshopsError(
                f"Document {number} of {origin} is not a Kubernetes object: it lacks apiVersion or kind."
            )
        if not isinstance(document.get("metadata"), dict) or not document["metadata"].get("name"):
            raise MeshopsError(f"The {document['kind']} in document {number} of {origin} has no metadata.name.")
        objects.append(document)
    return objects


def dump(obj: Any) -> str:
    """Return block-style YAML with sorted keys."""
    return _yaml().dump(obj, Dumper=_Dumper, default_flow_style=False, sort_keys=True, width=4096, allow_unicode=True)


def identity(obj: Mapping[str, Any]) -> Identity:
    """Return the identity of an object."""
    meta = obj["metadata"]
    return Identity(obj["apiVersion"], obj["kind"], meta.get("namespace") or "", meta["name"])


def describe(obj: Mapping[str, Any]) -> str:
    """Return `Deployment istio-system/istiod` or `Namespace demo`."""
    return kube_paths.describe(obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace"))


def merge(base: Any, patch: Any) -> Any:
    """Return `base` with `patch` merged in; neither is changed.

    Dicts merge by key, null removes the key; lists whose items all have a `name` merge by it; other lists are replaced.
    """
    if isinstance(patch, dict):
        base = base if isinstance(base, dict) else {}
        merged = {key: copy.deepcopy(value) for key, value in base.items() if patch.get(key, value) is not None}
        for key, value in patch.items():
            if value is not None:
                merged[key] = merge(base.get(key), value)
        return merged
    if _named(base) and _named(patch):
        rest = {item["name"]: item for item in patch}
        merged_items = [merge(item, rest.pop(item["name"], {})) for item in base]
        return merged_items + [copy.deepcopy(item) for item in rest.values()]
    return copy.deepcopy(patch)


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def overlay(objects: list[dict], overlays: list[dict]) -> list[dict]:
    """Return the objects with each overlay merged into the one of the same kind, name and (when given) namespace."""
    result = list(objects)
    for number, patch in enumerate(overlays, 1):
        kind, meta = patch.get("kind"), patch.get("metadata") or {}
        if not kind or not meta.get("name"):
            raise MeshopsError(f"overlays[{number - 1}] needs kind and metadata.name to find its object.")
        matching = [
            index
            for index, obj in enumerate(result)
            if obj["kind"] == kind
            and obj["metadata"]["name"] == meta["name"]
            and meta.get("namespace", obj["metadata"].get("namespace")) == obj["metadata"].get("namespace")
        ]
        if not matching:
            there = ", ".join(sorted(describe(obj) for obj in objects if obj["kind"] == kind)) or "none"
            raise MeshopsError(
                f"overlays[{number - 1}] ({kind} {meta['name']}) matches no object of the manifest;"
                f" of that kind it has: {there}."
            )
        for index in matching:
            result[index] = merge(result[index], patch)
    return result


def rewrite_images(objects: list[dict], prefixes: Mapping[str, str]) -> list[dict]:
    """Return copies of the objects whose containers' images start with the new prefix; the longest match wins."""
    if not prefixes:
        return objects
    ordered = sorted(prefixes.items(), key=lambda item: len(item[0]), reverse=True)
    result = copy.deepcopy(objects)
    for container in _containers(result):
        for old, new in ordered:
            if container["image"].startswith(old):
                container["image"] = new + container["image"][len(old) :]
                break
    return result


def _containers(node: Any) -> Iterator[dict]:
    if isinstance(node, list):
        for item in node:
            yield from _containers(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _CONTAINER_LISTS and isinstance(value, list):
                yield from (item for item in value if isinstance(item, dict) and isinstance(item.get("image"), str))
            elif isinstance(value, (dict, list)):
                yield from _containers(value)


def ordered(objects: list[dict]) -> list[dict]:
    """Return the objects in the order of creation: namespaces, CRDs, the rest as written. Deletion is the reverse."""
    rank = {"Namespace": 0, "CustomResourceDefinition": 1}
    return sorted(objects, key=lambda obj: rank.get(obj["kind"], 2))


def comparable(obj: Mapping[str, Any]) -> dict:
    """Return the object without what only the server writes: status and its part of metadata."""
    meta = {key: value for key, value in obj.get("metadata", {}).items() if key not in _SERVER_OWNED}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": meta}


def diff_view(obj: Mapping[str, Any] | None) -> dict:
    """Return what a diff may show of an object: comparable, without the content of Secrets and certificate bundles."""
    if not obj:
        return {}
    view = copy.deepcopy(comparable(obj))
    annotations = view["metadata"].get("annotations")
    if annotations and _CLIENT_APPLY in annotations:
        del annotations[_CLIENT_APPLY]  # repeats the object, Secrets included
    if view.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if view.get(part):
                view[part] = dict.fromkeys(view[part], MASK)
    _mask_bundles(view)
    return view


def _mask_bundles(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _mask_bundles(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "caBundle" and isinstance(value, str):
                node[key] = MASK
            else:
                _mask_bundles(value)


def diff_entry(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, str]:
    """Return an entry of Ansible's diff list; None is an absent object. Changed Secret values are marked, not shown."""
    name = describe(before or after or {})
    old, new = diff_view(before), diff_view(after)
    if before and after and new.get("kind") == "Secret":
        for part in ("data", "stringData"):
            for key in new.get(part) or {}:
                if (before.get(part) or {}).get(key) != after[part][key]:
                    new[part][key] = f"{MASK} changed"
    return {
        "before_header": name,
        "after_header": name,
        "before": dump(old) if before else "",
        "after": dump(new) if after else "",
    }


def digest(objects: list[dict]) -> str:
    """Return the sha256 of the objects, whatever the order of objects and keys."""
    parts = sorted(json.dumps(obj, sort_keys=True, separators=(",", ":"), default=str) for obj in objects)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
