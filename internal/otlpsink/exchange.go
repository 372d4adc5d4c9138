// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// exchange is one request and what is to happen to it.
type exchange struct {
	request *Request
	plan    plan
	// released ends a hang. It was taken together with the plan, so that a release after that is not missed.
	released <-chan struct{}
	// bytes is the size of the request, once it is known.
	bytes int
	// handled says that a gRPC request got beyond its headers.
	handled atomic.Bool
}

// verdict is the answer to a request, for the transport to give.
type verdict struct {
	outcome  Outcome
	fault    Fault // what was decided, with OutcomeRefused and OutcomeBroken
	rejected int
}

var (
	errClosing   = errors.New("the sink is closing")
	errAbandoned = errors.New("the client gave up")
)

// admit numbers a request whose headers came and decides about it. It waits when the request must not be read yet.
func (s *Sink) admit(
	ctx context.Context, signal Signal, transport Transport, path string, header http.Header,
) (*exchange, error) {
	s.mu.Lock()
	ex := &exchange{released: s.released}
	// Under the lock, so that numbers and fault counters have the same order.
	ex.request = s.begin(signal, transport, path, header)
	ex.plan = s.faults.next(signal, transport, time.Now())
	s.mu.Unlock()

	if ex.plan.fault.Action == ActionHangBeforeRead {
		if err := s.hang(ctx, ex); err != nil {
			s.abandon(ex, err)
			return nil, err
		}
	}
	return ex, nil
}

// received notes that the request has been read.
func (s *Sink) received(ex *exchange, items int) {
	s.update(func() {
		ex.request.Received = time.Now()
		ex.request.Items = items
		ex.request.Bytes = ex.bytes
	})
}

// settle takes the planned time and returns the answer; it has been recorded by then.
func (s *Sink) settle(ctx context.Context, ex *exchange, p payload) verdict {
	if err := s.delay(ctx, ex.plan.latency); err != nil {
		return s.abandon(ex, err)
	}
	v := verdict{outcome: OutcomeAccepted, fault: ex.plan.fault}
	switch ex.plan.fault.Action {
	case ActionHang:
		if err := s.hang(ctx, ex); err != nil {
			return s.abandon(ex, err)
		}
	case ActionStatus:
		v.outcome = OutcomeRefused
	case ActionClose, ActionReset:
		v.outcome = OutcomeBroken
	case ActionAckLost:
		v.outcome = OutcomeAckLost
	case ActionPartial:
		v.rejected = p.rejectFirst(ex.plan.fault.Rejected)
	case ActionLatency, ActionHangBeforeRead, ActionRefuse:
	}
	s.settled(ex.request, p, v.outcome, func() {
		ex.request.Rejected = v.rejected
		if ex.request.Transport == TransportHTTP {
			ex.request.Status = v.httpStatus()
		}
	})
	return v
}

func (v verdict) httpStatus() int {
	switch v.outcome {
	case OutcomeAccepted:
		return http.StatusOK
	case OutcomeRefused:
		return v.fault.Status
	default:
		return 0
	}
}

func (s *Sink) abandon(ex *exchange, cause error) verdict {
	s.settled(ex.request, payload{}, OutcomeAbandoned, func() { ex.request.Err = cause.Error() })
	return verdict{outcome: OutcomeAbandoned}
}

// invalid gives up a request that cannot be read.
func (s *Sink) invalid(ex *exchange, status int, cause error) {
	s.settled(ex.request, payload{}, OutcomeInvalid, func() {
		ex.request.Status = status
		ex.request.Err = cause.Error()
	})
}

func (s *Sink) delay(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	return s.waitOn(ctx, nil, timer.C)
}

func (s *Sink) hang(ctx context.Context, ex *exchange) error {
	var over <-chan time.Time
	if !ex.plan.until.IsZero() {
		timer := time.NewTimer(time.Until(ex.plan.until))
		defer timer.Stop()
		over = timer.C
	}
	return s.waitOn(ctx, ex.released, over)
}

func (s *Sink) waitOn(ctx context.Context, released <-chan struct{}, over <-chan time.Time) error {
	select {
	case <-released:
	case <-over:
	case <-ctx.Done():
	case <-s.life.Done():
	}
	// Both may have happened; a client that is gone cannot be answered.
	switch {
	case s.life.Err() != nil:
		return errClosing
	case ctx.Err() != nil:
		return errAbandoned
	default:
		return nil
	}
}
