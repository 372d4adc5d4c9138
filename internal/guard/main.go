// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// Main is the program. It returns the status to exit with.
//
// Called with arguments or outside Lambda it is the collector, whose command line it does not have itself. It is the
// collector also where it cannot reach Lambda's API: a host name that needs DNS.
//
// otlp are the addresses at which it refuses what the function sends when there will be no collector: see Settings.
func Main(args, environ []string, otlp ...string) int {
	executable, _ := os.Executable() // without it, the layer is taken to be where Lambda puts it
	collector, fuller := programs(root(executable, exists), exists)

	address, ok := lookup(environ, envRuntimeAPI)
	if !ok || address == "" || len(args) != 1 {
		return become(collector, args, environ)
	}
	if err := socket.Resolvable(address); err != nil {
		complain(levelWarn, "The collector runs without its guard, which cannot reach Lambda's API",
			str("variable", envRuntimeAPI), str("error", err.Error()))
		return become(collector, args, environ)
	}

	var g *Guard
	g = New(Settings{
		Args: args, Environ: environ, Program: collector, Fuller: fuller,
		Stdin: syscall.Stdin, Stdout: syscall.Stdout, Stderr: syscall.Stderr,
		OTLP: otlp,
		// Go starts two threads for it.
		AfterStart: func() { notify(g) },
	})
	return g.Run()
}

// notify has the guard end on the signals with which a user ends it who runs it locally. Lambda sends none.
func notify(g *Guard) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for range signals {
			g.Signal()
		}
	}()
}

// become replaces this program by another one. It returns only if that fails.
func become(path string, args, environ []string) int {
	err := syscall.Exec(path, args, environ)
	complain(levelError, "The collector cannot be started", str("program", path), str("error", err.Error()))
	return 1
}

func complain(l level, message string, fields ...field) {
	writeAll(syscall.Stdout, appendLine(nil, time.Now(), l, message, fields))
}

// exists is os.Stat without the time zones that its result brings along, 60 kB of code.
func exists(path string) bool {
	var info syscall.Stat_t
	return syscall.Stat(path, &info) == nil
}
