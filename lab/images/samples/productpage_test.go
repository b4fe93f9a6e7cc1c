// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder notes the headers of every request that passes.
type recorder struct {
	mu      sync.Mutex
	headers []http.Header
	next    http.Handler
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.headers = append(r.headers, request.Header.Clone())
	r.mu.Unlock()
	r.next.ServeHTTP(w, request)
}

func (r *recorder) last() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headers[len(r.headers)-1]
}

// site is productpage → details, reviews → ratings, each a server of its own.
type site struct {
	page             *httptest.Server
	details, ratings *recorder
}

func newSite(t *testing.T, version string) site {
	t.Helper()
	s := site{details: &recorder{next: newDetails()}, ratings: &recorder{next: newRatings()}}
	reviewsEnv := append(location(t, "RATINGS", start(t, s.ratings)), "HOSTNAME", "reviews-"+version+"-5f4d")
	service, err := newReviews(version, environ(reviewsEnv...))
	if err != nil {
		t.Fatal(err)
	}
	env := slices.Concat(
		location(t, "DETAILS", start(t, s.details)),
		location(t, "REVIEWS", start(t, service)),
		location(t, "RATINGS", start(t, s.ratings)),
	)
	s.page = start(t, newProductpage(environ(env...)))
	return s
}

func get(t *testing.T, client *http.Client, address string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestPageShowsTheVersionThatServed(t *testing.T) {
	boxes := regexp.MustCompile(`flex gap-x-1 text-(\w+)-500`)
	servedBy := regexp.MustCompile(`Reviews served by:\s*(\S+)`)
	for _, c := range []struct{ version, color string }{{"v1", ""}, {"v2", "black"}, {"v3", "red"}} {
		t.Run(c.version, func(t *testing.T) {
			status, body := get(t, http.DefaultClient, newSite(t, c.version).page.URL+"/productpage")
			if status != 200 || !strings.Contains(body, "<title>Simple Bookstore App</title>") {
				t.Fatalf("%d %s", status, body)
			}
			for _, text := range []string{"The Comedy of Errors", "Book Details", "1234567890", "Book Reviews", "Reviewer2"} {
				if !strings.Contains(body, text) {
					t.Errorf("%q is missing", text)
				}
			}
			if found := servedBy.FindStringSubmatch(body); found == nil || found[1] != "reviews-"+c.version+"-5f4d" {
				t.Errorf("served by %q", found)
			}
			colors := []string{}
			for _, box := range boxes.FindAllStringSubmatch(body, -1) {
				colors = append(colors, box[1])
			}
			want, stars := []string{}, 0
			if c.color != "" {
				want, stars = []string{c.color, c.color}, 9
			}
			if !slices.Equal(colors, want) || strings.Count(body, "glyphicon-star") != stars {
				t.Errorf("colours %q, %d stars; want %q, %d", colors, strings.Count(body, "glyphicon-star"), want, stars)
			}
			for other, pattern := range map[string]string{"v3": "text-red-500", "v2": "text-black-500"} {
				if other != c.version && strings.Contains(body, pattern) {
					t.Errorf("%s is on the page of %s", pattern, c.version)
				}
			}
		})
	}
}

func TestUserAndTracePassedToTheEnd(t *testing.T) {
	s := newSite(t, "v2")
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	trace := []string{
		"x-request-id", "34eeb41d", "traceparent", "00-80f198ee-e457b5a2-01", "x-b3-traceid", "80f198ee",
		"x-b3-sampled", "1", "sw8", "abc", "user-agent", "probe/1", "authorization", "Bearer x", "end-user", "mallory",
		"x-secret", "stays",
	}

	answer, err := client.PostForm(s.page.URL+"/login", url.Values{"username": {"jason"}, "passwd": {"any"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 || answer.Request.URL.Path != "/productpage" {
		t.Fatalf("after login: %s %s", answer.Status, answer.Request.URL)
	}
	_, body := get(t, client, s.page.URL+"/productpage", trace...)
	if !strings.Contains(body, "jason (<a href=\"logout\">") {
		t.Error("the page does not name the user")
	}
	for name, headers := range map[string]http.Header{"details": s.details.last(), "ratings": s.ratings.last()} {
		for i := 0; i < len(trace)-4; i += 2 {
			if got := headers.Get(trace[i]); got != trace[i+1] {
				t.Errorf("%s: %s is %q", name, trace[i], got)
			}
		}
		if headers.Get("end-user") != "jason" || headers.Get("x-secret") != "" || headers.Get("cookie") == "" {
			t.Errorf("%s: %v", name, headers)
		}
	}

	get(t, client, s.page.URL+"/logout")
	get(t, client, s.page.URL+"/productpage", trace...)
	if got := s.ratings.last().Values("end-user"); len(got) != 0 {
		t.Errorf("end-user %q after logout", got)
	}
}

func TestBackendsDown(t *testing.T) {
	tries := 0
	failing := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	page := newProductpage(environ(slices.Concat(
		nowhere(t, "DETAILS"), location(t, "REVIEWS", failing), location(t, "RATINGS", failing))...))
	for _, c := range []struct {
		path   string
		status int
		tries  int
		texts  []string
	}{
		{"/productpage", 200, 2, []string{
			"Error fetching product details", "Sorry, product details are currently unavailable for this book.",
			"Error fetching product reviews", "Sorry, product reviews are currently unavailable for this book.",
		}},
		{"/api/v1/products/0", 500, 0, []string{`{"error":"Sorry, product details are currently unavailable for this book."}`}},
		{"/api/v1/products/0/reviews", 503, 2, []string{"Sorry, product reviews are"}},
		{"/api/v1/products/0/ratings", 503, 1, []string{"Sorry, product ratings are"}},
	} {
		tries = 0
		answer := call(page, "GET", c.path, "")
		if answer.Code != c.status || tries != c.tries {
			t.Errorf("%s: status %d after %d tries, want %d after %d", c.path, answer.Code, tries, c.status, c.tries)
		}
		for _, text := range c.texts {
			if !strings.Contains(answer.Body.String(), text) {
				t.Errorf("%s: %q is missing", c.path, text)
			}
		}
	}
	metrics := call(page, "GET", "/metrics", "").Body.String()
	if !strings.Contains(metrics, `request_result_total{destination_app="reviews",response_code="503"} 2`) {
		t.Error(metrics)
	}
}

func TestAPI(t *testing.T) {
	s := newSite(t, "v3")
	for path, want := range map[string]string{
		"":           `"title":"The Comedy of Errors"`,
		"/3":         `"id":3`,
		"/3/reviews": `"color":"red"`,
		"/3/ratings": `{"id":3,"ratings":{"Reviewer1":5,"Reviewer2":4}}`,
	} {
		if status, body := get(t, http.DefaultClient, s.page.URL+"/api/v1/products"+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%q: %d %s", path, status, body)
		}
	}
	if status, _ := get(t, http.DefaultClient, s.page.URL+"/api/v1/products/x"); status != 400 {
		t.Errorf("a product that is no number: status %d, want that of details", status)
	}
}

func TestSessionCookie(t *testing.T) {
	own, other := newSessions(), newSessions()
	signed := func(s sessions, user string) string {
		w := httptest.NewRecorder()
		s.set(w, user)
		return w.Result().Cookies()[0].Value
	}
	good := signed(own, "jason ü")
	for value, want := range map[string]string{
		good:                               "jason ü",
		signed(other, "jason"):             "",
		"bWFsbG9yeQ" + good[len(good)-44:]: "",
		"amFzb24":                          "",
		"":                                 "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: value})
		if got := own.user(r); got != want {
			t.Errorf("%q: user %q, want %q", value, got, want)
		}
	}
}

func TestLoginAndBack(t *testing.T) {
	page := newProductpage(environ())
	for _, c := range []struct {
		path, referer, form, location string
		status                        int
	}{
		{"/login", "", "username=jason", "/productpage", 302},
		{"/login", "http://example.com/productpage?u=test", "username=jason", "http://example.com/productpage?u=test", 302},
		{"/login", "http://elsewhere.test/", "username=jason", "/productpage", 302},
		{"/login", "", "username=ja%0ason", "", 400},
		{"/logout", "http://example.com/index.html", "", "http://example.com/index.html", 302},
	} {
		r := httptest.NewRequest("POST", c.path, strings.NewReader(c.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Referer", c.referer)
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); w.Code != c.status || got != c.location {
			t.Errorf("%s: %d to %q", fmt.Sprint(c), w.Code, got)
		}
	}
}
