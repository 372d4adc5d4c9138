// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program bench measures what the layer costs a function: in time, CPU and memory, cold and warm, beside the smallest
// extensions that are possible; how much it carries, and what that costs; and what each flush strategy delivers when,
// with backends that are well and others; and what it takes to make log records of what Lambda delivers.
// docs/benchmarks.md says how, and what the figures are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"
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

// spareProcs are enough for all processes that the simulator waits for at the same time.
const spareProcs = 4

// settings are the flags.
type settings struct {
	layer       string
	compare     []string
	runs        int
	invocations int
	conditions  []condition
	json, svg   string

	// cost, load, delivery and decode are the parts.
	cost, load, delivery, decode bool

	loadTime    time.Duration
	loadRuns    int
	connections []int
	backends    []string
	// attributes are those of each span, a kind of load for each number.
	attributes []int
	// stock is the program of a stock Collector, empty to leave it out.
	stock string

	match    *regexp.Regexp
	rare     time.Duration
	parallel int

	decodeRuns int
}

func parse(args []string, stderr io.Writer) (settings, error) {
	set := settings{match: regexp.MustCompile("")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&set.layer, "layer", "build/layer", "`folder` of the unpacked layer; empty to measure the floors only")
	flags.Func("compare", "`name=folder` of another layer to measure; repeatable", func(text string) error {
		set.compare = append(set.compare, text)
		return nil
	})
	flags.StringVar(&set.json, "json", "", "write the figures to `file` as well")
	flags.StringVar(&set.svg, "svg", "", "write charts of the figures to `folder` as well")

	chosen := addParts(flags, &set)
	flags.IntVar(&set.runs, "runs", 20, "of the cost, cold starts of each subject")
	flags.IntVar(&set.invocations, "invocations", 20,
		"of the cost, warm invocations of each environment but for frequent ones; 0 to make no invocations")
	memory := flags.String("memory", "full,128,512,1769", "of the cost, the memory `sizes` whose share of the CPU the "+
		"environment gets; full is all there is")
	flags.DurationVar(&set.loadTime, "load-time", 4*time.Second, "of the load, how long it lasts in each environment; "+
		"from "+sustainedTime.String()+" on it is judged, and the backend hangs afterwards")
	flags.IntVar(&set.loadRuns, "load-runs", 0,
		"of the load, environments of each kind; 0 is 3, or 1 if the load is judged")
	connections := flags.String("connections", "1,8,64", "of the load, the `numbers` of connections that send")
	backends := flags.String("backend", atRemote+","+atLoopback, "of the load, `where` the backend is, as the layer sees "+
		"it; beside "+atRemote+", "+atLoopback+" is measured with OTLP/HTTP and the most connections only")
	attributes := flags.String("attributes", "2,8", "of the load, the `numbers` of attributes of each span; beside the "+
		"first, others are measured with the most connections only")
	flags.StringVar(&set.stock, "stock", "", "of the load, the `program` of a stock Collector, to measure what the same "+
		"spans cost there; empty to leave it out")
	flags.Func("run", "of the delivery, the cells whose strategy/gap/backend match the regular `expression`",
		func(text string) (err error) {
			set.match, err = regexp.Compile(text)
			return err
		})
	flags.DurationVar(&set.rare, "rare", 3*time.Second, "of the delivery, the gap between rare invocations")
	flags.IntVar(&set.parallel, "parallel", 2, "of the delivery, cells at the same time; "+
		"three times as many of those that are frozen nearly all the time")
	flags.IntVar(&set.decodeRuns, "decode-runs", usualDecodeRuns, "of the decode, samples of each")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	chosen()
	var err error
	if set.conditions, err = parseConditions(*memory); err != nil {
		return set, fmt.Errorf("-memory: %w", err)
	}
	if set.connections, err = parseConnections(*connections); err != nil {
		return set, fmt.Errorf("-connections: %w", err)
	}
	if set.backends, err = parseBackends(*backends); err != nil {
		return set, fmt.Errorf("-backend: %w", err)
	}
	if set.attributes, err = parseAttributes(*attributes); err != nil {
		return set, fmt.Errorf("-attributes: %w", err)
	}
	return set, set.check()
}

// addParts adds a flag for each part. With at least one of them, nothing else is measured; =false leaves one out. What
// it returns is for when the flags have been parsed.
func addParts(flags *flag.FlagSet, set *settings) (chosen func()) {
	parts := []struct {
		name, what string
		on         *bool
	}{
		{"cost", "cold starts and invocations", &set.cost},
		{"load", "sustained load", &set.load},
		{"delivery", "what is delivered when", &set.delivery},
		{"decode", "what Lambda's log lines cost", &set.decode},
	}
	asked := map[string]bool{}
	for _, p := range parts {
		usage := "measure only " + p.what + ", and other parts that are asked for; -" + p.name + "=false to leave it out"
		flags.BoolFunc(p.name, usage, func(text string) error {
			on, err := strconv.ParseBool(text)
			asked[p.name] = on
			return err
		})
	}
	return func() {
		only := false
		for _, on := range asked {
			only = only || on
		}
		for _, p := range parts {
			on, given := asked[p.name]
			*p.on = on || !given && !only
		}
		if set.layer == "" && !only {
			// Two of them need one, and it is to be the floors only.
			set.load, set.delivery, set.decode = false, false, false
		}
	}
}

// processes reports whether anything is measured that runs programs, rather than code in this one.
func (set *settings) processes() bool { return set.cost || set.load || set.delivery }

// check says what makes no sense.
func (set *settings) check() error {
	switch {
	case !set.processes() && !set.decode:
		return errors.New("nothing is left to measure")
	case set.runs < 1:
		return errors.New("-runs must be at least 1")
	case set.invocations < 0:
		return errors.New("-invocations must not be negative")
	case set.loadTime < sampleEvery || set.loadTime > mostLoadTime:
		return fmt.Errorf("-load-time must be between %s and %s", sampleEvery, mostLoadTime)
	case set.loadRuns < 0:
		return errors.New("-load-runs must not be negative")
	case set.parallel < 1:
		return errors.New("-parallel must be at least 1")
	case set.decodeRuns < 1:
		return errors.New("-decode-runs must be at least 1")
	case set.layer == "" && (set.delivery || set.load):
		return errors.New("-delivery and -load need a layer")
	case set.rare <= 0:
		return errors.New("-rare must be positive")
	case set.delivery && len(set.matrix()) == 0:
		return fmt.Errorf("-run %q matches no strategy/gap/backend; one is %s", set.match, allCells(set.rare)[0].name())
	}
	if set.loadRuns == 0 {
		set.loadRuns = usualLoadRuns
		if set.sustained() {
			set.loadRuns = 1
		}
	}
	return nil
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
	if set.layer != "" && set.processes() {
		if _, err := newSubject(nameLayer, set.layer); err != nil {
			return err
		}
	}
	if set.load && set.stock != "" {
		if _, err := os.Stat(set.stock); err != nil {
			return fmt.Errorf("-stock: %w", err)
		}
	}
	if set.layer != "" && (set.cost || set.load) {
		if err := portsFree(ctx); err != nil {
			return err
		}
	}
	var p programs
	if set.processes() {
		fmt.Fprintln(stderr, "building the floors and the functions")
		withFunction := set.delivery || set.cost && set.invocations > 0
		if p, err = build(ctx, dir, withFunction, set.load && set.stock != ""); err != nil {
			return err
		}
	}
	d, failed := set.all(ctx, dir, p, stderr)
	if set.json != "" {
		failed = errors.Join(failed, d.write(set.json))
	}
	if set.svg != "" {
		failed = errors.Join(failed, d.draw(set.svg))
	}
	return errors.Join(printTable(stdout, d), failed)
}

// all measures the parts. One that fails takes nothing from the others.
func (set settings) all(ctx context.Context, dir string, p programs, progress io.Writer) (d document, err error) {
	d = newDocument(set)
	var subjects []subject
	if set.processes() {
		if subjects, err = set.subjects(ctx, dir, p); err != nil {
			return d, err
		}
	}
	took := func(part string, began time.Time) {
		d.Took = append(d.Took, duration{part, time.Since(began).Seconds()})
	}
	var errs []error
	if began := time.Now(); set.cost {
		c, err := set.measureCosts(ctx, dir, p, costed(subjects), progress)
		errs = append(errs, err)
		d.addCosts(set, costed(subjects), c)
		took("cost", began)
	}
	if began := time.Now(); set.load && ctx.Err() == nil {
		l, err := set.measureLoad(ctx, dir, p, subjects, progress)
		errs = append(errs, err)
		d.addLoad(set, l)
		took("load", began)
	}
	if began := time.Now(); set.delivery && ctx.Err() == nil {
		rows, err := set.deliver(ctx, p.function, progress)
		errs = append(errs, err)
		d.Delivery, d.Promises = rows, promises(rows)
		took("delivery", began)
	}
	if began := time.Now(); set.decode && ctx.Err() == nil {
		rows, err := measureDecode(ctx, set.decodeRuns, progress)
		errs = append(errs, err)
		d.addDecode(rows)
		took("decode", began)
	}
	return d, errors.Join(errs...)
}
