# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what Istio finds in the Secret of a gateway's TLS. Pure.

(istio/istio pilot/pkg/credentials/kube/secrets.go) No sentence has more of a Secret than the names of its keys.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from ansible_collections.meshops.istio.plugins.module_utils.traffic import model

CA_SUFFIX = "-cacert"
MUTUAL = "MUTUAL"
_PAIRS = (("cert", "key"), ("tls.crt", "tls.key"))
_AUTHORITIES = ("cacert", "ca.crt")
_INVISIBLE = ("helm.sh/release.v1", "kubernetes.io/service-account-token")
_CERTIFICATE = re.compile(rb"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----.+-----END ", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----.+-----END ", re.DOTALL)


class Pair(NamedTuple):
    """A certificate chain and its private key as the Secret has them; the key is never to be shown."""

    certificate: bytes
    key: bytes


def secret_problem(
    secret: Optional[Mapping[str, Any]],
    name: str,
    namespace: str,
    mode: str,
    authority: Optional[Mapping[str, Any]] = None,
) -> str:
    """Return the sentence for a Secret that Istio cannot use, "" when it can; None is a Secret that is not there.

    namespace: where it was looked for; mode: of the server's TLS; authority: the Secret `NAME-cacert`, which MUTUAL
    takes before the Secret itself. Whether key and certificate belong together is not seen here.
    """
    if secret is None:
        return (
            f"There is no Secret {name} in namespace {namespace}, where the gateway's pods read it. Create it there"
            f" (kubectl -n {namespace} create secret tls {name} --cert=FILE --key=FILE), or correct tls.credential."
        )
    where = f"Secret {namespace}/{name}"
    if secret.get("type") in _INVISIBLE:
        return f"{where} has the type {secret['type']}, which Istio does not read. Create it as kubernetes.io/tls."
    names = _pair_names(secret)
    if not names:
        return (
            f"{where} has neither tls.crt and tls.key nor cert and key with content ({_keys(secret)})."
            " Create it again from a certificate and its key."
        )
    for key, form, what in zip(names, (_CERTIFICATE, _KEY), ("certificate", "private key")):
        if not form.search(_content(secret, key)):
            return f"{key} of {where} is no {what} in PEM form. Create the Secret again from the PEM file."
    if mode == MUTUAL:
        return _authority_problem(secret if authority is None else authority, where, authority is not None)
    return ""


def pair_of(secret: Mapping[str, Any]) -> Optional[Pair]:
    """Return the certificate and the key that Istio takes from the Secret, None when it has none."""
    names = _pair_names(secret)
    return Pair(_content(secret, names[0]), _content(secret, names[1])) if names else None


def _authority_problem(secret: Mapping[str, Any], where: str, apart: bool) -> str:
    where = f"{where}{CA_SUFFIX}" if apart else where
    key = next((key for key in _AUTHORITIES if _content(secret, key)), "")
    if not key:
        return (
            f"{where} has no ca.crt or cacert with content ({_keys(secret)}), by which mode mutual checks the clients."
            f" Add the certificate of their authority, or use mode simple."
        )
    if not _CERTIFICATE.search(_content(secret, key)):
        return f"{key} of {where} is no certificate in PEM form. Create the Secret again from the PEM file."
    return ""


def _pair_names(secret: Mapping[str, Any]) -> Optional[tuple[str, str]]:
    return next((pair for pair in _PAIRS if all(_content(secret, key) for key in pair)), None)


def _content(secret: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(str(model.dict_of(secret.get("data")).get(key) or ""), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _keys(secret: Mapping[str, Any]) -> str:
    keys = sorted(map(str, model.dict_of(secret.get("data"))))
    shown = ", ".join(keys[:5]) + (" and more" if len(keys) > 5 else "")
    return f"it has: {shown}" if keys else "it is empty"
