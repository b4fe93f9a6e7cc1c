// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"sync"
)

// ratings are kept in memory, as by upstream's v1.
type ratings struct {
	mu    sync.Mutex
	added map[int]json.RawMessage // what clients have posted, by product id
}

type ratingsAnswer struct {
	ID      int             `json:"id"`
	Ratings json.RawMessage `json:"ratings"`
}

var (
	initialRatings = json.RawMessage(`{"Reviewer1":5,"Reviewer2":4}`)
	leadingNumber  = regexp.MustCompile(`^\d+`)
)

func newRatings() http.Handler {
	service := &ratings{added: map[int]json.RawMessage{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health("Ratings is healthy"))
	mux.HandleFunc("GET /ratings/", service.get)
	mux.HandleFunc("POST /ratings/", service.post)
	return mux
}

func (s *ratings) get(w http.ResponseWriter, r *http.Request) {
	if id, ok := ratingsID(w, r); ok {
		writeJSON(w, http.StatusOK, s.answer(id))
	}
}

// post replaces a product's ratings by the body, which may be any JSON.
func (s *ratings) post(w http.ResponseWriter, r *http.Request) {
	id, ok := ratingsID(w, r)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil || !json.Valid(body) {
		writeError(w, http.StatusBadRequest, "please provide valid ratings JSON")
		return
	}
	s.mu.Lock()
	s.added[id] = body
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, s.answer(id))
}

func (s *ratings) answer(id int) ratingsAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if posted, found := s.added[id]; found {
		return ratingsAnswer{id, posted}
	}
	return ratingsAnswer{id, initialRatings}
}

// ratingsID is the number that the last segment of the path begins with ("0" and "0x" are both product 0).
func ratingsID(w http.ResponseWriter, r *http.Request) (int, bool) {
	id, err := strconv.Atoi(leadingNumber.FindString(path.Base(r.URL.Path)))
	if err != nil {
		writeError(w, http.StatusBadRequest, "please provide numeric product ID")
		return 0, false
	}
	return id, true
}
