// Copyright: (c) 2026, meshops maintainers
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command samples stands in for the sample applications whose images a site
// without an image registry cannot pull: one static binary, one subcommand per service.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// environment looks a variable up; an empty value counts as unset.
type environment func(name string) string

func (e environment) or(name, fallback string) string {
	if value := e(name); value != "" {
		return value
	}
	return fallback
}

// command declares its flags, parses args, and answers with the address to listen on and what to serve there.
type command func(flags *flag.FlagSet, args []string, env environment) (string, http.Handler, error)

var commands = map[string]command{
	"productpage": bookinfo(newProductpage),
	"details":     bookinfo(func(environment) http.Handler { return newDetails() }),
	"reviews":     reviewsCommand,
	"ratings":     bookinfo(func(environment) http.Handler { return newRatings() }),
	"echo":        echoCommand,
	"load":        loadCommand,
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds | log.LUTC)
	err := run(os.Args[1:], os.Getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "samples:", err)
		os.Exit(2)
	}
}

func run(args []string, env environment) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	setup, found := commands[name]
	if !found {
		return fmt.Errorf("no service %q; say one of: %s", name, strings.Join(commandNames(), ", "))
	}
	flags := flag.NewFlagSet("samples "+name, flag.ContinueOnError)
	// Istio's sidecar lets go of its connections for five seconds; the application has to outlast it.
	drain := flags.Duration("drain", 5*time.Second, "how long to go on serving after SIGTERM")
	address, handler, err := setup(flags, args[1:], env)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	log.Printf("%s listens on %s", name, listener.Addr())
	return serve(listener, handler, *drain, stop)
}

// bookinfo is the command of a service that needs no flag but its port.
func bookinfo(build func(environment) http.Handler) command {
	return func(flags *flag.FlagSet, args []string, env environment) (string, http.Handler, error) {
		port := portFlag(flags, env)
		if err := parse(flags, args); err != nil {
			return "", nil, err
		}
		return ":" + *port, build(env), nil
	}
}

func portFlag(flags *flag.FlagSet, env environment) *string {
	return flags.String("port", env.or("PORT", "9080"), "TCP port to listen on (variable PORT)")
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s takes no argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}

func commandNames() []string {
	names := []string{}
	for name := range commands {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
