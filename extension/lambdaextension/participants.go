// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// maxRounds bounds how often one flush visits the participants. Two rounds serve a chain of pipelines joined by
// connectors, and more serve data that comes in while the flush runs.
const maxRounds = 4

// participants are the components that take part in a flush, in the order in which they joined, which is against the
// data flow.
type participants struct {
	mu   sync.Mutex
	list []*participant
}

// participant gives each call of join an identity, whatever the component's own type.
type participant struct{ Participant }

func (p *participants) join(c Participant) (leave func()) {
	member := &participant{c}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, member)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.list = slices.DeleteFunc(slices.Clone(p.list), func(m *participant) bool { return m == member })
	}
}

// members are those at this time.
func (p *participants) members() []*participant {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list // is only appended to, or replaced
}

// behind are those who could not deliver something before.
func (p *participants) behind() []*participant {
	var behind []*participant
	for _, m := range p.members() {
		if h, ok := m.Participant.(Holder); ok && h.LeftBehind() {
			behind = append(behind, m)
		}
	}
	return behind
}

// flushThen has a participant deliver, and done called with the outcome.
func (m *participant) flushThen(ctx context.Context, done func(error)) {
	if h, ok := m.Participant.(Holder); ok {
		h.FlushThen(ctx, done)
		return
	}
	go func() { done(m.Flush(ctx)) }()
}

// flush drains the participants along the data flow, then has all of them deliver at the same time, and does so again
// as long as a delivery of one fed another.
func (p *participants) flush(ctx context.Context) error {
	members := p.members()
	var err error
	for range maxRounds {
		moved := drain(ctx, members)
		err = deliver(ctx, members)
		if !moved || ctx.Err() != nil {
			break
		}
	}
	return err
}

func drain(ctx context.Context, members []*participant) (moved bool) {
	for _, m := range slices.Backward(members) {
		if m.Drain(ctx) {
			moved = true
		}
	}
	return moved
}

func deliver(ctx context.Context, members []*participant) error {
	errs := make(chan error, len(members))
	done := func(err error) { errs <- err }
	for _, m := range members {
		m.flushThen(ctx, done)
	}
	var failed []error
	over := ctx.Done()
	var overdue <-chan time.Time
	for left := len(members); left > 0; {
		select {
		case err := <-errs:
			if err != nil {
				failed = append(failed, err)
			}
			left--
		case <-over:
			over, overdue = nil, time.After(flushGrace)
		case <-overdue:
			return errors.Join(append(failed, errDeaf)...)
		}
	}
	return errors.Join(failed...)
}

// flushGrace is how long a component may take to notice that a flush is over. One that does not notice must not hold the
// environment.
const flushGrace = 50 * time.Millisecond

var errDeaf = errors.New("a component has not returned from its flush in time")
