# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a write that ended with an error may have been made: its answer got lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.kube import Conflict
from ansible_collections.meshops.istio.plugins.module_utils.kube_errors import KubeError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import model
from ansible_collections.meshops.istio.plugins.module_utils.traffic.steps import Step

_UNSURE = frozenset({0, 500, 502, 504})  # 0: no answer


def made_anyway(kube: Any, step: Step, error: KubeError) -> Optional[Mapping[str, Any]]:
    """Return the object that a step has written (None: deleted) although it ended with `error`; else raise that.

    A conflict is one such error: the first of two tries was made, and the second one found it.
    """
    if not isinstance(error, Conflict) and (error.status not in _UNSURE or getattr(error, "unsent", False)):
        raise error
    obj = step.obj
    try:
        live = kube.get(obj["apiVersion"], obj["kind"], model.name_of(obj), model.namespace_of(obj))
    except KubeError as blind:
        told = f"{sentence(error)} Whether it was written is not known; the same task finds out."
        raise MeshopsError(told) from blind
    if live is None and step.after is None:
        return None
    if live is not None and step.after is not None and _content(live) == _content(step.after):
        return live
    raise error


def sentence(error: MeshopsError) -> str:
    """Return the error's text as a sentence; what the API server said at its end may be none."""
    text = str(error)
    return text if text.endswith((".", "?")) else f"{text}."


def _content(obj: Mapping[str, Any]) -> Any:
    # the journal has the time of the write in it
    return model.spec_of(obj), model.dict_of(obj["metadata"].get("annotations"))
