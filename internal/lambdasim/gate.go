// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"sync"
	"time"
)

// gate is the clock of everything that stands still while the environment is frozen.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed while the environment runs
	frozen bool
	timers map[*gateTimer]struct{}
}

func newGate() *gate {
	opened := make(chan struct{})
	close(opened)
	return &gate{opened: opened, timers: map[*gateTimer]struct{}{}}
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen {
		return
	}
	g.frozen = true
	g.opened = make(chan struct{})
	for t := range g.timers {
		t.timer.Stop()
		t.remaining -= time.Since(t.since)
	}
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.frozen {
		return
	}
	g.frozen = false
	close(g.opened)
	for t := range g.timers {
		t.run()
	}
}

// wait returns when the environment runs.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		frozen, opened := g.frozen, g.opened
		g.mu.Unlock()
		if !frozen {
			return ctx.Err()
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gateTimer runs fire once the environment has run for the timer's time. All fields belong to the gate's lock.
type gateTimer struct {
	gate      *gate
	fire      func()
	remaining time.Duration
	since     time.Time
	timer     *time.Timer
}

func (g *gate) afterFunc(d time.Duration, fire func()) *gateTimer {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &gateTimer{gate: g, fire: fire, remaining: d}
	g.timers[t] = struct{}{}
	if !g.frozen {
		t.run()
	}
	return t
}

func (t *gateTimer) run() {
	t.since = time.Now()
	t.timer = time.AfterFunc(t.remaining, t.expire)
}

func (t *gateTimer) expire() {
	t.gate.mu.Lock()
	_, active := t.gate.timers[t]
	if t.gate.frozen {
		// The freeze came between the expiry and the lock: the timer is restarted by thaw.
		active = false
	} else {
		delete(t.gate.timers, t)
	}
	t.gate.mu.Unlock()
	if active {
		t.fire()
	}
}

func (t *gateTimer) stop() {
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	delete(t.gate.timers, t)
	if t.timer != nil {
		t.timer.Stop()
	}
}

// sleep waits for d of running time.
func (g *gate) sleep(ctx context.Context, d time.Duration) error {
	done := make(chan struct{})
	t := g.afterFunc(d, func() { close(done) })
	defer t.stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
