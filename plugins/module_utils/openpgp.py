# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: fingerprints of OpenPGP public keys, without gpg on the host (RFC 4880, RFC 9580)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.meshops.istio.plugins.module_utils import mirrors
from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

BLOCK = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
PUBLIC_KEY = 6
CRC24_INIT, CRC24_POLY = 0xB704CE, 0x1864CFB


def crc24(data: bytes) -> int:
    """Checksum of an armoured block (RFC 4880, 6.1)."""
    crc = CRC24_INIT
    for octet in data:
        crc ^= octet << 16
        for _bit in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= CRC24_POLY
    return crc & 0xFFFFFF


def armor(data: bytes) -> str:
    """Binary key material as one ASCII block, which apt and rpm both read."""
    text = base64.b64encode(data).decode("ascii")
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    lines.append("=" + base64.b64encode(crc24(data).to_bytes(3, "big")).decode("ascii"))
    head, tail = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
    return "\n".join([head, "", *lines, tail, ""])


def dearmor(data: bytes) -> bytes:
    """Binary key material of an armoured or a binary file. Raises MirrorError."""
    if data[:1] and data[0] & 0x80:
        return data
    blocks = BLOCK.findall(data.decode("utf-8", "replace"))
    binary = b""
    for block in blocks:
        lines = [line.strip() for line in block.splitlines()]
        body = lines[lines.index("") + 1 :] if "" in lines else lines
        try:
            binary += base64.b64decode("".join(x for x in body if not x.startswith("=")), validate=True)
        except binascii.Error as error:
            raise mirrors.MirrorError(f"the answer is no OpenPGP key ({error})") from error
    if not binary:
        raise mirrors.MirrorError("the answer is no OpenPGP key")
    return binary


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, body) of each packet. Raises MirrorError when the data is none of that."""
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise mirrors.MirrorError("the answer is no OpenPGP key")
        tag, (length, at) = _length(data, at, head)
        if at + length > len(data):
            raise mirrors.MirrorError("the key was cut off")
        yield tag, data[at : at + length]
        at += length


def _length(data: bytes, at: int, head: int) -> tuple[int, tuple[int, int]]:
    """Tag, and the body's length with the offset at which it begins."""
    try:
        if not head & 0x40:  # old format
            size = 1 << (head & 3)
            if size == 8:
                raise mirrors.MirrorError("the key has a packet of unknown length")
            return (head >> 2) & 15, (int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size)
        first = data[at + 1]
        if first < 192:
            return head & 63, (first, at + 2)
        if first < 224:
            return head & 63, (((first - 192) << 8) + data[at + 2] + 192, at + 3)
        if first == 255:
            return head & 63, (int.from_bytes(data[at + 2 : at + 6], "big"), at + 6)
    except IndexError as error:
        raise mirrors.MirrorError("the key was cut off") from error
    raise mirrors.MirrorError("the key has a packet of unknown length")


def fingerprint(body: bytes) -> str:
    """Fingerprint of a public key packet, upper-case hex."""
    version = body[0] if body else 0
    if version == 4:
        # SHA-1 is what the format prescribes for names of version 4 keys
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
        return digest.hexdigest().upper()
    if version in (5, 6):
        prefix = b"\x9a" if version == 5 else b"\x9b"
        return hashlib.sha256(prefix + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise mirrors.MirrorError(f"the key has the unknown version {version}")


def fingerprints(data: bytes) -> list[str]:
    """Fingerprints of the primary keys in an armoured or binary file, in order. Raises MirrorError."""
    found = [fingerprint(body) for tag, body in packets(dearmor(data)) if tag == PUBLIC_KEY]
    if not found:
        raise mirrors.MirrorError("the answer holds no public key")
    return found


def wanted(texts: list[str]) -> set[str]:
    """Fingerprints as users write them, in one form. Raises MeshopsError for what is none."""
    result = set()
    for text in texts:
        plain = re.sub(r"[\s:]", "", text).upper().removeprefix("0X")
        if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", plain):
            raise MeshopsError(f"'{text}' is not the fingerprint of a key. Write all of its 40 hexadecimal digits.")
        result.add(plain)
    if not result:
        raise MeshopsError("No fingerprint of a key is wanted. Set fingerprints to those of the repository's keys.")
    return result


def verify(data: bytes, accepted: set[str]) -> list[str]:
    """Fingerprints in the data, all of them accepted. A stranger beside the right key would be trusted as well."""
    found = fingerprints(data)
    strangers = [name for name in found if name not in accepted]
    if strangers:
        raise mirrors.MirrorError(f"it holds the key {', '.join(strangers)}, wanted is {', '.join(sorted(accepted))}")
    return found


def _present(dest: str, accepted: set[str]) -> tuple[bytes, list[str]]:
    """What `dest` holds and its fingerprints; the latter empty when it is missing or has a key not wanted."""
    try:
        data = Path(dest).read_bytes()
    except OSError:
        return b"", []
    try:
        return data, verify(data, accepted)
    except mirrors.MirrorError:
        return data, []


def install_key(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Core of the module repository_key: params as in its documentation."""
    dest, accepted = params["dest"], wanted(params["fingerprints"])
    old, present = _present(dest, accepted)
    result: dict[str, Any] = {"changed": False, "dest": dest, "url": "", "failures": [], "fingerprints": present}
    if present and not params["refresh"]:
        return {**result, "changed": mirrors.fix_mode(dest, 0o644, check_mode)}
    if check_mode:
        return {**result, "changed": not present, "fingerprints": sorted(accepted)}

    def attempt(url: str) -> bytes:
        data = dearmor(mirrors.fetch(url, params["timeout"], 1 << 20))
        verify(data, accepted)
        return data

    hint = "Give a mirror that serves the key, or correct the fingerprints."
    outcome = mirrors.first_good(params["urls"], attempt, f"The signing key {dest}", hint)
    content = armor(outcome.value).encode("ascii")
    if content != old:
        mirrors.write_atomic(dest, content, 0o644)
    return {
        **result,
        "changed": content != old,
        "url": mirrors.public(outcome.url),
        "failures": outcome.failures,
        "fingerprints": fingerprints(content),
    }
