#!/usr/bin/python
# Copyright: (c) 2026, meshops maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe
short_description: Send requests, count versions and errors, and test the split
description:
  - Sends GET requests, and counts which version answered, which requests failed and why, and how long they took.
  - Can test whether the versions seen fit the wanted weights, whether few enough requests failed, and whether they were
    fast enough. A task that fails tells all demands that are not met in one message, and returns what was observed.
  - Redirects are not followed and no request is sent twice.
  - On the controller itself, without become, async and environment, a task with 1000 requests or more prints every 5
    seconds how far it is.
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
    description:
      - Headers of each request.
      - Envoy may send a failed request again, as its route says, and that hides the failure. With the header
        C(x-envoy-max-retries) of 0 it does not, but it heeds this header only of clients that it was told are internal.
    type: dict
  requests:
    description: Number of requests.
    type: int
    default: 200
  concurrency:
    description: Number of requests at a time.
    type: int
    default: 4
  new_connections:
    description:
      - Whether each request has a connection of its own, which then counts into its duration.
      - Otherwise requests share as many kept connections as there are at a time. For HTTP routes, which choose for each
        request, this makes no difference. TCP routes choose for each connection and need V(true).
    type: bool
    default: false
  timeout:
    description: Seconds that connecting, and each wait for the answer, may take.
    type: int
    default: 10
  validate_certs:
    description: Whether the certificate of an https address has to be valid.
    type: bool
    default: true
  version_pattern:
    description:
      - Regular expression with one group, which finds the version in the body of the answer. The first match counts.
      - An answer in which the version is not found is an error.
      - Without O(version_pattern), O(version_header) and O(version_field) every answer with status 2xx is a good one.
      - Mutually exclusive with O(version_header) and O(version_field).
    type: str
  version_header:
    description: Name of the header of the answer that has the version.
    type: str
  version_field:
    description:
      - Where the version is in a JSON body, as names of fields and numbers of list items from 0, separated by dots, for
        example V(podname) or V(reviews.0.version).
    type: str
  confidence:
    description: Confidence, in percent, of the intervals of the shares. More than 0 and less than 100.
    type: float
    default: 95.0
  expect:
    description:
      - Wanted weight of each version, judged by an exact binomial test of each version with the Bonferroni correction.
      - Needs O(version_pattern), O(version_header) or O(version_field).
    type: dict
  false_alarm:
    description:
      - How often, at most, a right split may be called wrong, whatever the number of requests. The default is once in
        10,000 runs. More than 0 and less than 0.5.
      - A larger number finds smaller deviations, and so do more requests.
    type: float
    default: 0.0001
  max_errors:
    description:
      - Number of requests that may fail. Every answer other than 2xx is a failed one.
      - Mutually exclusive with O(max_error_percent), which replaces it.
    type: int
    default: 0
  max_error_percent:
    description: Share of the requests that may fail, in percent, 0 to 100.
    type: float
  max_duration_ms:
    description: Longest durations that are allowed, in milliseconds. Failed requests count as well.
    type: dict
    suboptions:
      p50:
        description: Longest duration of the fastest 50 % of the requests, in milliseconds.
        type: float
      p90:
        description: Longest duration of the fastest 90 % of the requests, in milliseconds.
        type: float
      p99:
        description: Longest duration of the fastest 99 % of the requests, in milliseconds.
        type: float
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

- name: Count by a header of the answer, as one user
  meshops.istio.traffic_probe:
    url: http://10.0.0.200/api
    headers:
      end-user: jason
    version_header: x-app-version

- name: Allow one failure in a thousand and a second each, over 2,000 requests
  meshops.istio.traffic_probe:
    url: http://10.0.0.200/api/v1/products/0/reviews
    requests: 2000
    concurrency: 8
    version_field: podname
    max_error_percent: 0.1
    max_duration_ms:
      p99: 1000

- name: See the split of a TCP route
  meshops.istio.traffic_probe:
    url: http://10.0.0.200:31400/reviews/0
    new_connections: true
    version_pattern: reviews-(v[0-9]+)
    expect:
      v1: 80
      v2: 20
"""

RETURN = r"""
requests:
  description: Number of requests sent.
  returned: always, unless the input is wrong
  type: int
  sample: 200
versions:
  description: What was seen of each version.
  returned: always, unless the input is wrong
  type: dict
  contains:
    count:
      description: Number of its answers.
      type: int
    percent:
      description: Its share in percent of the answers with a version.
      type: float
    interval:
      description:
        - Exact (Clopper-Pearson) confidence interval of the share with O(confidence), its two ends in percent.
      type: list
      elements: float
  sample:
    v1: {count: 99, percent: 49.5, interval: [42.37, 56.64]}
    v3: {count: 101, percent: 50.5, interval: [43.36, 57.63]}
counts:
  description: Number of answers of each version.
  returned: always, unless the input is wrong
  type: dict
  sample: {v1: 99, v3: 101}
percent:
  description: Share of each version in percent of the answers with a version.
  returned: always, unless the input is wrong
  type: dict
  sample: {v1: 49.5, v3: 50.5}
errors:
  description:
    - Number of failed requests of each class.
    - Answers that Envoy made itself have its response flags. C(NR) is no route, C(NC) no such cluster, C(UH) no healthy
      pod, C(UF) no connection to the pod, C(UC) and C(UR) a connection or request that broke, C(UO) a circuit breaker.
      C(NR) and C(NC) are told by an empty body, Envoy's C(server) header and no C(x-envoy-upstream-service-time).
    - Other answers have C(HTTP) and the status, 2xx without version C(no version), and no answer at all C(reset),
      C(timeout), C(refused), C(unreachable), C(unknown host), C(TLS) or C(broken answer).
  returned: always, unless the input is wrong
  type: dict
  sample: {HTTP 500: 1, UH: 2}
duration_ms:
  description: Percentiles p50, p90 and p99 of the durations in milliseconds.
  returned: always, unless the input is wrong
  type: dict
  sample: {p50: 7.1, p90: 9.8, p99: 21.4}
split:
  description: Whether the versions seen fit O(expect). C(p_value) is how often a right split looks at least as wrong.
  returned: when O(expect) is set and requests were sent
  type: dict
  sample: {compatible: true, p_value: 0.94, false_alarm: 0.0001, reason: ""}
"""

from ansible_collections.meshops.istio.plugins.module_utils.runner import run
from ansible_collections.meshops.istio.plugins.module_utils.traffic_live.probe import ARGS, RULES, core


def main() -> None:
    run(ARGS, core, **RULES)


if __name__ == "__main__":
    main()
