// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestLoadCountsEveryAnswerAndRepeatsNone(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 2:
			http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
		case 3:
			panic(http.ErrAbortHandler) // resets a connection that was used before
		}
		if r.Header.Get("x-envoy-max-retries") != "0" {
			t.Error("the sidecar may retry")
		}
	}))
	defer server.Close()
	one := newLoad(server.URL, 1)
	for range 4 {
		one.ask()
	}
	if asked.Load() != 4 {
		t.Errorf("%d requests instead of 4", asked.Load())
	}
	failed := one.counts["503 no healthy upstream\n"]
	if one.counts["200"] != 2 || failed != 1 || len(one.counts) != 3 {
		t.Errorf("counts %v", one.counts)
	}
}

func TestLoadNeedsAnAddress(t *testing.T) {
	if err := run([]string{"load"}, func(string) string { return "" }); err == nil {
		t.Error("no error")
	}
}
