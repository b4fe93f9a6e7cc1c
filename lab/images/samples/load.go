// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// loadPause keeps a client from being a stress test.
const loadPause = 10 * time.Millisecond

// load asks one address over and over and counts the answers by class; "200" is the good one.
type load struct {
	url    string
	client *http.Client
	mutex  sync.Mutex
	counts map[string]int
}

func loadCommand(flags *flag.FlagSet, args []string, env environment) (string, http.Handler, error) {
	port := portFlag(flags, env)
	url := flags.String("url", "", "what to ask for")
	connections := flags.Int("connections", 4, "requests at a time, each on a connection that is kept")
	if err := parse(flags, args); err != nil {
		return "", nil, err
	}
	if *url == "" || *connections < 1 {
		return "", nil, errors.New("load needs -url and at least one of -connections")
	}
	one := newLoad(*url, *connections)
	for range *connections {
		go func() {
			for ; ; time.Sleep(loadPause) {
				one.ask()
			}
		}()
	}
	return ":" + *port, one, nil
}

func newLoad(url string, connections int) *load {
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	return &load{
		url:    url,
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		counts: map[string]int{},
	}
}

func (l *load) ask() {
	seen := l.answer()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.counts[seen]++
}

func (l *load) answer() string {
	// With a body, if an empty one, Go's transport does not send a request again whose connection broke.
	request, err := http.NewRequest(http.MethodGet, l.url, io.NopCloser(strings.NewReader("")))
	if err != nil {
		return err.Error()
	}
	// no retries in the sidecar either: they would hide what is lost
	request.Header.Set("x-envoy-max-retries", "0")
	response, err := l.client.Do(request)
	if err != nil {
		return fmt.Sprintf("%T", errors.Unwrap(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "broken answer"
	case response.StatusCode == http.StatusOK:
		return "200"
	}
	return fmt.Sprintf("%d %.60s", response.StatusCode, body)
}

// ServeHTTP says what came of the requests so far, as JSON: class and number.
func (l *load) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	writeJSON(w, http.StatusOK, l.counts)
}
