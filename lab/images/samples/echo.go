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
)

// echoCommand speaks http-echo's API: the same text on every path, and /health.
func echoCommand(flags *flag.FlagSet, args []string, env environment) (string, http.Handler, error) {
	listen := flags.String("listen", ":5678", "address and port to listen on")
	text := flags.String("text", env("ECHO_TEXT"), "what to answer (variable ECHO_TEXT)")
	status := flags.Int("status-code", http.StatusOK, "status to answer with")
	if err := parse(flags, args); err != nil {
		return "", nil, err
	}
	if *text == "" {
		return "", nil, errors.New("echo has nothing to say; give -text or the variable ECHO_TEXT")
	}
	if *status < 200 || *status > 599 {
		return "", nil, fmt.Errorf("echo cannot answer with status %d; give one from 200 to 599", *status)
	}
	return *listen, newEcho(*text, *status), nil
}

func newEcho(text string, status int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", say(text, status))
	mux.HandleFunc("/health", say(`{"status":"ok"}`, http.StatusOK))
	return mux
}

func say(text string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// A large body left unread would cost the client its connection before it has the answer.
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the answer does not depend on it
		w.Header().Set("X-App-Name", "http-echo")
		w.WriteHeader(status)
		fmt.Fprintln(w, text)
	}
}
