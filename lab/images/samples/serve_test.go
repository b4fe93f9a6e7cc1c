// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestTerminationLosesNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "done")
	})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	stop, ended := make(chan os.Signal, 2), make(chan error, 1)
	go func() { ended <- serve(listener, mux, time.Minute, stop) }()
	base := "http://" + listener.Addr().String()

	slow := make(chan string, 1)
	go func() {
		_, body := get(t, http.DefaultClient, base+"/slow")
		slow <- body
	}()
	<-arrived
	stop <- syscall.SIGTERM

	// While it drains, a new connection is served and told to be the last.
	for deadline := time.Now().Add(5 * time.Second); ; {
		answer, err := (&http.Client{Transport: &http.Transport{}}).Get(base + "/")
		if err != nil {
			t.Fatalf("refused while draining: %v", err)
		}
		answer.Body.Close()
		if answer.Close {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no Connection: close after SIGTERM")
		}
	}

	stop <- os.Interrupt // the second signal ends the drain, not the open request
	select {
	case err := <-ended:
		t.Fatalf("ended with a request open: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if body := <-slow; body != "done" {
		t.Errorf("the open request got %q", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
