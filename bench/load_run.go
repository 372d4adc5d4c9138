// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// quietTime is how long the invocation after the load lasts at most. It is over when everything has arrived.
	quietTime = 5 * time.Second
	// leastQuiet lets the layer do what it does once in a while.
	leastQuiet = 1500 * time.Millisecond
	// loadSlack is what an environment may take besides the load.
	loadSlack = time.Minute
	// sendTimeout bounds one request.
	sendTimeout = 20 * time.Second
)

// loads are what was measured under load.
type loads struct {
	rows []loadRow
	work []loadWork
	// promises and notes are there if the load was long enough to be judged.
	promises []promise
	notes    []string
}

// loadWork is what is to be done for spans of one kind.
type loadWork struct {
	attributes int
	load       []payload
	// bare is what cannot be done without.
	bare bareCosts
}

// measureLoad sends each subject that has a collector as much as it takes.
func (set settings) measureLoad(
	ctx context.Context, dir string, p programs, subjects []subject, progress io.Writer,
) (all loads, err error) {
	works := map[int]loadWork{}
	for _, n := range set.attributes {
		load, err := payloads(n)
		if err != nil {
			return all, err
		}
		works[n] = loadWork{n, load, bareCosts{}}
		all.work = append(all.work, works[n])
	}
	runs := set.loadRuns
	r := rig{programs: p, dir: dir, condition: unlimited()}
	type todo struct {
		s subject
		c loadCell
		o observations
	}
	var list []todo
	for _, c := range set.loadCells() {
		for _, s := range subjects {
			if s.loaded(set.sustained()) {
				list = append(list, todo{s, c, observations{}})
			}
		}
	}
	promises := newLoadPromises()
	for run := range runs {
		// What is compared comes one after the other, in another order each time.
		for i, n := range rand.Perm(len(list)) {
			t := list[n]
			work := works[t.c.attributes]
			fmt.Fprintf(progress, "load %d of %d: %s, %s\n", run*len(list)+i+1, runs*len(list), t.s.name, t.c.name())
			if err := work.bare.measure(work.load); err != nil {
				return all, err
			}
			seen, err := set.loadOne(ctx, r, t.s, t.c, work.load)
			if err != nil {
				return all, fmt.Errorf("load of %s: %w", t.c.name(), err)
			}
			seen.observe(t.o)
			if set.sustained() {
				promises.judge(t.s.name, t.c, seen)
				all.notes = append(all.notes, seen.note(t.s.name, t.c))
			}
		}
	}
	for _, t := range list {
		all.rows = append(all.rows, newLoadRow(t.s, t.c, t.o, works[t.c.attributes].bare))
	}
	if set.sustained() {
		all.promises = promises.list()
	}
	return all, nil
}

// loadOne takes one environment through a short invocation, a long one with load, and one without.
func (set settings) loadOne(
	ctx context.Context, r rig, s subject, c loadCell, load []payload,
) (seen loadSeen, err error) {
	backend, endpoint, err := startBackend(ctx)
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, backend.close()) }()
	limit := loadWarmUp + set.loadTime + loadSlack
	if set.sustained() {
		limit += hungTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	env := map[string]string{
		"OTELCOL_LAMBDA_OTLP_ENDPOINT": c.endpoint(endpoint),
		// Data leaves while it comes: once a second, and whenever a queue is half full.
		"OTELCOL_LAMBDA_FLUSH_STRATEGY": "continuous",
	}
	err = r.with(ctx, s, plan{function: r.idle, env: env, timeout: limit}, func(e *environment) error {
		return set.loadIn(ctx, e, backend, c, load, &seen)
	})
	return seen, err
}

func (set settings) loadIn(
	ctx context.Context, e *environment, backend *loadBackend, c loadCell, load []payload, seen *loadSeen,
) error {
	if err := e.Init(ctx); err != nil {
		return err
	}
	if _, err := e.invoke(ctx, "null"); err != nil {
		return err
	}
	before, err := e.look()
	if err != nil {
		return err
	}
	if seen.idle, err = anonymous(before.pids); err != nil {
		return err
	}
	dial := func() (sender, error) { return newSender(ctx, c.protocol) }
	err = e.during(ctx, func() error {
		senders, err := startSenders(ctx, c.connections, dial, load)
		if err != nil {
			return err
		}
		return set.loadNow(ctx, before.pids, backend, senders, seen)
	})
	if err != nil {
		return err
	}
	accepted := int64(seen.well.spans + seen.hung.spans)
	err = e.during(ctx, func() error {
		// This one is like any other. What the last one left is delivered meanwhile.
		until := time.Now().Add(quietTime)
		if err := sleep(ctx, leastQuiet); err != nil {
			return err
		}
		for backend.spans.Load() < accepted && time.Now().Before(until) {
			if err := sleep(ctx, sampleEvery); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if seen.after, err = anonymous(before.pids); err != nil {
		return err
	}
	if err := e.Shutdown(ctx); err != nil {
		return err
	}
	seen.missing = int(accepted - backend.spans.Load())
	if n := backend.invalid.Load(); n > 0 {
		return fmt.Errorf("the backend could not read %d requests", n)
	}
	if seen.arrived == 0 {
		return errNoLoad
	}
	return nil
}

// during makes an invocation that lasts as long as do does.
func (e *environment) during(ctx context.Context, do func() error) error {
	g, event, err := newGate(ctx)
	if err != nil {
		return err
	}
	invoked := make(chan error, 1)
	go func() {
		_, err := e.invoke(ctx, event)
		invoked <- err
	}()
	select {
	case <-g.asked:
		err = do()
	case err := <-invoked:
		return errors.Join(errors.New("the function did not wait"), err, g.open(ctx))
	}
	return errors.Join(err, g.open(ctx), <-invoked)
}

// loadNow measures until the senders have sent enough.
func (set settings) loadNow(
	ctx context.Context, pids []int, backend *loadBackend, senders *senders, seen *loadSeen,
) error {
	err := set.watch(ctx, pids, backend, senders, seen)
	all, failed := senders.stop()
	backend.answer()
	if set.sustained() {
		// Requests that were under way when the backend began to hang are among them.
		seen.hung = all.minus(seen.well)
	} else {
		seen.well = all
	}
	return errors.Join(err, failed)
}

// watch measures, for as long as there is load.
func (set settings) watch(
	ctx context.Context, pids []int, backend *loadBackend, senders *senders, seen *loadSeen,
) error {
	sampler := startSampler(ctx, pids)
	defer func() { _, _ = sampler.stop() }()
	if err := senders.wait(ctx, loadWarmUp); err != nil {
		return err
	}
	began, arrived, zipped := time.Now(), backend.spans.Load(), backend.zipped.Load()
	used, err := cpuTime(pids)
	if err != nil {
		return err
	}
	if err := senders.wait(ctx, set.loadTime); err != nil {
		return err
	}
	now, err := cpuTime(pids)
	if err != nil {
		return err
	}
	seen.window, seen.cpu = time.Since(began), now-used
	seen.arrived, seen.zipped = int(backend.spans.Load()-arrived), int(backend.zipped.Load()-zipped)
	seen.well = senders.sum()
	if seen.memory, err = sampler.stop(); err != nil {
		return err
	}
	if !set.sustained() {
		return nil
	}
	backend.hang()
	again := startSampler(ctx, pids)
	failed := senders.wait(ctx, hungTime)
	peaks, err := again.stop()
	for _, m := range peaks {
		seen.peak = max(seen.peak, m.anonymous)
	}
	return errors.Join(failed, err)
}

// anonymous is the memory of processes that nobody else can share.
func anonymous(pids []int) (bytes float64, err error) {
	for _, pid := range pids {
		m, err := memoryOf(pid)
		if err != nil {
			return 0, err
		}
		bytes += m.rssAnon
	}
	return bytes, nil
}

// sampler reads the memory of processes again and again.
type sampler struct {
	end  context.CancelFunc
	done chan struct{}

	// Until done is closed these belong to it.
	list []memoryAt
	err  error
}

func startSampler(ctx context.Context, pids []int) *sampler {
	ctx, end := context.WithCancel(ctx)
	s := &sampler{end: end, done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(s.done)
		for ctx.Err() == nil && s.err == nil {
			bytes, err := anonymous(pids)
			s.list, s.err = append(s.list, memoryAt{time.Since(began), bytes}), err
			_ = sleep(ctx, sampleEvery) // the loop asks as well
		}
	}()
	return s
}

func (s *sampler) stop() ([]memoryAt, error) {
	s.end()
	<-s.done
	return s.list, s.err
}

// senders send on all connections at the same time.
type senders struct {
	done    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	total tally
	err   error
	// failed is closed when there is an error.
	failed chan struct{}
}

func startSenders(ctx context.Context, n int, dial func() (sender, error), load []payload) (*senders, error) {
	s := &senders{done: make(chan struct{}), failed: make(chan struct{})}
	for i := range n {
		one, err := dial()
		if err != nil {
			_, failed := s.stop()
			return nil, errors.Join(err, failed)
		}
		s.running.Go(func() {
			// Each begins somewhere else.
			err := s.send(ctx, one, load, i*len(load)/n)
			s.fail(errors.Join(err, one.close()))
		})
	}
	return s, nil
}

// send makes one request after the other.
func (s *senders) send(ctx context.Context, to sender, load []payload, next int) error {
	for {
		select {
		case <-s.done:
			return nil
		default:
		}
		p := load[next%len(load)]
		limited, cancel := context.WithTimeout(ctx, sendTimeout)
		v, err := to.send(limited, p)
		cancel()
		if err != nil {
			return fmt.Errorf("send to the collector: %w", err)
		}
		s.count(v, p)
		if v.accepted {
			next++
			continue
		}
		select {
		case <-time.After(retryPause):
		case <-s.done:
		}
	}
}

func (s *senders) count(v verdict, p payload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.add(v, p)
}

func (s *senders) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.err = err
		close(s.failed)
	}
}

// sum is what all have seen so far.
func (s *senders) sum() tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total.minus(tally{})
}

// wait lets them send for a while.
func (s *senders) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-s.failed:
		return nil // stop says why
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop returns when all have had their last answer.
func (s *senders) stop() (tally, error) {
	close(s.done)
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.err
}
