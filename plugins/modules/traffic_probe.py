#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe
short_description: Send requests, count versions and errors, and test the split
description:
  - Sends GET requests, and counts which version answered, which requests failed, and how long they took.
  - Can test whether the versions seen fit the wanted weights, by exact binomial tests. A right split is called wrong at
    most once in 10,000 runs, whatever the number of requests. More requests find smaller deviations.
  - Redirects are not followed and no request is sent twice.
version_added: 0.1.0
author:
  - meshops maintainers (@meshops)
extends_documentation_fragment:
  - meshops.istio.attributes
options:
  url:
    description: Where to send the requests.
    type: str
    required: true
  resolve:
    description: Address to connect to instead of the one the host name of O(url) has. The name is still sent.
    type: str
  headers:
    description: Headers of each request.
    type: dict
  requests:
    description: Number of requests.
    type: int
    default: 200
  concurrency:
    description: Number of requests at a time.
    type: int
    default: 4
  timeout:
    description: Seconds that connecting, and each wait for the answer, may take.
    type: int
    default: 10
  version_pattern:
    description:
      - Regular expression with one group, which finds the version in the body of the answer.
      - The first match counts. An answer without one is an error.
    type: str
  expect:
    description: Wanted weight of each version. Needs O(version_pattern).
    type: dict
  max_errors:
    description: Number of requests that may fail. Every answer other than 2xx is a failed one.
    type: int
    default: 0
  validate_certs:
    description: Whether the certificate of an https address has to be valid.
    type: bool
    default: true
notes:
  - In check mode no request is sent and the task counts as skipped.
requirements:
  - urllib3 (Python library), which comes with kubernetes
seealso:
  - module: meshops.istio.traffic_split
"""

EXAMPLES = r"""
- name: See the split of reviews through the gateway
  meshops.istio.traffic_probe:
    url: http://bookinfo.example.com/productpage
    resolve: 10.0.0.200
    version_pattern: reviews-(v[0-9]+)
    expect:
      v1: 50
      v3: 50
  register: seen
"""

RETURN = r"""
requests:
  description: Number of requests sent.
  returned: success
  type: int
  sample: 200
counts:
  description: Number of answers of each version.
  returned: success
  type: dict
  sample: {v1: 99, v3: 101}
percent:
  description: Share of each version in percent of the answers with a version.
  returned: success
  type: dict
  sample: {v1: 49.5, v3: 50.5}
errors:
  description: Number of failed requests of each kind.
  returned: success
  type: dict
  sample: {HTTP 503: 2}
duration_ms:
  description: Percentiles of the durations in milliseconds.
  returned: success
  type: dict
  sample: {p50: 7.1, p90: 9.8, p99: 21.4}
split:
  description: Whether the versions seen fit O(expect). C(p_value) is how often a right split looks at least as wrong.
  returned: when O(expect) is set and requests were sent
  type: dict
  sample: {compatible: true, p_value: 0.94, reason: ""}
"""

from ansible_collections.meshops.istio.plugins.module_utils.runner import run
from ansible_collections.meshops.istio.plugins.module_utils.traffic_probe import core


def main() -> None:
    run(
        {
            "url": {"type": "str", "required": True},
            "resolve": {"type": "str"},
            "headers": {"type": "dict"},
            "requests": {"type": "int", "default": 200},
            "concurrency": {"type": "int", "default": 4},
            "timeout": {"type": "int", "default": 10},
            "version_pattern": {"type": "str"},
            "expect": {"type": "dict"},
            "max_errors": {"type": "int", "default": 0},
            "validate_certs": {"type": "bool", "default": True},
        },
        core,
    )


if __name__ == "__main__":
    main()
