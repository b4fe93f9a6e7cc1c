// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"net/http"
	"path"
	"strconv"
)

// book is what details knows of a book, in upstream's field order.
type book struct {
	ID        int    `json:"id"`
	Author    string `json:"author"`
	Year      int    `json:"year"`
	Type      string `json:"type"`
	Pages     int    `json:"pages"`
	Publisher string `json:"publisher"`
	Language  string `json:"language"`
	ISBN10    string `json:"ISBN-10"`
	ISBN13    string `json:"ISBN-13"`
}

func newDetails() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", health("Details is healthy"))
	mux.HandleFunc("/details", getDetails)
	mux.HandleFunc("/details/", getDetails)
	return mux
}

// getDetails takes the last segment of the path as the id, and says 400 to one that is no number.
func getDetails(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(path.Base(r.URL.Path))
	if err != nil {
		writeError(w, http.StatusBadRequest, "please provide numeric product id")
		return
	}
	writeJSON(w, http.StatusOK, book{
		ID: id, Author: "William Shakespeare", Year: 1595, Type: "paperback", Pages: 200,
		Publisher: "PublisherA", Language: "English", ISBN10: "1234567890", ISBN13: "123-1234567890",
	})
}
