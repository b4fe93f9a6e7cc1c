# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: timeout and retries of an http route of a VirtualService. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Optional

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError
from ansible_collections.meshops.istio.plugins.module_utils.traffic import leaves
from ansible_collections.meshops.istio.plugins.module_utils.traffic.durations import seconds

_FIELDS = ("timeout", "retries")
_MILLISECOND = Fraction(1, 1000)


def set_policy(
    obj: Mapping[str, Any],
    index: int,
    timeout: Optional[str] = None,
    retries: Optional[Mapping[str, Any]] = None,
    absent: tuple[str, ...] = (),
) -> Mapping[str, Any]:
    """Return the object with timeout and retries of the http route at `index` set, those of `absent` taken out.

    timeout: a duration, 0s for none; retries: the fields of Istio's HTTPRetry that are to be set, the others stay.
    What is in effect already stays as it is written. MeshopsError for a value that Istio refuses.
    """
    route = leaves.http_route(obj, index, "a timeout or retries")
    wanted: dict[str, Any] = {name: None for name in _FIELDS if name in absent}
    if timeout is not None:
        wanted["timeout"] = _duration("timeout", timeout, Fraction(0))
    if retries is not None:
        wanted["retries"] = _retries(retries, route.get("retries"))
    merged = {name: leaves.merge(route.get(name), value) for name, value in wanted.items()}
    changed = {
        name: value for name, value in merged.items() if value != route.get(name) or (name in route and value is None)
    }
    return leaves.with_fields(obj, index, changed) if changed else obj


def _retries(retries: Mapping[str, Any], live: Any) -> dict[str, Any]:
    attempts = retries.get("attempts")
    if attempts is None and not (isinstance(live, dict) and live.get("attempts")):
        raise MeshopsError("retries has no attempts, which Istio takes as none. Give retries the number of attempts.")
    if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 0):
        raise MeshopsError(f"The attempts of retries are {attempts!r}. Give a whole number from 0.")
    if retries.get("perTryTimeout") is not None:
        _duration("perTryTimeout", retries["perTryTimeout"], _MILLISECOND)
    if attempts == 0 and any(value is not None for name, value in retries.items() if name != "attempts"):
        raise MeshopsError("retries has attempts 0 and other fields, which Istio refuses. Leave the others out.")
    return dict(retries)


def _duration(name: str, text: Any, least: Fraction) -> str:
    length = seconds(text)
    if length is None or length < least or 0 < length < _MILLISECOND:
        raise MeshopsError(f"{name} is {text!r}, which is no duration of 1ms or more, such as 2s. Correct it.")
    return str(text)
