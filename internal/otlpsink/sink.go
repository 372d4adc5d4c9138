// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// AddrNone in place of an address switches a transport off.
const AddrNone = "none"

const (
	defaultAddr         = "127.0.0.1:0"
	defaultMaxBodyBytes = 64 << 20
)

// Options configure a Sink. The zero value serves both transports on loopback ports that the kernel chooses.
type Options struct {
	// HTTPAddr and GRPCAddr are the addresses to listen on, 127.0.0.1:0 when empty, AddrNone for not at all.
	HTTPAddr, GRPCAddr string
	// Faults hold from Start until SetFaults.
	Faults []Fault
	// MaxBodyBytes bounds a request, before and after decompression. Zero means 64 MiB.
	MaxBodyBytes int64
	// Logger is told what the HTTP server has to complain about. Nil discards it.
	Logger *slog.Logger
}

// Sink is an OTLP backend that records what arrives. Its methods are safe for concurrent use.
type Sink struct {
	*record
	options Options

	httpGate, grpcGate *gate // nil when switched off
	httpServer         *http.Server
	grpcServer         *grpc.Server

	life       context.Context // ends with Close
	end        context.CancelFunc
	background sync.WaitGroup
	httpConns  openConns

	mu            sync.Mutex
	faults        *faultSet
	started       bool
	closed        bool
	released      chan struct{} // closed and replaced when hanging requests may go on
	changedFaults chan struct{} // tells the goroutine of timed refusals that the faults changed
	failures      []error

	// gates serializes whoever opens and shuts them.
	gates sync.Mutex
}

// New returns a Sink that is not listening yet.
func New(options Options) *Sink {
	life, end := context.WithCancel(context.Background())
	s := &Sink{
		record:        newRecord(),
		options:       options,
		life:          life,
		end:           end,
		released:      make(chan struct{}),
		changedFaults: make(chan struct{}, 1),
	}
	s.options.HTTPAddr = addrOrDefault(options.HTTPAddr)
	s.options.GRPCAddr = addrOrDefault(options.GRPCAddr)
	if s.options.MaxBodyBytes == 0 {
		s.options.MaxBodyBytes = defaultMaxBodyBytes
	}
	if s.options.Logger == nil {
		s.options.Logger = slog.New(slog.DiscardHandler)
	}
	return s
}

func addrOrDefault(addr string) string {
	if addr == "" {
		return defaultAddr
	}
	return addr
}

// Start listens and serves until Close. The context bounds only the start. A Sink starts once.
func (s *Sink) Start(ctx context.Context) error {
	s.mu.Lock()
	if s.started || s.closed {
		s.mu.Unlock()
		return errors.New("sink: started already, or closed")
	}
	s.started = true
	s.mu.Unlock()

	err := s.start(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("sink: %w", err), s.Close())
	}
	return nil
}

func (s *Sink) start(ctx context.Context) error {
	if err := validateFaults(s.options.Faults); err != nil {
		return err
	}
	if s.options.HTTPAddr != AddrNone {
		s.httpGate = newGate()
		if err := s.httpGate.listen(ctx, s.options.HTTPAddr); err != nil {
			return fmt.Errorf("otlp over http: %w", err)
		}
	}
	if s.options.GRPCAddr != AddrNone {
		s.grpcGate = newGate()
		if err := s.grpcGate.listen(ctx, s.options.GRPCAddr); err != nil {
			return fmt.Errorf("otlp over grpc: %w", err)
		}
	}
	// Before anything is served: the first request has to meet the faults.
	if err := s.SetFaults(s.options.Faults...); err != nil {
		return err
	}
	s.background.Go(s.refuseOnTime)
	if s.httpGate != nil {
		s.httpServer = s.newHTTPServer()
		s.background.Go(func() { s.keep(s.httpServer.Serve(s.httpGate), http.ErrServerClosed) })
	}
	if s.grpcGate != nil {
		s.grpcServer = s.newGRPCServer()
		s.background.Go(func() { s.keep(s.grpcServer.Serve(s.grpcGate), grpc.ErrServerStopped) })
	}
	return nil
}

// keep remembers an error for Close, unless it is the expected one.
func (s *Sink) keep(err, expected error) {
	if err == nil || errors.Is(err, expected) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, err)
}

// HTTPEndpoint returns the base URL of OTLP/HTTP, to which clients add /v1/traces and so on. It is empty before Start
// and when the transport is switched off.
func (s *Sink) HTTPEndpoint() string { return endpoint(s.httpGate) }

// GRPCEndpoint returns the URL of OTLP/gRPC. It is empty before Start and when the transport is switched off.
func (s *Sink) GRPCEndpoint() string { return endpoint(s.grpcGate) }

// Remote returns an endpoint by another address of this machine, 0.0.0.0, which nobody takes for a loopback address: what
// a client does for loopback addresses alone, it does not do there.
func Remote(endpoint string) string {
	return strings.Replace(endpoint, "//127.0.0.1:", "//0.0.0.0:", 1)
}

func endpoint(g *gate) string {
	if g == nil {
		return ""
	}
	return "http://" + g.Addr().String()
}

// SetFaults replaces the faults, starts their counters and times afresh, and releases hanging requests. When it
// returns, connections are refused or accepted as the new faults say. It fails when a fault is invalid, and then changes
// nothing, or when a port that was given up for `refuse` cannot be had again.
func (s *Sink) SetFaults(faults ...Fault) error {
	if err := validateFaults(faults); err != nil {
		return err
	}
	s.mu.Lock()
	if !s.started || s.closed {
		s.mu.Unlock()
		return errors.New("sink: not started, or closed")
	}
	s.faults = newFaultSet(faults, time.Now())
	s.releaseLocked()
	s.mu.Unlock()

	_, err := s.applyRefusals()
	select {
	case s.changedFaults <- struct{}{}:
	default: // it has not seen the last change either
	}
	return err
}

func validateFaults(faults []Fault) error {
	for i, f := range faults {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	return nil
}

// Release lets the requests go on that hang at the moment.
func (s *Sink) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked()
}

func (s *Sink) releaseLocked() {
	close(s.released)
	s.released = make(chan struct{})
}

// WaitFor returns when cond holds for the sink, or with the context's cause. It asks cond again whenever something
// changed, so cond should look at nothing but the sink.
func (s *Sink) WaitFor(ctx context.Context, cond func(*Sink) bool) error {
	return s.wait(ctx, func() bool { return cond(s) })
}

// Close ends all connections and returns when nothing of the sink runs any more, with what went wrong in the
// background. Requests that hang are not answered. What was recorded can still be read. Closing again does nothing.
func (s *Sink) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.end()
	s.mu.Unlock()

	if s.httpServer != nil {
		s.keep(s.httpServer.Close(), nil)
	}
	if s.grpcServer != nil {
		s.grpcServer.Stop()
	}
	for _, g := range []*gate{s.httpGate, s.grpcGate} {
		if g != nil {
			s.keep(g.Close(), nil)
		}
	}
	s.background.Wait()
	s.httpConns.wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.failures...)
}

// refuseOnTime opens and shuts the gates when a `refuse` begins or ends.
func (s *Sink) refuseOnTime() {
	for {
		change, err := s.applyRefusals()
		s.keep(err, context.Canceled)
		if !s.waitForRefusal(change) {
			return
		}
	}
}

// waitForRefusal returns at the given time, if it is not zero, or when the faults changed; false when the sink closes.
func (s *Sink) waitForRefusal(change time.Time) bool {
	var due <-chan time.Time
	if !change.IsZero() {
		timer := time.NewTimer(time.Until(change))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
		return true
	case <-s.changedFaults:
		return true
	case <-s.life.Done():
		return false
	}
}

// applyRefusals returns when it should be called again, zero for never.
func (s *Sink) applyRefusals() (next time.Time, err error) {
	s.gates.Lock()
	defer s.gates.Unlock()
	s.mu.Lock()
	faults := s.faults
	s.mu.Unlock()

	now := time.Now()
	var errs []error
	for transport, g := range map[Transport]*gate{TransportHTTP: s.httpGate, TransportGRPC: s.grpcGate} {
		if g == nil {
			continue
		}
		refuse, change := faults.refusing(transport, now)
		if !change.IsZero() && (next.IsZero() || change.Before(next)) {
			next = change
		}
		if refuse {
			errs = append(errs, g.shut())
		} else {
			errs = append(errs, g.open(s.life))
		}
	}
	return next, errors.Join(errs...)
}
