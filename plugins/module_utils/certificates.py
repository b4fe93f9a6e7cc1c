# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: whether a private key belongs to a certificate, asked of the standard library's ssl.

It reads files only, so the pair is in a directory of its own for a moment. No text from here has anything of the key.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from pathlib import Path
from typing import Optional

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made there
# the last is a key of another algorithm than the certificate's
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


def pair_problem(certificate: bytes, key: bytes) -> str:
    """Return why a certificate chain and a private key, both PEM, cannot be used together; "" when they can."""
    if b"ENCRYPTED" in key:
        return "its private key is encrypted, which a gateway cannot read"
    with tempfile.TemporaryDirectory(prefix="meshops-", dir=_memory()) as folder:  # mode 0700
        paths = [_write(Path(folder, "certificate.pem"), certificate), _write(Path(folder, "key.pem"), key)]
        return _load(*paths)


def _memory() -> Optional[Path]:
    return _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None


def _write(path: Path, content: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def _load(certificate: Path, key: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # what is too weak for this host is the gateway's business
    try:
        # a password is never asked for at a terminal
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            return "its private key does not belong to its certificate"
        return f"its certificate or its private key is damaged ({error.reason or 'not readable'})"
    except (OSError, ValueError):
        return "its certificate or its private key is damaged"
    return ""
