// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

//go:embed web
var web embed.FS

var pages = template.Must(template.ParseFS(web, "web/*.html"))

// backendTimeout is upstream's, of one try.
const backendTimeout = 3 * time.Second

type product struct {
	ID              int           `json:"id"`
	Title           string        `json:"title"`
	DescriptionHTML template.HTML `json:"descriptionHtml"`
}

var products = []product{{
	Title: "The Comedy of Errors",
	DescriptionHTML: `One of <b>William Shakespeare's</b> first plays, and a short one: two pairs of twins, parted as ` +
		`children, meet in one town and are taken for each other. ` +
		`<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">More of it</a>.`,
}}

type productpage struct {
	sessions sessions
	results  resultCounter
	details  backend
	reviews  backend
	ratings  backend
}

// frontData is what the page shows; the error goes in place of the part that could not be had.
type frontData struct {
	User         string
	Product      product
	Details      book
	DetailsError string
	Reviews      reviewsAnswer
	ReviewsError string
}

func newProductpage(env environment) http.Handler {
	page := &productpage{
		sessions: newSessions(),
		details:  newBackend("details", "DETAILS", backendTimeout, env),
		reviews:  newBackend("reviews", "REVIEWS", backendTimeout, env),
		ratings:  newBackend("ratings", "RATINGS", backendTimeout, env),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page.index)
	mux.HandleFunc("GET /index.html", page.index)
	mux.HandleFunc("GET /productpage", page.front)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writePage(w, []byte("Product page is healthy"))
	})
	mux.HandleFunc("POST /login", page.login)
	mux.HandleFunc("GET /logout", page.logout)
	mux.HandleFunc("POST /logout", page.logout)
	mux.HandleFunc("GET /metrics", page.results.serve)
	mux.HandleFunc("GET /static/style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, web, "web/style.css")
	})
	mux.HandleFunc("GET /api/v1/products", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, products)
	})
	mux.HandleFunc("GET /api/v1/products/{id}", page.api(page.details))
	mux.HandleFunc("GET /api/v1/products/{id}/reviews", page.api(page.reviews))
	mux.HandleFunc("GET /api/v1/products/{id}/ratings", page.api(page.ratings))
	return mux
}

func (p *productpage) index(w http.ResponseWriter, _ *http.Request) {
	render(w, "index.html", []backend{p.details, p.reviews, p.ratings})
}

// front is always a 200: a part that is missing is an error text on the page.
func (p *productpage) front(w http.ResponseWriter, r *http.Request) {
	data := frontData{User: p.sessions.user(r), Product: products[0]}
	p.fill(r, p.details, &data.Details, &data.DetailsError)
	p.fill(r, p.reviews, &data.Reviews, &data.ReviewsError)
	render(w, "productpage.html", data)
}

func (p *productpage) fill(r *http.Request, from backend, part any, problem *string) {
	status, body := p.fetch(r, from, "0")
	if status != http.StatusOK || json.Unmarshal(body, part) != nil {
		*problem = unavailable(from)
	}
}

// api passes a backend's answer on, with its status.
func (p *productpage) api(from backend) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, body := p.fetch(r, from, r.PathValue("id"))
		if status != http.StatusOK {
			writeError(w, status, unavailable(from))
			return
		}
		writeJSON(w, status, body)
	}
}

// fetch asks reviews twice, as upstream does on purpose: its fault injection exercise is about the sum of both waits.
func (p *productpage) fetch(r *http.Request, from backend, id string) (int, json.RawMessage) {
	headers := forwardedHeaders(r.Header)
	if user := p.sessions.user(r); user != "" {
		headers.Set(endUser, user)
	}
	status, body := from.get(r.Context(), id, headers)
	if from.name == "reviews" && status != http.StatusOK && r.Context().Err() == nil {
		status, body = from.get(r.Context(), id, headers)
	}
	p.results.add(from.name, status)
	return status, body
}

func unavailable(from backend) string {
	return "Sorry, product " + from.name + " are currently unavailable for this book."
}

func (p *productpage) login(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("username")
	// It will be a header's value.
	if strings.ContainsFunc(user, unicode.IsControl) {
		http.Error(w, "the user name has control characters", http.StatusBadRequest)
		return
	}
	p.sessions.set(w, user)
	redirectBack(w, r)
}

func (p *productpage) logout(w http.ResponseWriter, r *http.Request) {
	p.sessions.set(w, "")
	redirectBack(w, r)
}

// redirectBack goes to the page that the request came from, if that is one of this site.
func redirectBack(w http.ResponseWriter, r *http.Request) {
	target := "/productpage"
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
		target = r.Referer()
	}
	http.Redirect(w, r, target, http.StatusFound)
}

func render(w http.ResponseWriter, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		log.Printf("%s: %v", name, err)
		http.Error(w, "cannot render the page", http.StatusInternalServerError)
		return
	}
	writePage(w, page.Bytes())
}

func writePage(w http.ResponseWriter, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page) //nolint:errcheck // the client has gone
}

// Filled and Hollow are the numbers of stars to draw, of five.
func (r rating) Filled() int {
	if r.Stars == nil {
		return 0
	}
	return max(0, min(5, *r.Stars))
}

func (r rating) Hollow() int { return 5 - r.Filled() }

// OnCluster is the cluster's name where reviews knows it; "null" is upstream's word for unknown.
func (a reviewsAnswer) OnCluster() string {
	if a.Clustername == "null" {
		return ""
	}
	return a.Clustername
}

// URL and Name are what the index shows.
func (b backend) URL() string  { return b.base }
func (b backend) Name() string { return b.name }
