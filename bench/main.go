// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program bench measures what the layer costs a function: in time, CPU and memory, cold and warm, beside the smallest
// extensions that are possible, and what each flush strategy delivers when, with backends that are well and others.
// docs/benchmarks.md says how, and what the figures are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// warmRuns is how many environments are invoked: what is read at the end of one is a single sample.
const warmRuns = 3

// spareProcs are enough for all processes that the simulator waits for at the same time.
const spareProcs = 4

// settings are the flags.
type settings struct {
	layer       string
	compare     []string
	runs        int
	invocations int
	json        string

	// cost and delivery are the two parts.
	cost, delivery bool
	match          *regexp.Regexp
	rare           time.Duration
	parallel       int
}

func parse(args []string, stderr io.Writer) (settings, error) {
	set := settings{cost: true, delivery: true, match: regexp.MustCompile("")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&set.layer, "layer", "build/layer", "`folder` of the unpacked layer; empty to measure the floors only")
	flags.Func("compare", "`name=folder` of another layer to measure; repeatable", func(text string) error {
		set.compare = append(set.compare, text)
		return nil
	})
	flags.IntVar(&set.runs, "runs", 20, "cold starts of each subject")
	flags.IntVar(&set.invocations, "invocations", 20, "warm invocations of each environment; 0 to leave them out")
	flags.StringVar(&set.json, "json", "", "write the figures to `file` as well")
	flags.BoolFunc("delivery", "measure the delivery only; -delivery=false to leave it out", func(text string) error {
		only, err := strconv.ParseBool(text)
		set.cost, set.delivery = !only, only
		return err
	})
	flags.Func("run", "of the delivery, the cells whose strategy/gap/backend match the regular `expression`",
		func(text string) (err error) {
			set.match, err = regexp.Compile(text)
			return err
		})
	flags.DurationVar(&set.rare, "rare", 3*time.Second, "of the delivery, the gap between rare invocations")
	flags.IntVar(&set.parallel, "parallel", 2, "cells of the delivery at the same time; "+
		"three times as many of those that are frozen nearly all the time")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	switch {
	case flags.NArg() > 0:
		return set, fmt.Errorf("%q is not a flag", flags.Arg(0))
	case set.runs < 1:
		return set, errors.New("-runs must be at least 1")
	case set.invocations < 0:
		return set, errors.New("-invocations must not be negative")
	case set.parallel < 1:
		return set, errors.New("-parallel must be at least 1")
	case set.layer == "" && !set.cost:
		return set, errors.New("-delivery needs a layer")
	case set.rare <= 0:
		return set, errors.New("-rare must be positive")
	case set.delivery && len(set.matrix()) == 0:
		return set, fmt.Errorf("-run %q matches no strategy/gap/backend; one is %s", set.match, allCells(set.rare)[0].name())
	}
	set.delivery = set.delivery && set.layer != ""
	return set, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	set, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return errors.New("CPU and memory are read from /proc: it runs on Linux only")
	}
	// The simulator waits for the end of each process in a system call, which keeps a P until the scheduler notices. When
	// none is left, a request that arrives is noticed up to 10 ms later.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs))
	dir, err := os.MkdirTemp("", "otelcol-lambda-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	// What can be wrong is checked before anything is built.
	if set.layer != "" {
		if _, err := newSubject(nameLayer, set.layer); err != nil {
			return err
		}
	}
	if set.layer != "" && set.cost {
		if err := portsFree(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(stderr, "building the floors and the functions")
	p, err := build(ctx, dir, set.delivery || set.invocations > 0)
	if err != nil {
		return err
	}
	d := newDocument(set)
	if set.cost {
		if d.Subjects, err = set.costs(ctx, dir, p, stderr); err != nil {
			return err
		}
	}
	// A cell that fails takes nothing from the others.
	var failed error
	if set.delivery {
		d.Delivery, failed = set.deliver(ctx, p.function, stderr)
		d.Promises = promises(d.Delivery)
	}
	if set.json != "" {
		if err := d.write(set.json); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(printTable(stdout, d), failed)
}

// costs measures the layer beside the floors.
func (set settings) costs(ctx context.Context, dir string, p programs, progress io.Writer) (_ []result, err error) {
	subjects, err := set.subjects(ctx, dir, p)
	if err != nil {
		return nil, err
	}
	r := rig{programs: p, sink: otlpsink.New(otlpsink.Options{})}
	if err := r.sink.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the backend: %w", err)
	}
	defer func() { err = errors.Join(err, r.sink.Close()) }()

	observed := make([]observations, len(subjects))
	for i, s := range subjects {
		observed[i] = observations{}
		if err := r.size(ctx, s, dir, observed[i]); err != nil {
			return nil, err
		}
	}
	if err := set.measure(ctx, r, subjects, observed, progress); err != nil {
		return nil, err
	}
	return evaluate(subjects, observed), nil
}

// measure goes round all subjects again and again, so that what else happens on the machine hits all alike, and each
// time in another order, so that none always comes after the same other one.
func (set settings) measure(
	ctx context.Context, r rig, subjects []subject, observed []observations, progress io.Writer,
) error {
	round := func(do func(subject, observations) error, discard bool) error {
		for _, i := range rand.Perm(len(subjects)) {
			to := observed[i]
			if discard {
				to = observations{}
			}
			if err := do(subjects[i], to); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	cold := func(s subject, to observations) error {
		if err := r.cold(ctx, s, to); err != nil || !s.collector {
			return err
		}
		return r.listening(ctx, s, to)
	}
	// The first start reads the programs from disk.
	fmt.Fprintln(progress, "warming up")
	if err := round(cold, true); err != nil {
		return err
	}
	for i := range set.runs {
		fmt.Fprintf(progress, "run %d of %d\n", i+1, set.runs)
		if err := round(cold, false); err != nil {
			return err
		}
	}
	if set.invocations == 0 {
		return nil
	}
	warm := func(s subject, to observations) error { return r.warm(ctx, s, set.invocations, to) }
	for i := range warmRuns {
		fmt.Fprintf(progress, "warm run %d of %d\n", i+1, warmRuns)
		if err := round(warm, false); err != nil {
			return err
		}
	}
	return nil
}
