// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/quiet"
)

const (
	// maxHeaderBytes is far more than what Lambda sends.
	maxHeaderBytes = 64 << 10

	// maxBodyBytes bounds one delivery. AWS Lambda Telemetry API: a delivery has at most twice `maxBytes` and what
	// wraps the records, which is well under 1 MiB with NewSubscription; but one record alone may be larger than the
	// rule has it.
	maxBodyBytes = 4 << 20

	// maxDiscardBytes bounds how much of an oversized body is read to its end, so that the sender gets to read the
	// answer instead of a broken connection, which would make it send the body again.
	maxDiscardBytes = 64 << 20

	// maxQueueBytes bounds the deliveries that wait for Handle. It is the function's memory: about 30 deliveries of
	// the largest regular size, or seconds of a function that logs as fast as it can.
	maxQueueBytes = 8 << 20

	// queueWait is how long a delivery waits for room in the queue. Lambda drops what piles up behind a delivery that
	// is not answered, so the wait is short; and it retries a delivery that is refused with backoff, so refusing is
	// better than dropping. Half a second lets a short hiccup of the pipelines pass without either.
	queueWait = 500 * time.Millisecond

	// maxConcurrentBodies bounds the bodies in memory that are not in the queue yet. Lambda sends one at a time.
	maxConcurrentBodies = 4

	// maxConnections bounds the descriptors, of which the function and we have 1,024 together. Lambda uses one or two.
	maxConnections = 32

	// readTimeout bounds how long a delivery may take to come in. A freeze in the middle of one runs it out, and the
	// delivery is sent again.
	readTimeout = 10 * time.Second

	// handleGrace is how long Handle may take to notice that its context has ended, so that what it counts as lost is
	// counted when Shutdown returns.
	handleGrace = 50 * time.Millisecond
)

// ListenerSettings are what a Listener needs.
type ListenerSettings struct {
	// Port is the TCP port to bind; 0 leaves the choice to the kernel.
	Port int
	// Listener, if set, is used instead of binding Port. The Listener of this package closes it.
	Listener net.Listener
	// Handle is called with the events of one delivery, never with none, in the order in which deliveries arrived, one
	// call at a time. The next delivery waits until it returns. ctx ends when Shutdown runs out of time.
	Handle func(ctx context.Context, events []Event)
	// Lost, if set, is told of everything that was accepted and does not get through Handle. Several goroutines may call
	// it at a time.
	Lost func(loss Loss, items int)
	// Redelivered, if set, is told how many events were in a delivery that Lambda repeated, and that is not handled again.
	Redelivered func(events int)
	// Logger gets one line for each kind of problem, never one for each delivery: what we write comes back to us as
	// telemetry when somebody subscribes to the extension stream.
	Logger *zap.Logger

	// prevent unkeyed literal initialization
	_ struct{}
}

// Counters tell what became of deliveries since Listen. What was lost is told to ListenerSettings.Lost.
type Counters struct {
	// Deliveries is the number of bodies accepted.
	Deliveries uint64
	// Events is the number of events passed to Handle.
	Events uint64
	// Rejected is the number of deliveries answered with 503, which Lambda is expected to send again.
	Rejected uint64
	// Unknown is how many of Events have a type that is not known here. They are passed on like the others.
	Unknown uint64
	// Redelivered is how many of Deliveries had been handled before.
	Redelivered uint64
}

// Listener takes the deliveries of the AWS Lambda Telemetry API.
//
// It answers a delivery as soon as it has it in memory, and always with success, even when it makes no sense: Lambda
// sends a refused delivery again, and one that cannot be understood would come back for ever. The exceptions are a full
// queue, see queueWait, a delivery that did not come in full, and what is not HTTP. What Lambda repeats because it did not see the answer is not handled twice.
type Listener struct {
	settings ListenerSettings
	server   *http1.Server
	queue    *queue

	listener net.Listener

	// redeliveries is for the goroutine that works the queue off alone.
	redeliveries *Redeliveries

	// handling is the context of Handle; abandon ends it.
	handling context.Context
	abandon  context.CancelFunc
	// receiving is that of deliveries which wait for room.
	receiving context.Context
	refuseAll context.CancelFunc

	serveOnce    sync.Once
	served       atomic.Bool
	workers      sync.WaitGroup
	shutdownOnce sync.Once
	shutdownErr  error

	deliveries, events, unknown, rejected, redelivered atomic.Uint64

	warnMalformed, warnUndecodable, warnOversized, warnRejected, warnPanic, warnServer sync.Once
}

// NewListener returns a Listener. It does nothing before Listen.
func NewListener(settings ListenerSettings) *Listener {
	if settings.Logger == nil {
		settings.Logger = zap.NewNop()
	}
	if settings.Lost == nil {
		settings.Lost = func(Loss, int) {}
	}
	if settings.Redelivered == nil {
		settings.Redelivered = func(int) {}
	}
	l := &Listener{
		settings:     settings,
		queue:        newQueue(maxQueueBytes),
		listener:     settings.Listener,
		redeliveries: NewRedeliveries(),
	}
	l.handling, l.abandon = context.WithCancel(context.Background())
	l.receiving, l.refuseAll = context.WithCancel(l.handling)
	l.server = &http1.Server{
		Limits:      http1.Limits{HeaderBytes: maxHeaderBytes, BodyBytes: maxBodyBytes, ExcessBytes: maxDiscardBytes},
		MaxConns:    maxConnections,
		MaxRequests: maxConcurrentBodies,
		ReadTimeout: readTimeout,
		// A delivery waits for queueWait at most.
		Brief:  true,
		Refuse: l.refuse,
		Report: l.reportServer,
	}
	return l
}

// Listen binds the port. Connections are accepted from then on, though not answered before Serve; that is enough for
// subscribing. It binds all IPv4 addresses, because Lambda delivers to the environment's own address, of which it is
// documented only that `sandbox.localdomain` resolves to it, and that name does not exist in local tests.
func (l *Listener) Listen() error {
	if l.listener != nil {
		return nil
	}
	address := net.JoinHostPort("0.0.0.0", strconv.Itoa(l.settings.Port))
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", address)
	if err != nil {
		return fmt.Errorf("listen for telemetry: %w", err)
	}
	l.listener = listener
	return nil
}

// Serve starts to answer deliveries and to call Handle, and returns at once. Listen has to have succeeded.
func (l *Listener) Serve() {
	l.serveOnce.Do(func() {
		l.served.Store(true)
		l.workers.Go(l.work)
		l.workers.Go(func() {
			// It returns when it is shut down, and for no other reason.
			_ = l.server.Serve(&connListener{l.listener}, l.receive)
		})
	})
}

// Addr is the address the listener is bound to. It is nil before Listen.
func (l *Listener) Addr() net.Addr {
	if l.listener == nil {
		return nil
	}
	return l.listener.Addr()
}

// URI is where Lambda is to deliver to. AWS Lambda Telemetry API: the host has to be `sandbox.localdomain` and the
// port has to be there. It is empty before Listen.
func (l *Listener) URI() string {
	addr := l.Addr()
	if addr == nil {
		return ""
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return ""
	}
	return "http://sandbox.localdomain:" + port + "/"
}

// Idle waits until everything that was accepted before the call has been handled. The error is that of ctx.
func (l *Listener) Idle(ctx context.Context) error {
	return l.queue.idle(ctx)
}

// Counters returns what became of deliveries so far.
func (l *Listener) Counters() Counters {
	return Counters{
		Deliveries:  l.deliveries.Load(),
		Events:      l.events.Load(),
		Unknown:     l.unknown.Load(),
		Rejected:    l.rejected.Load(),
		Redelivered: l.redelivered.Load(),
	}
}

// Shutdown stops listening, and returns when everything that was accepted has been handled or ctx has ended. In the
// latter case what is left is lost, the context of Handle ends too, which gives it a moment to return, and the error is
// that of ctx. More calls return the same result; calls without Listen or Serve before are fine.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.shutdownOnce.Do(func() { l.shutdownErr = l.shutdown(ctx) })
	return l.shutdownErr
}

func (l *Listener) shutdown(ctx context.Context) error {
	defer l.abandon()
	// Later calls of Serve are to do nothing.
	l.serveOnce.Do(func() {})
	if !l.served.Load() {
		if l.listener == nil {
			return nil
		}
		return l.listener.Close()
	}

	// Requests under way get the time they may wait for room.
	patience := queueWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	impatient := time.AfterFunc(patience, l.refuseAll)
	_ = l.server.Shutdown(patience)
	impatient.Stop()
	l.queue.close()

	finished := make(chan struct{})
	go func() {
		l.workers.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
	}
	if n := l.queue.clear(); n > 0 {
		l.settings.Lost(LossAbandoned, n)
	}
	l.abandon()
	select {
	case <-finished:
	case <-time.After(handleGrace):
	}
	return fmt.Errorf("shut down the telemetry listener: %w", ctx.Err())
}

// receive answers one delivery.
func (l *Listener) receive(req *http1.Request) *http1.Response {
	switch {
	case req.Method != http.MethodPost:
		return &http1.Response{Status: http.StatusMethodNotAllowed, Header: http1.Header{{Name: "Allow", Value: http.MethodPost}}}
	case req.TooLarge:
		return l.drop()
	case !l.queue.put(l.receiving, req.Body, queueWait):
		l.warnRejected.Do(func() {
			l.settings.Logger.Warn("Deferred a telemetry delivery because the pipelines are slower than the events; "+
				"later ones are only counted.", zap.Int("max_queue_bytes", maxQueueBytes))
		})
		return l.reject()
	default:
		l.deliveries.Add(1)
		return &http1.Response{Status: http.StatusOK}
	}
}

// refuse answers a delivery that could not be read.
func (l *Listener) refuse(err error) *http1.Response {
	switch {
	case errors.Is(err, http1.ErrBodyTooLarge):
		return l.drop()
	case errors.Is(err, http1.ErrIncomplete):
		// Lambda has to send it again.
		return l.reject()
	default:
		return nil
	}
}

func (l *Listener) drop() *http1.Response {
	l.settings.Lost(LossOversized, 1)
	l.warnOversized.Do(func() {
		l.settings.Logger.Warn("Dropped a telemetry delivery that is too large; later ones are only counted.",
			zap.Int("max_bytes", maxBodyBytes))
	})
	return &http1.Response{Status: http.StatusOK}
}

func (l *Listener) reject() *http1.Response {
	l.rejected.Add(1)
	return &http1.Response{Status: http.StatusServiceUnavailable}
}

// work decodes and handles bodies until the queue is closed and empty.
func (l *Listener) work() {
	for {
		body, ok := l.queue.take()
		if !ok {
			return
		}
		l.handle(body)
		l.queue.release(body)
	}
}

func (l *Listener) handle(body []byte) {
	var batch Batch
	// A panic here would end the process, and with it the function's invocation. Whoever comes next on this goroutine
	// is a pipeline with components that are not ours.
	defer func() {
		if p := recover(); p != nil {
			l.settings.Lost(LossPanic, max(1, len(batch.Events)))
			l.warnPanic.Do(func() {
				l.settings.Logger.Error("Lost a telemetry delivery to a panic; later ones are only counted.",
					zap.Any("panic", p), zap.Stack("stack"))
			})
		}
	}()
	var err error
	batch, err = Decode(body)
	// What Lambda sends again because it was refused, or came in half, has not been here.
	if l.redeliveries.Observe(body, batch) {
		l.redelivered.Add(1)
		l.settings.Redelivered(len(batch.Events))
		return
	}
	if err != nil {
		l.settings.Lost(LossUndecodable, 1)
		l.warnUndecodable.Do(func() {
			l.settings.Logger.Warn("A telemetry delivery is not a JSON array of events; later ones are only counted.",
				zap.Int("events_before_the_break", len(batch.Events)), zap.Error(err))
		})
	}
	if batch.Malformed > 0 {
		l.settings.Lost(LossMalformed, batch.Malformed)
		l.warnMalformed.Do(func() {
			l.settings.Logger.Warn("A telemetry delivery has elements that are not events; later ones are only counted.",
				zap.Int("elements", batch.Malformed))
		})
	}
	l.unknown.Add(uint64(batch.Unknown))
	if len(batch.Events) > 0 {
		l.events.Add(uint64(len(batch.Events)))
		l.settings.Handle(l.handling, batch.Events)
	}
}

// reportServer takes what the server has to say about single connections. Once is enough to know that something else than
// Lambda talks to the port.
func (l *Listener) reportServer(err error) {
	l.warnServer.Do(func() {
		l.settings.Logger.Warn("The telemetry listener has trouble with a connection; later trouble is not logged.",
			zap.Error(err))
	})
}

// connListener accepts connections for the server.
type connListener struct{ net.Listener }

// Accept implements http1.Listener.
func (l *connListener) Accept() (http1.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return quiet.Over(conn), nil
}
