// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// environ is an environment of "NAME", "value" pairs.
func environ(pairs ...string) environment {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

func start(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// location is the environment that makes a service find the server under the variable's name.
func location(t *testing.T, variable string, server *httptest.Server) []string {
	t.Helper()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return []string{variable + "_HOSTNAME", address.Hostname(), variable + "_SERVICE_PORT", address.Port()}
}

// nowhere is the environment of a backend that refuses connections.
func nowhere(t *testing.T, variable string) []string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return location(t, variable, server)
}

func call(handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer
}

// sameJSON compares without regard to spaces and order.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("no JSON: %q", got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnswersThatNeedNoBackend(t *testing.T) {
	const book0 = `{"id":0,"author":"William Shakespeare","year":1595,"type":"paperback","pages":200,` +
		`"publisher":"PublisherA","language":"English","ISBN-10":"1234567890","ISBN-13":"123-1234567890"}`
	reviewsV1, err := newReviews("v1", environ("HOSTNAME", "reviews-v1-abc"))
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]http.Handler{
		"details": newDetails(), "ratings": newRatings(), "reviews": reviewsV1, "productpage": newProductpage(environ()),
	}
	for _, c := range []struct {
		service, method, path, body string
		status                      int
		want                        string // JSON, or "" for any body
	}{
		{"details", "GET", "/health", "", 200, `{"status":"Details is healthy"}`},
		{"details", "GET", "/details/0", "", 200, book0},
		{"details", "GET", "/details/0/", "", 200, book0},
		{"details", "GET", "/details/x", "", 400, `{"error":"please provide numeric product id"}`},
		{"details", "GET", "/details", "", 400, `{"error":"please provide numeric product id"}`},
		{"details", "GET", "/other", "", 404, ""},
		{"ratings", "GET", "/health", "", 200, `{"status":"Ratings is healthy"}`},
		{"ratings", "GET", "/ratings/7", "", 200, `{"id":7,"ratings":{"Reviewer1":5,"Reviewer2":4}}`},
		{"ratings", "GET", "/ratings/7x", "", 200, `{"id":7,"ratings":{"Reviewer1":5,"Reviewer2":4}}`},
		{"ratings", "GET", "/ratings/x", "", 400, `{"error":"please provide numeric product ID"}`},
		{"ratings", "POST", "/ratings/x", "{}", 400, `{"error":"please provide numeric product ID"}`},
		{"ratings", "POST", "/ratings/7", "{", 400, `{"error":"please provide valid ratings JSON"}`},
		{"ratings", "POST", "/ratings/7", `{"Reviewer1":1}`, 200, `{"id":7,"ratings":{"Reviewer1":1}}`},
		{"ratings", "GET", "/ratings/7", "", 200, `{"id":7,"ratings":{"Reviewer1":1}}`},
		{"ratings", "GET", "/ratings/8", "", 200, `{"id":8,"ratings":{"Reviewer1":5,"Reviewer2":4}}`},
		{"ratings", "DELETE", "/ratings/8", "", 405, ""},
		{"reviews", "GET", "/health", "", 200, `{"status":"Reviews is healthy"}`},
		{"reviews", "GET", "/reviews/x", "", 404, ""},
		{"reviews", "POST", "/reviews/0", "", 405, ""},
		{"productpage", "GET", "/", "", 200, ""},
		{"productpage", "GET", "/index.html", "", 200, ""},
		{"productpage", "GET", "/health", "", 200, ""},
		{"productpage", "GET", "/static/style.css", "", 200, ""},
		{"productpage", "GET", "/login", "", 405, ""},
		{"productpage", "GET", "/other", "", 404, ""},
	} {
		t.Run(c.service+" "+c.method+" "+c.path, func(t *testing.T) {
			answer := call(services[c.service], c.method, c.path, c.body)
			if answer.Code != c.status {
				t.Fatalf("status %d, want %d: %s", answer.Code, c.status, answer.Body)
			}
			if c.want != "" {
				sameJSON(t, answer.Body.String(), c.want)
			}
		})
	}
}

func TestReviewsVersions(t *testing.T) {
	ratingsUp := location(t, "RATINGS", start(t, newRatings()))
	ratingsDown := nowhere(t, "RATINGS")
	const unavailable = `{"error":"Ratings service is currently unavailable"}`
	for _, c := range []struct {
		name, version string
		env           []string
		want          [2]string // JSON of both ratings, "" for none
	}{
		{"v1", "v1", ratingsUp, [2]string{}},
		{"v2", "v2", ratingsUp, [2]string{`{"stars":5,"color":"black"}`, `{"stars":4,"color":"black"}`}},
		{"v3", "v3", ratingsUp, [2]string{`{"stars":5,"color":"red"}`, `{"stars":4,"color":"red"}`}},
		{"v3 without ratings", "v3", ratingsDown, [2]string{unavailable, unavailable}},
		{"variables first", "v1", append([]string{"ENABLE_RATINGS", "True", "STAR_COLOR", "blue"}, ratingsUp...),
			[2]string{`{"stars":5,"color":"blue"}`, `{"stars":4,"color":"blue"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			service, err := newReviews(c.version, environ(append([]string{"HOSTNAME", "pod-1"}, c.env...)...))
			if err != nil {
				t.Fatal(err)
			}
			answer := call(service, "GET", "/reviews/007", "")
			var got struct {
				ID, Podname, Clustername string
				Reviews                  []struct{ Rating json.RawMessage }
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code != 200 {
				t.Fatalf("%d %s: %v", answer.Code, answer.Body, err)
			}
			if got.ID != "7" || got.Podname != "pod-1" || got.Clustername != "null" || len(got.Reviews) != 2 {
				t.Errorf("got %+v", got)
			}
			for i, want := range c.want {
				if want == "" && got.Reviews[i].Rating != nil {
					t.Errorf("rating %s, want none", got.Reviews[i].Rating)
				} else if want != "" {
					sameJSON(t, string(got.Reviews[i].Rating), want)
				}
			}
		})
	}
	if _, err := newReviews("v4", environ()); err == nil {
		t.Error("v4 was accepted")
	}
}

func TestOneReviewerWithoutStars(t *testing.T) {
	partial := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"ratings":{"Reviewer1":0}}`)
	}))
	service, _ := newReviews("v2", environ(location(t, "RATINGS", partial)...))
	body := call(service, "GET", "/reviews/0", "").Body.String()
	if !strings.Contains(body, `"stars":0`) || strings.Count(body, "currently unavailable") != 1 {
		t.Error(body)
	}
}

func TestEcho(t *testing.T) {
	echo := newEcho("hello", 201)
	for path, want := range map[string]struct {
		status int
		body   string
	}{"/": {201, "hello\n"}, "/any/path": {201, "hello\n"}, "/health": {200, "{\"status\":\"ok\"}\n"}} {
		answer := call(echo, "POST", path, "ignored")
		if answer.Code != want.status || answer.Body.String() != want.body {
			t.Errorf("%s: %d %q", path, answer.Code, answer.Body)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "say one of: details, echo, load, productpage, ratings, reviews"},
		{[]string{"frontend"}, `no service "frontend"`},
		{[]string{"reviews", "--version", "v9"}, `no version "v9"`},
		{[]string{"details", "9080"}, `takes no argument "9080"`},
		{[]string{"details", "-port", "none"}, "listen tcp"},
		{[]string{"echo"}, "nothing to say"},
		{[]string{"echo", "-text", "x", "-status-code", "99"}, "status 99"},
	} {
		if err := run(c.args, environ()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestBackendAddress(t *testing.T) {
	for _, c := range []struct {
		env  environment
		want string
	}{
		{environ(), "http://details:9080/details"},
		{environ("SERVICES_DOMAIN", "shop.svc"), "http://details.shop.svc:9080/details"},
		{environ("DETAILS_HOSTNAME", "d2", "DETAILS_SERVICE_PORT", "80"), "http://d2:80/details"},
	} {
		if got := newBackend("details", "DETAILS", time.Second, c.env).base; got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestBackendTimeout(t *testing.T) {
	slow := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(300 * time.Millisecond)
		io.WriteString(w, "{}")
	}))
	b := newBackend("details", "DETAILS", 20*time.Millisecond, environ(location(t, "DETAILS", slow)...))
	if status, _ := b.get(t.Context(), "0", http.Header{}); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
}
