// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// rating is either stars with their colour, or the error that stands in their place.
type rating struct {
	Stars *int   `json:"stars,omitempty"`
	Color string `json:"color,omitempty"`
	Error string `json:"error,omitempty"`
}

type review struct {
	Reviewer string  `json:"reviewer"`
	Text     string  `json:"text"`
	Rating   *rating `json:"rating,omitempty"`
}

type reviewsAnswer struct {
	ID          string   `json:"id"`
	Podname     string   `json:"podname"`
	Clustername string   `json:"clustername"`
	Reviews     []review `json:"reviews"`
}

type reviews struct {
	enabled     bool // ratings are asked for
	color       string
	podname     string
	clustername string
	ratings     backend
}

// reviewsVersions are the environments of upstream's three images.
var reviewsVersions = map[string]struct{ enabled, color string }{
	"v1": {"false", "black"},
	"v2": {"true", "black"},
	"v3": {"true", "red"},
}

func reviewsCommand(flags *flag.FlagSet, args []string, env environment) (string, http.Handler, error) {
	port := portFlag(flags, env)
	version := flags.String("version", env.or("SERVICE_VERSION", "v1"), "v1, v2 or v3 (variable SERVICE_VERSION)")
	if err := parse(flags, args); err != nil {
		return "", nil, err
	}
	handler, err := newReviews(*version, env)
	return ":" + *port, handler, err
}

// newReviews takes its defaults from the version; ENABLE_RATINGS and STAR_COLOR go before them.
func newReviews(version string, env environment) (http.Handler, error) {
	defaults, found := reviewsVersions[version]
	if !found {
		return nil, fmt.Errorf("reviews has no version %q; say v1, v2 or v3", version)
	}
	service := reviews{
		enabled:     strings.EqualFold(env.or("ENABLE_RATINGS", defaults.enabled), "true"),
		color:       env.or("STAR_COLOR", defaults.color),
		podname:     env.or("HOSTNAME", "null"),
		clustername: env.or("CLUSTER_NAME", "null"),
	}
	// Upstream's exercise in fault injection depends on this: black stars wait longer than productpage does.
	timeout := 10 * time.Second
	if service.color != "black" {
		timeout = 2500 * time.Millisecond
	}
	service.ratings = newBackend("ratings", "RATINGS", timeout, env)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health("Reviews is healthy"))
	mux.HandleFunc("GET /reviews/{id}", service.get)
	return mux, nil
}

func (s reviews) get(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	answer := reviewsAnswer{
		ID: strconv.FormatInt(number, 10), Podname: s.podname, Clustername: s.clustername,
		Reviews: []review{
			{Reviewer: "Reviewer1", Text: "Two pairs of twins and one bad day: I laughed from the first scene on."},
			{Reviewer: "Reviewer2", Text: "Light and quick. Do not look for more in it than a good evening."},
		},
	}
	if s.enabled {
		stars := s.stars(r, answer.ID)
		for i := range answer.Reviews {
			answer.Reviews[i].Rating = s.rate(stars[answer.Reviews[i].Reviewer])
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

// stars asks ratings; a reviewer that it does not name has none.
func (s reviews) stars(r *http.Request, id string) map[string]*int {
	status, body := s.ratings.get(r.Context(), id, forwardedHeaders(r.Header, endUser))
	if status != http.StatusOK {
		return nil
	}
	var answer struct {
		Ratings map[string]*int `json:"ratings"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		log.Printf("ratings: %v", err)
		return nil
	}
	return answer.Ratings
}

func (s reviews) rate(stars *int) *rating {
	if stars == nil {
		return &rating{Error: "Ratings service is currently unavailable"}
	}
	return &rating{Stars: stars, Color: s.color}
}
