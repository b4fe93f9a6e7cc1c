# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: ordered mirrors; the first that answers correctly wins, nothing wrong is left behind."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import stat
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.urls import open_url

from ansible_collections.meshops.istio.plugins.module_utils.errors import MeshopsError

T = TypeVar("T")
CHUNK = 1 << 18
SMALL = 64 << 20  # bytes: more than any index, key or checksum file has
STALE = 3600  # seconds after which a partial file belongs to a run that was killed


class MirrorError(MeshopsError):
    """One mirror gave no correct answer; the message is the cause alone, the caller names the mirror."""


@dataclass
class Outcome:
    """What a walk along the mirrors came to: `url` and `value` of the first good one, the failures before it."""

    url: str = ""
    value: Any = None
    failures: list[dict[str, str]] = field(default_factory=list)


def public(url: str) -> str:
    """The address without user name and password, fit for a log."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def join(base: str, path: str) -> str:
    """`path` below `base`, with one slash between them."""
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


def first_good(urls: list[str], attempt: Callable[[str], T], subject: str, hint: str) -> Outcome:
    """Try `attempt` on each address in order and stop at the first that raises no MirrorError.

    Raises MeshopsError that names every address with its error, then `hint`, when none is left.
    """
    outcome = Outcome()
    for url in urls:
        try:
            outcome.value = attempt(url)
        except MirrorError as error:
            outcome.failures.append({"url": public(url), "error": str(error)})
        else:
            outcome.url = url
            return outcome
    raise MeshopsError(sentence(subject, outcome.failures, hint))


def sentence(subject: str, failures: list[dict[str, str]], hint: str) -> str:
    """One sentence naming the subject, each mirror with its error, and the next step."""
    if not failures:
        return f"{subject} cannot be fetched: no address is given. {hint}"
    named = "; ".join(f"{f['url']}: {f['error']}" for f in failures)
    return f"{subject} cannot be fetched from any of {len(failures)} mirror(s): {named}. {hint}"


def explain(error: BaseException) -> str:
    """The cause of a failed request in a few words."""
    reason = getattr(error, "reason", None)
    if getattr(error, "code", None):
        return f"HTTP status {error.code} {reason or ''}".strip()
    if isinstance(reason, BaseException):
        return explain(reason)
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(to_text(text).split())


def stream(url: str, timeout: float, total: float) -> Iterator[bytes]:
    """The body in pieces. `timeout`: seconds of silence, `total`: seconds for all of it. Raises MirrorError."""
    deadline = time.monotonic() + total
    expected = received = 0
    try:
        with contextlib.closing(open_url(url, timeout=timeout, http_agent="meshops.istio", force=True)) as answer:
            expected = int(answer.headers.get("Content-Length") or 0)
            # read1 hands over what has come, so that a trickle cannot outlive the deadline inside one read
            read = getattr(answer, "read1", answer.read)
            while piece := read(CHUNK):
                received += len(piece)
                yield piece
                if time.monotonic() > deadline:
                    raise MirrorError(f"not complete after {total:g} seconds ({received} bytes came)")
    except MirrorError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MirrorError(explain(error)) from error
    except Exception as error:  # open_url's own classes for TLS and proxies have no common root
        raise MirrorError(explain(error)) from error
    if expected and received < expected:
        raise MirrorError(f"the answer was cut off after {received} of {expected} bytes")


def fetch(url: str, timeout: float, limit: int = SMALL) -> bytes:
    """A small file as bytes; at most `limit` bytes and three times `timeout` seconds. Raises MirrorError."""
    body = bytearray()
    for piece in stream(url, timeout, 3 * timeout):
        body += piece
        if len(body) > limit:
            raise MirrorError(f"the answer is larger than {limit} bytes")
    return bytes(body)


def parse_checksum(text: str) -> str:
    """'sha256:<64 hex digits>' or the digits alone -> the digits in lower case. Raises MeshopsError."""
    digits = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise MeshopsError(f"'{text}' is not a sha256 checksum. Write sha256: and 64 hexadecimal digits.")
    return digits


def find_checksum(text: str, name: str) -> str:
    """The digest of the file `name` in the text of a checksum file (`sha256sum` format, or one digest alone)."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    digests = [words for words in lines if re.fullmatch(r"[0-9a-fA-F]{64}", words[0])]
    for words in digests:
        if len(words) > 1 and words[-1].lstrip("*").rpartition("/")[2] == name:
            return words[0].lower()
    if len(digests) == 1 and len(lines) == 1 and len(digests[0]) == 1:
        return digests[0][0].lower()
    raise MirrorError(f"it has no sha256 checksum of {name}")


def file_digest(path: str) -> str | None:
    """sha256 of a file in hex; None when it is not there."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as source:
            while piece := source.read(CHUNK):
                digest.update(piece)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


@contextlib.contextmanager
def replacement(dest: str, mode: int) -> Iterator[Any]:
    """A writable temporary file beside `dest` that takes its place when the block ends well, and goes otherwise."""
    folder, name = Path(dest).parent, Path(dest).name
    if not folder.is_dir():
        raise MeshopsError(f"The folder {folder} for {dest} does not exist. Create it first.")
    for old in folder.glob(f".{name}.*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > STALE:
                old.unlink()
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(dest)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomic(dest: str, content: bytes, mode: int) -> None:
    """Replace `dest` by `content` in one step."""
    with replacement(dest, mode) as target:
        target.write(content)


def parse_mode(text: str) -> int:
    """'0755' -> 0o755. Raises MeshopsError."""
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise MeshopsError(f"mode '{text}' is not an octal file mode. Write it as a string like '0644'.")
    return int(text, 8)


def fix_mode(dest: str, mode: int, check_mode: bool) -> bool:
    """Give an existing file its mode; True when it had another."""
    if stat.S_IMODE(Path(dest).stat().st_mode) == mode:
        return False
    if not check_mode:
        Path(dest).chmod(mode)
    return True


def save(url: str, checksum: str, params: dict[str, Any]) -> None:
    """Download `url` to the module's `dest`; it appears only when its sha256 is `checksum`. Raises MirrorError."""
    digest = hashlib.sha256()
    with replacement(params["dest"], parse_mode(params["mode"])) as target:
        for piece in stream(url, params["timeout"], params["total_timeout"]):
            digest.update(piece)
            target.write(piece)
        if digest.hexdigest() != checksum:
            raise MirrorError(f"wrong checksum: sha256 {digest.hexdigest()} came, {checksum} is wanted")


def wanted_checksum(params: dict[str, Any], name: str) -> tuple[str, list[dict[str, str]]]:
    """The digest to hold the download against, and the mirrors of checksum files that failed before."""
    if params.get("checksum"):
        return parse_checksum(params["checksum"]), []
    outcome = first_good(
        params.get("checksum_urls") or [],
        lambda url: find_checksum(fetch(url, params["timeout"], 1 << 20).decode("utf-8", "replace"), name),
        f"The checksum of {name}",
        "Give checksum, or the address of a checksum file that can be reached.",
    )
    return outcome.value, outcome.failures


def remembered_checksum(params: dict[str, Any]) -> str | None:
    """The digest that an existing file must have: the given one, else the one kept when it was verified."""
    if params.get("checksum"):
        return parse_checksum(params["checksum"])
    with contextlib.suppress(OSError, ValueError):
        return parse_checksum(Path(params["dest"] + ".sha256").read_text(encoding="ascii").split()[0])
    return None


def download(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Core of the module download: params as in its documentation."""
    dest, mode = params["dest"], parse_mode(params["mode"])
    if not params["urls"]:
        raise MeshopsError(f"No address is given for {dest}. Set urls to at least one.")
    result: dict[str, Any] = {"changed": False, "dest": dest, "url": "", "failures": [], "checksum": ""}
    known = remembered_checksum(params)
    present = file_digest(dest)
    if present and present == known:
        return {**result, "changed": fix_mode(dest, mode, check_mode), "checksum": f"sha256:{known}"}
    diff = {"before": f"sha256:{present}\n" if present else "", "before_header": dest, "after_header": dest}
    after = f"sha256:{known}\n" if known else "the file with a verified checksum\n"
    result.update(changed=True, diff={**diff, "after": after})
    if check_mode:
        return result
    name = urllib.parse.unquote(urllib.parse.urlsplit(params["urls"][0]).path.rpartition("/")[2])
    checksum, failures = wanted_checksum(params, name)
    outcome = first_good(
        params["urls"],
        lambda url: save(url, checksum, params),
        dest,
        "Nothing was written; give a mirror that has the file, or correct the checksum.",
    )
    if not params.get("checksum"):
        write_atomic(f"{dest}.sha256", f"{checksum}  {Path(dest).name}\n".encode(), 0o644)
    result["diff"]["after"] = f"sha256:{checksum}\n"
    return {
        **result,
        "url": public(outcome.url),
        "failures": failures + outcome.failures,
        "checksum": f"sha256:{checksum}",
    }
