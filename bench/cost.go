// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// warmRuns is how many environments are invoked, and again how many are frequently: what is read at the end of one is a
// single sample.
const warmRuns = 3

// costs are what was measured of each subject, under each condition.
type costs struct {
	conditions []conditionCosts
	// leftOut says what could not be measured here, and why.
	leftOut []string
}

// conditionCosts has observations in the order of the subjects.
type conditionCosts struct {
	condition condition
	observed  []observations
}

// measureCosts measures all subjects under all conditions that are possible here.
func (set settings) measureCosts(
	ctx context.Context, dir string, p programs, subjects []subject, progress io.Writer,
) (all costs, err error) {
	r := rig{programs: p, sink: otlpsink.New(otlpsink.Options{}), dir: dir}
	if err := r.sink.Start(ctx); err != nil {
		return all, fmt.Errorf("start the backend: %w", err)
	}
	defer func() { err = errors.Join(err, r.sink.Close()) }()

	wanted := set.conditions
	if r.limiter, err = newLimiter(ctx, p.confine, dir); err != nil {
		var possible []condition
		for _, c := range wanted {
			if c.limited() {
				all.leftOut = append(all.leftOut, fmt.Sprintf("%s: %s", c, oneLine(err)))
			} else {
				possible = append(possible, c)
			}
		}
		wanted = possible
	}
	cached := set.canEvict(ctx, subjects, &all.leftOut)
	for _, c := range wanted {
		r.condition = c
		fmt.Fprintf(progress, "%s\n", c)
		to := conditionCosts{condition: c, observed: make([]observations, len(subjects))}
		for i, s := range subjects {
			to.observed[i] = observations{}
			if c.limited() {
				continue
			}
			if err := r.size(ctx, s, to.observed[i]); err != nil {
				return all, err
			}
		}
		if err := set.measure(ctx, r, subjects, to.observed, !cached, progress); err != nil {
			return all, err
		}
		all.conditions = append(all.conditions, to)
	}
	return all, nil
}

// canEvict reports whether the page cache lets go of the subjects' files.
func (settings) canEvict(ctx context.Context, subjects []subject, leftOut *[]string) bool {
	for _, s := range subjects {
		if err := errors.Join(evict(ctx, s.layer), prefetch(s.layer)); err != nil {
			*leftOut = append(*leftOut, fmt.Sprintf("%s: %s", partUncached, oneLine(err)))
			return false
		}
	}
	return true
}

// measure goes round all subjects again and again, so that what else happens on the machine hits all alike, and each
// time in another order, so that none always comes after the same other one.
func (set settings) measure(
	ctx context.Context, r rig, subjects []subject, observed []observations, cachedOnly bool, progress io.Writer,
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
		if err := r.cold(ctx, s, "", to); err != nil {
			return err
		}
		if s.collector {
			if err := r.listening(ctx, s, to); err != nil {
				return err
			}
		}
		once := packageInit
		if r.condition.limited() {
			once = r.beside
		}
		if err := once(ctx, s, to); err != nil {
			return err
		}
		if set.invocations > 0 {
			if err := r.first(ctx, s, to); err != nil {
				return err
			}
		}
		if cachedOnly {
			return nil
		}
		err := r.uncached(ctx, s, to)
		if errors.Is(err, errResident) {
			// It worked before: somebody else uses the file at the moment. There is one sample less.
			fmt.Fprintln(progress, err)
			return nil
		}
		return err
	}
	// The first start reads the programs from disk.
	fmt.Fprintln(progress, "warming up")
	if err := round(cold, true); err != nil {
		return err
	}
	rounds := func(name string, n int, do func(subject, observations) error) error {
		for i := range n {
			fmt.Fprintf(progress, "%s %d of %d\n", name, i+1, n)
			if err := round(do, false); err != nil {
				return err
			}
		}
		return nil
	}
	if err := rounds("run", set.runs, cold); err != nil || set.invocations == 0 {
		return err
	}
	warm := func(s subject, to observations) error { return r.warm(ctx, s, set.invocations, to) }
	if err := rounds("warm run", warmRuns, warm); err != nil || r.condition.limited() {
		// With a small share of the CPU, the invocations that are to share a delivery take longer than its interval.
		return err
	}
	return rounds("frequent run", warmRuns, func(s subject, to observations) error {
		if !s.collector {
			// What delivers nothing takes the same however often it is invoked.
			return nil
		}
		return r.frequent(ctx, s, to)
	})
}
