// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"time"
)

// bodyLimit bounds what is read from a client or a backend, in bytes.
const bodyLimit = 1 << 20

// passedOn are the request headers that every Bookinfo service copies to its backends: request id, the
// tracing formats that Istio knows, and what identifies the client. end-user is not among them: productpage
// sets it from the session and must not take it from outside; reviews adds it.
var passedOn = []string{
	"X-Request-Id",
	"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags",
	"Traceparent", "Tracestate",
	"X-Ot-Span-Context", "X-Cloud-Trace-Context", "Grpc-Trace-Bin", "Sw8",
	"X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority",
	"User-Agent", "Cookie", "Authorization", "Jwt",
}

const endUser = "End-User"

func forwardedHeaders(incoming http.Header, more ...string) http.Header {
	headers := http.Header{}
	for _, names := range [][]string{passedOn, more} {
		for _, name := range names {
			if values := incoming.Values(name); len(values) > 0 {
				headers[name] = values
			}
		}
	}
	return headers
}

// backends is the one connection pool. In a mesh the sidecar chooses a backend for each request, so that
// kept connections do not bend a traffic split; see README.md for a cluster without sidecars.
var backends = &http.Client{Transport: &http.Transport{
	MaxIdleConns:        256,
	MaxIdleConnsPerHost: 64,
	IdleConnTimeout:     30 * time.Second,
}}

// backend is one service behind this one.
type backend struct {
	name    string        // "details": host unless configured, first path segment
	base    string        // http://host:port/name
	timeout time.Duration // of one try, body included
}

// newBackend reads upstream's variables: NAME_HOSTNAME, NAME_SERVICE_PORT, SERVICES_DOMAIN.
func newBackend(name, variable string, timeout time.Duration, env environment) backend {
	host := env.or(variable+"_HOSTNAME", name)
	if domain := env("SERVICES_DOMAIN"); domain != "" {
		host += "." + domain
	}
	port := env.or(variable+"_SERVICE_PORT", "9080")
	return backend{name: name, base: fmt.Sprintf("http://%s:%s/%s", host, port, name), timeout: timeout}
}

// get answers with the status and the JSON body of a 200. Without an answer that can be used the status is 500.
func (b backend) get(ctx context.Context, id string, headers http.Header) (int, json.RawMessage) {
	status, body, err := b.try(ctx, id, headers)
	if err != nil {
		log.Printf("%s: %v", b.name, err)
		return http.StatusInternalServerError, nil
	}
	if status != http.StatusOK {
		log.Printf("%s: status %d from %s/%s", b.name, status, b.base, id)
		return status, nil
	}
	return status, body
}

func (b backend) try(ctx context.Context, id string, headers http.Header) (int, json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/"+url.PathEscape(id), nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header = headers.Clone()
	response, err := backends.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	// Read in any case: an unread body costs the connection.
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err != nil {
		return 0, nil, err
	}
	if response.StatusCode == http.StatusOK && !json.Valid(body) {
		return 0, nil, fmt.Errorf("no JSON from %s", request.URL)
	}
	return response.StatusCode, body, nil
}

// writeJSON sends value with the status; texts keep their &, < and >.
func writeJSON(w http.ResponseWriter, status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		log.Printf("encode %T: %v", value, err)
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(bytes.TrimRight(body.Bytes(), "\n")) //nolint:errcheck // the client has gone
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func health(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": text})
	}
}
