// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

type result struct {
	app    string
	status int
}

// resultCounter counts answers of backends. The pod's annotations have Prometheus scrape it.
type resultCounter struct {
	mu     sync.Mutex
	counts map[result]int
}

func (c *resultCounter) add(app string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[result]int{}
	}
	c.counts[result{app, status}]++
}

func (c *resultCounter) serve(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	counts := maps.Clone(c.counts)
	c.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, "# HELP request_result_total Answers of backends.\n# TYPE request_result_total counter\n")
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b result) int {
		return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.status, b.status))
	})
	for _, key := range keys {
		fmt.Fprintf(w, "request_result_total{destination_app=%q,response_code=\"%d\"} %d\n", key.app, key.status, counts[key])
	}
}
