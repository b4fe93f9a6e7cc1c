# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bookinfo's page as a user sees it: signed in or not, which version of reviews it shows and in which colour."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections import Counter
from http.cookiejar import CookieJar

from tests.integration.load import gateway_address

COLOURS = {"v1": "", "v2": "black", "v3": "red"}


def versions(user: str = "", requests: int = 40) -> Counter[str]:
    """How often each version of reviews is on the page; its stars have to be of its colour."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    base = f"http://{gateway_address()}"
    if user:
        form = urllib.parse.urlencode({"username": user, "passwd": "x"}).encode()
        browser.open(f"{base}/login", form, timeout=10).close()
    seen: Counter[str] = Counter()
    for _number in range(requests):
        with browser.open(f"{base}/productpage", timeout=10) as answer:
            page = answer.read().decode()
        assert not user or user in page, page
        (version,) = set(re.findall(r"reviews-(v\d)-", page))
        stars = set(re.findall(r"gap-x-1 text-(\w+)-500", page))
        assert stars == ({COLOURS[version]} if COLOURS[version] else set()), (version, stars)
        seen[version] += 1
    return seen
