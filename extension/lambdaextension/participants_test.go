// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// recorder keeps what happened, in order.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) add(call string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// fakeParticipant records its calls. Without functions of its own it holds nothing.
type fakeParticipant struct {
	name  string
	log   *recorder
	drain func(ctx context.Context) bool
	flush func(ctx context.Context) error
}

func (p *fakeParticipant) Drain(ctx context.Context) bool {
	p.log.add("drain " + p.name)
	return p.drain != nil && p.drain(ctx)
}

func (p *fakeParticipant) Flush(ctx context.Context) error {
	p.log.add("flush " + p.name)
	if p.flush == nil {
		return nil
	}
	return p.flush(ctx)
}

// fakeHolder says what it has left behind.
type fakeHolder struct {
	fakeParticipant
	left bool
}

func (p *fakeHolder) LeftBehind() bool { return p.left }

func (p *fakeHolder) FlushThen(ctx context.Context, done func(error)) {
	go func() { done(p.Flush(ctx)) }()
}

func TestDrainsFollowTheData(t *testing.T) {
	var log recorder
	var p participants
	for _, name := range []string{"decouple", "batch", "receiver"} { // the order in which the collector starts them
		p.join(&fakeParticipant{name: name, log: &log})
	}
	require.NoError(t, p.flush(t.Context()))
	calls := log.all()
	require.Equal(t, []string{"drain receiver", "drain batch", "drain decouple"}, calls[:3])
	require.ElementsMatch(t, []string{"flush receiver", "flush batch", "flush decouple"}, calls[3:])
}

func TestDeliversInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p participants
		for _, d := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			p.join(&fakeParticipant{flush: func(context.Context) error {
				time.Sleep(d)
				return nil
			}})
		}
		start := time.Now()
		require.NoError(t, p.flush(t.Context()))
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestRounds(t *testing.T) {
	deadline := errors.New("backend down")
	for name, test := range map[string]struct {
		moves  int // how many drains find something
		err    error
		cancel bool
		rounds int
	}{
		"nothing held":                       {moves: 0, rounds: 1},
		"once":                               {moves: 1, rounds: 2},
		"a delivery that feeds another":      {moves: 2, rounds: 3},
		"data that never ends":               {moves: 100, rounds: maxRounds},
		"one fails, and others go on":        {moves: 2, err: deadline, rounds: 3},
		"the time is over, though all moved": {moves: 100, cancel: true, rounds: 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var log recorder
			var p participants
			moves := test.moves
			p.join(&fakeParticipant{name: "idle", log: &log})
			p.join(&fakeParticipant{
				name: "busy", log: &log,
				drain: func(context.Context) bool {
					moves--
					return moves >= 0
				},
				flush: func(context.Context) error {
					if test.cancel {
						cancel()
					}
					return test.err
				},
			})
			require.ErrorIs(t, p.flush(ctx), test.err)
			count := map[string]int{}
			for _, call := range log.all() {
				count[call]++
			}
			require.Equal(t, map[string]int{
				"drain idle": test.rounds, "drain busy": test.rounds, "flush idle": test.rounds, "flush busy": test.rounds,
			}, count)
		})
	}
}

func TestFlushReportsEveryError(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	var p participants
	p.join(&fakeParticipant{flush: func(context.Context) error { return one }})
	p.join(&fakeParticipant{})
	p.join(&fakeParticipant{flush: func(context.Context) error { return two }})
	err := p.flush(t.Context())
	require.ErrorIs(t, err, one)
	require.ErrorIs(t, err, two)
}

// promptHolder is done before anybody waits.
type promptHolder struct {
	fakeHolder
	err error
}

func (p *promptHolder) FlushThen(_ context.Context, done func(error)) { done(p.err) }

func TestHoldersTellTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prompt, late := errors.New("prompt"), errors.New("late")
		var p participants
		p.join(&promptHolder{})
		p.join(&promptHolder{err: prompt})
		p.join(&fakeHolder{fakeParticipant: fakeParticipant{flush: func(context.Context) error {
			time.Sleep(time.Second)
			return late
		}}})
		start := time.Now()
		err := p.flush(t.Context())
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, err, prompt)
		require.ErrorIs(t, err, late)
	})
}

func TestLeave(t *testing.T) {
	var log recorder
	var p participants
	same := &fakeParticipant{name: "same", log: &log}
	p.join(same)
	leave := p.join(same)
	other := p.join(&fakeParticipant{name: "other", log: &log})
	leave()
	leave()
	other()
	require.NoError(t, p.flush(t.Context()))
	require.Equal(t, []string{"drain same", "flush same"}, log.all(), "each join is a membership of its own")
}
