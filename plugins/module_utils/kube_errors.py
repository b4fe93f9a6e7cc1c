# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the Kubernetes API server can answer that the user has to know."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

_DENIED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)
# from Kubernetes 1.35 a command in a pod takes two rights, and the refusal for want of this one names nothing
_DENIED_COMMAND = re.compile(r'pods "[^"]*" is forbidden:?\s*')

_UNTYPED = "failed to create typed patch object"


class KubeError(MeshopsError):
    """Any answer of the API server other than success; `status` is the HTTP code, 0 when there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(KubeError):  # noqa: N818
    """No usable answer: no kubeconfig, connection refused, timeout, a certificate that does not fit."""


class Unauthorized(KubeError):  # noqa: N818
    """401: the credentials are not accepted."""


class Forbidden(KubeError):  # noqa: N818
    """403: the user may not, or an admission rule refuses."""


class NotFound(KubeError):  # noqa: N818
    """404: the object, its namespace or its kind does not exist."""


class Conflict(KubeError):  # noqa: N818
    """409: changed in between, exists already, or another field manager owns the field."""


class Invalid(KubeError):  # noqa: N818
    """400 or 422: the object itself is refused."""


class WebhookUnavailable(KubeError):  # noqa: N818
    """An admission webhook did not answer; the object was neither accepted nor refused."""


class WaitTimeout(KubeError):  # noqa: N818
    """The deadline passed; `last` is the object as it was seen last (None: absent)."""

    def __init__(self, message: str, last: dict | None = None) -> None:
        super().__init__(message)
        self.last = last


_BY_STATUS: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}
RETRIABLE = frozenset({429, 500, 502, 503, 504})


def status_message(body: bytes | str) -> str:
    """Return the message of a Status object, or the start of whatever the server sent instead."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and parsed.get("message"):
        text = str(parsed["message"])
    return " ".join(text.split())[:1000] or "no explanation"


def is_webhook_failure(status: int, message: str) -> bool:
    """Tell whether a webhook could not be called, as opposed to one that said no (`... denied the request`)."""
    return status >= 500 and "failed calling webhook" in message


def from_response(status: int, body: bytes | str, what: str, server: str) -> KubeError:
    """Return the error for an HTTP answer. `what` completes "Cannot ...", for example `apply Service a/b`."""
    message = status_message(body)
    if is_webhook_failure(status, message):
        return WebhookUnavailable(
            f"Cannot {what}: an admission webhook of the cluster does not answer ({message});"
            " see whether the pods behind it are running.",
            status,
        )
    if status == 500 and _UNTYPED in message:  # an unknown field; the server calls it an error of its own
        status = 422
    error = _BY_STATUS.get(status, KubeError)
    return error(_sentence(status, message, what, server), status)


def _sentence(status: int, message: str, what: str, server: str) -> str:
    if status == 401:
        return (
            f"Cannot {what}: {server} does not accept the credentials of the kubeconfig (expired, or of another"
            " cluster); fetch a new kubeconfig."
        )
    if status == 403:
        return f"Cannot {what}: {_refusal(message)}"
    if status == 409:
        return f"Cannot {what}: somebody else changed it or owns the field: {message}"
    if status in RETRIABLE:
        return f"Cannot {what}: {server} keeps answering {status}: {message}"
    return f"Cannot {what}: {message}"


def _refusal(message: str) -> str:
    denied = _DENIED.search(message)
    grant = "grant it by a Role or use another kubeconfig."
    if denied:
        where = f" in namespace {denied['namespace']}" if denied["namespace"] else ""
        resource = f"{denied['resource']}.{denied['group']}" if denied["group"] else denied["resource"]
        return f"user {denied['user']} may not {denied['verb']} {resource}{where}; {grant}"
    if _DENIED_COMMAND.fullmatch(message):
        return f"the user of the kubeconfig may not create pods/exec in its namespace; {grant}"
    return f"the API server refuses it: {message}"
