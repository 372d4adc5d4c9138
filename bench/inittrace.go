// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// traceTime bounds a program that is only to initialise its packages.
const traceTime = 10 * time.Second

// initialisation is what a Go program does before main.
type initialisation struct {
	// packages counts those that have something to initialise.
	packages int
	// clock is in milliseconds.
	clock         float64
	bytes, allocs float64
}

// traceInit starts a Go program such that it ends right after it has initialised its packages. How it ends is of no
// interest: without Lambda's API none of these programs has anything to do.
func traceInit(ctx context.Context, program string) (initialisation, error) {
	ctx, cancel := context.WithTimeout(ctx, traceTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	cmd.WaitDelay = time.Second
	text, failed := cmd.CombinedOutput()
	if err := ctx.Err(); err != nil {
		return initialisation{}, fmt.Errorf("%s --version: %w", program, err)
	}
	i, err := parseInitTrace(string(text))
	switch {
	case err != nil:
		return i, fmt.Errorf("%s: %w", program, err)
	case i.packages == 0 && failed != nil:
		return i, fmt.Errorf("%s: %w\n%s", program, failed, text)
	}
	return i, nil
}

// parseInitTrace adds up the lines of one program:
//
//	init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
//
// The guard becomes the collector, whose command line it does not have itself, so that the collector's lines follow:
// from the first package on that was there before.
func parseInitTrace(text string) (total initialisation, err error) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "init ")
		if !ok {
			continue
		}
		name, numbers, ok := strings.Cut(rest, " @")
		if !ok {
			continue // what a program writes may begin like that
		}
		if seen[name] {
			break
		}
		seen[name] = true
		var at, clock, bytes, allocs float64
		const format = "%g ms, %g ms clock, %g bytes, %g allocs"
		if _, err := fmt.Sscanf(numbers, format, &at, &clock, &bytes, &allocs); err != nil {
			return total, fmt.Errorf("inittrace line %q: %w", strings.TrimSpace(line), err)
		}
		total.packages++
		total.clock += clock
		total.bytes += bytes
		total.allocs += allocs
	}
	return total, nil
}
