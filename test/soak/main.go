// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Program soak runs the layer with thousands of invocations, in which everything is random that an environment goes
// through, and accounts for every item.
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
	"path/filepath"
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

var errBroken = errors.New("an environment broke a rule")

const (
	// fewest is how many invocations a plan makes sense with.
	fewest = 50
	// progressEvery is how often there is a line that says how far the soak is.
	progressEvery = 5 * time.Second
	// everything is the number of no environment.
	everything = -1
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	invocations := flags.Int("invocations", 20_000, "make so many invocations")
	seed := flags.Uint64("seed", 0, "draw the plan from this number; 0 is another one each time")
	parallel := flags.Int("parallel", 3, "run so many environments at the same time")
	only := flags.Int("only", everything, "run only the environment of the plan with this number")
	layer := flags.String("layer", "", "use the layer in this folder and do not build one")
	logs := flags.String("logs", "", "write what the layer's processes say to this folder, a file for each environment")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *invocations < fewest || *parallel < 1 {
		return fmt.Errorf("-invocations has to be at least %d and -parallel at least 1", fewest)
	}
	for *seed == 0 {
		*seed = rand.Uint64() //nolint:gosec // any number will do
	}
	p := newPlan(*seed, *invocations)
	if *only != everything {
		p = p.only(*only)
		if len(p.environments) == 0 {
			return fmt.Errorf("the plan has no environment %d", *only)
		}
	}
	again := fmt.Sprintf("go run ./test/soak -seed %d -invocations %d", *seed, *invocations)
	_, _ = fmt.Fprintf(stderr, "seed %d: %d invocations in %d environments\n", *seed, p.invocations(), len(p.environments))

	dir, err := os.MkdirTemp("", "otelcol-lambda-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := build(ctx, dir, *layer, stderr)
	if err != nil {
		return err
	}
	start, stalls := time.Now(), watchStalls()
	outcomes := runAll(ctx, p, programs, dir, *parallel, stderr)
	stood := stalls()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if *logs != "" {
		if err := writeLogs(*logs, outcomes); err != nil {
			return err
		}
	}
	s := summarize(outcomes)
	s.took, s.stalls = time.Since(start), stood
	if err := s.write(stdout, again); err != nil {
		return err
	}
	if len(s.broken) > 0 {
		return errBroken
	}
	return nil
}

func writeLogs(dir string, outcomes []outcome) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, o := range outcomes {
		name := filepath.Join(dir, fmt.Sprintf("environment-%d.log", o.plan.number))
		if err := os.WriteFile(name, []byte(o.log), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs the environments, some at a time, and returns the outcomes in the same order.
func runAll(ctx context.Context, p plan, programs programs, dir string, parallel int, stderr io.Writer) []outcome {
	now := newProgress(p)
	stop := now.report(stderr)
	defer stop()
	outcomes := make([]outcome, len(p.environments))
	slots := make(chan struct{}, parallel)
	var running sync.WaitGroup
	for i, e := range p.environments {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			now.begin(e.number)
			outcomes[i] = runEnvironment(ctx, e, programs, dir, now)
			now.end(&outcomes[i])
		})
	}
	running.Wait()
	return outcomes
}
