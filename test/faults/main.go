// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Program faults breaks the layer's collector in every way at every moment, and shows that the function does not
// notice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case !errors.Is(err, errBroken):
		fmt.Fprintln(os.Stderr, err)
	}
	stop()
	os.Exit(1) //nolint:forbidigo // main
}

var errBroken = errors.New("a cell broke a rule")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	match := flags.String("run", ".", "run the cells whose fault/moment match the regular `expression`")
	parallel := flags.Int("parallel", 3, "run so many cells at the same time")
	verbose := flags.Bool("v", false, "show what the processes of all cells wrote")
	if err := flags.Parse(args); err != nil {
		return err
	}
	expression, err := regexp.Compile(*match)
	if err != nil {
		return err
	}
	cells := matrix(expression)
	if len(cells) == 0 || *parallel < 1 {
		return fmt.Errorf("no cell matches %q, or -parallel %d is less than one", *match, *parallel)
	}
	// Not in /tmp, which some cells hide from the layer.
	dir, err := os.MkdirTemp("/var/tmp", "otelcol-lambda-faults-")
	if err != nil {
		dir, err = os.MkdirTemp("", "otelcol-lambda-faults-")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := build(ctx, dir, stderr)
	if err != nil {
		return err
	}
	results := runAll(ctx, cells, p, dir, *parallel, stderr)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if *verbose {
		for _, r := range results {
			_, _ = fmt.Fprintf(stdout, "=== %s\n%s", r.name(), r.log)
		}
	}
	if err := writeTable(stdout, results); err != nil {
		return err
	}
	if writeBroken(stdout, results) {
		return errBroken
	}
	return nil
}

// runAll runs the cells, some at a time, and returns the results in the same order.
func runAll(ctx context.Context, cells []cell, p programs, dir string, parallel int, progress io.Writer) []result {
	results := make([]result, len(cells))
	free := &ports{given: map[string]bool{}}
	slots := make(chan struct{}, parallel)
	var running sync.WaitGroup
	var mu sync.Mutex
	finished := 0
	for i, c := range cells {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			results[i] = runCell(ctx, c, p, free, filepath.Join(dir, fmt.Sprintf("cell-%d", i)))
			mu.Lock()
			defer mu.Unlock()
			finished++
			_, _ = fmt.Fprintf(progress, "%d/%d %s: %s (%s)\n", finished, len(cells), c.name(), results[i].verdict(),
				results[i].took.Round(100*time.Millisecond))
		})
	}
	running.Wait()
	return results
}
