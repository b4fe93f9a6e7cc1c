// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// openRequestsLimit and the drain together stay below the 30 s that Kubernetes grants a pod by default.
const openRequestsLimit = 20 * time.Second

// serve answers requests until a signal comes. SIGTERM first keeps the service open for drain, because
// clients learn only after the pod does that it is going; another signal cuts that short. Then no new
// connection is accepted and open requests are finished.
func serve(listener net.Listener, handler http.Handler, drain time.Duration, stop <-chan os.Signal) error {
	var draining atomic.Bool
	// No idle timeout: the sidecar owns its connections, and closing one that it is just about to use is a lost request.
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if draining.Load() {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case received := <-stop:
		log.Printf("received %v", received)
		if received == syscall.SIGTERM {
			draining.Store(true)
			select {
			case <-time.After(drain):
			case <-stop:
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), openRequestsLimit)
	defer cancel()
	return server.Shutdown(ctx)
}
