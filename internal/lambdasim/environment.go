// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// ErrEnded says that the environment has been shut down or closed.
var ErrEnded = errors.New("the environment has ended")

// maxPayload is AWS Lambda's quota of a synchronous invocation, in bytes.
const maxPayload = 6 << 20

// errInitialised says that Init has been called already.
var errInitialised = errors.New("the environment has been initialised already")

// InitError says why Init failed. The environment is still usable: as in Lambda, the first invocation tries again.
type InitError struct {
	// Status is error or timeout.
	Status string
	// ErrorType is that of platform.initReport, such as Extension.Crash.
	ErrorType string
	// Message says who failed, and how.
	Message string
}

// failure is the same as what fails an invocation, nil if there is none.
func (e *InitError) failure() *failure {
	if e == nil {
		return nil
	}
	return &failure{status: e.Status, errorType: e.ErrorType, message: e.Message}
}

func (e *InitError) Error() string {
	return fmt.Sprintf("init failed with status %s: %s: %s", e.Status, e.ErrorType, e.Message)
}

// Environment is one execution environment. Its methods may be called at the same time; phases come one after another.
// Only the invocations of ModeManagedInstances run beside each other, as many as Options.Concurrency says.
type Environment struct {
	opts       Options
	gate       *gate
	violations *violations
	deliveries *http.Client
	// token is that of the metadata endpoint.
	token string

	observeMu sync.Mutex
	outputMu  sync.Mutex

	// turn holds a token while no phase is going on.
	turn chan struct{}
	// lifetime ends with Close.
	lifetime   context.Context
	end        context.CancelFunc
	background sync.WaitGroup

	// What follows belongs to whoever has the turn.
	listener net.Listener
	server   *http.Server
	spawner  *spawner
	freezer  freezer
	tempDir  string // the environment's /tmp
	instance string

	// slots has an entry for each invocation that runs on a Managed Instance. It is filled by whoever has the turn.
	slots chan struct{}

	mu sync.Mutex
	// changed is closed and replaced whenever something happens that a phase may wait for.
	changed  chan struct{}
	gen      *generation
	started  bool // an Init has been made or tried
	ended    bool
	number   int // of generations
	frozenAt time.Time
	report   Report
	all      []*invocation
	peak     uint64 // bytes
}

// New checks the options. Nothing is started before Init or Invoke.
func New(opts Options) (*Environment, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	e := &Environment{
		opts:       opts,
		gate:       newGate(),
		deliveries: newDeliveryClient(),
		instance:   newInstanceID(opts.FunctionVersion, time.Now()),
		token:      randomHex(16),
		turn:       make(chan struct{}, 1),
		changed:    make(chan struct{}),
		report: Report{
			FunctionName: opts.FunctionName, InitializationType: opts.Mode.initializationType(),
			Concurrency: opts.Concurrency,
		},
	}
	if opts.Mode == ModeManagedInstances {
		e.slots = make(chan struct{}, opts.Concurrency)
	}
	e.violations = &violations{notify: func(v Violation) { e.tell(EventSimViolation, v) }}
	e.lifetime, e.end = context.WithCancel(context.Background())
	e.turn <- struct{}{}
	return e, nil
}

// Init starts the extensions and the function and waits until all are ready, at most InitTimeout. Afterwards they are
// frozen, as in an environment that Lambda prepares before the first invocation; with SnapStart they are the snapshot.
// The error is an *InitError if the
// layer or the function is to blame.
func (e *Environment) Init(ctx context.Context) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	var err error
	done := make(chan struct{})
	e.background.Go(func() {
		defer e.release()
		defer close(done)
		err = e.initPhase()
	})
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("init goes on: %w", ctx.Err())
	}
}

// Invoke sends payload to the function, after the previous invocation has settled, and returns what the function
// answered without waiting for the extensions. What the function did wrong is in the Invocation; an error says that
// there was no invocation, or that ctx ended before the answer. Without an Init before, it makes one, and the processes
// are not frozen in between on demand. On Managed Instances it waits only if as many invocations run as
// Options.Concurrency allows, and ErrEnded says that the instance has failed.
func (e *Environment) Invoke(ctx context.Context, payload []byte) (Invocation, error) {
	if len(payload) > maxPayload {
		return Invocation{}, fmt.Errorf("payload has %d bytes: AWS Lambda allows %d", len(payload), maxPayload)
	}
	if err := e.take(ctx); err != nil {
		return Invocation{}, err
	}
	if err := e.open(); err != nil {
		e.release()
		return Invocation{}, err
	}
	if e.managed() {
		if err := e.takeSlot(ctx); err != nil {
			e.release()
			return Invocation{}, err
		}
	}
	inv := newInvocation(payload)
	e.mu.Lock()
	e.all = append(e.all, inv)
	inv.Number = len(e.all)
	e.mu.Unlock()

	e.background.Go(func() {
		if e.managed() {
			e.invokeManaged(inv)
			return
		}
		defer e.release()
		e.invokePhase(inv)
	})
	select {
	case <-inv.result:
		e.mu.Lock()
		defer e.mu.Unlock()
		return inv.Invocation, nil
	case <-ctx.Done():
		return Invocation{}, fmt.Errorf("invocation goes on: %w", ctx.Err())
	}
}

// Settle returns when no phase is going on: all have called next and are frozen, or have been shut down. On Managed
// Instances that is when no invocation runs, and none begins meanwhile.
func (e *Environment) Settle(ctx context.Context) error {
	select {
	case <-e.turn:
		defer e.release()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := e.takeSlots(ctx); err != nil {
		return err
	}
	e.freeSlots()
	return nil
}

// Shutdown ends the environment as Lambda ends one that is idle. It waits for a running phase. It does nothing if the
// environment has ended.
func (e *Environment) Shutdown(ctx context.Context) error {
	err := e.take(ctx)
	if errors.Is(err, ErrEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.takeSlots(ctx); err != nil {
		e.release()
		return fmt.Errorf("invocations are running: %w", err)
	}
	gen := e.finish()
	done := make(chan struct{})
	e.background.Go(func() {
		defer e.release()
		defer e.freeSlots()
		defer close(done)
		if gen != nil {
			e.stop(gen, reasonSpindown)
		}
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("shutdown goes on: %w", ctx.Err())
	}
}

// Close kills all processes that are left and ends the APIs. A running phase is cut short.
func (e *Environment) Close() error {
	e.end()
	<-e.turn
	defer e.release()
	// The end of the lifetime is that of all invocations.
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	defer e.freeSlots()
	if gen := e.finish(); gen != nil {
		e.stop(gen, reasonSpindown)
	}
	var errs []error
	if e.freezer != nil {
		errs = append(errs, e.freezer.close())
		e.freezer = nil
	}
	if e.spawner != nil {
		e.spawner.close()
		e.spawner = nil
	}
	if e.server != nil {
		errs = append(errs, e.server.Close())
		e.server = nil
	}
	e.background.Wait()
	if e.tempDir != "" {
		errs = append(errs, os.RemoveAll(e.tempDir))
		e.tempDir = ""
	}
	e.deliveries.CloseIdleConnections()
	return errors.Join(errs...)
}

// Report tells what has happened so far.
func (e *Environment) Report() Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	report := e.report
	report.FreezeErrors = append([]string(nil), e.report.FreezeErrors...)
	report.Inits = append([]InitReport{}, e.report.Inits...)
	report.Restores = append([]RestoreReport(nil), e.report.Restores...)
	report.Shutdowns = append([]ShutdownReport{}, e.report.Shutdowns...)
	report.Invocations = make([]Invocation, 0, len(e.all))
	for _, inv := range e.all {
		report.Invocations = append(report.Invocations, inv.Invocation)
	}
	report.Telemetry = append([]TelemetryReport{}, e.report.Telemetry...)
	if e.gen != nil {
		report.Telemetry = append(report.Telemetry, e.gen.hub.reports(e.gen.number)...)
	}
	if !e.frozenAt.IsZero() {
		report.Frozen += time.Since(e.frozenAt)
	}
	report.Violations = e.violations.snapshot()
	return report
}

// take waits for the turn.
func (e *Environment) take(ctx context.Context) error {
	select {
	case <-e.turn:
	case <-ctx.Done():
		return fmt.Errorf("another phase is going on: %w", ctx.Err())
	}
	e.mu.Lock()
	ended := e.ended
	e.mu.Unlock()
	if ended || e.isClosing() {
		e.release()
		return ErrEnded
	}
	return nil
}

func (e *Environment) release() { e.turn <- struct{}{} }

// finish says that nothing comes any more, and returns the generation that is to be stopped, if there is one.
func (e *Environment) finish() *generation {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	return e.gen
}

func (e *Environment) isClosing() bool { return e.lifetime.Err() != nil }

// open serves the APIs and makes the freezer, once.
func (e *Environment) open() error {
	if e.server != nil {
		return nil
	}
	if e.spawner == nil {
		e.spawner = newSpawner()
	}
	f, err := newFreezer(e.opts.Freeze, e.spawner, e.pids)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(e.lifetime, "tcp", net.JoinHostPort(e.opts.Host, "0"))
	if err != nil {
		return errors.Join(fmt.Errorf("cannot serve the APIs: %w", err), f.close())
	}
	tempDir, err := os.MkdirTemp("", "lambdasim-tmp-")
	if err != nil {
		return errors.Join(err, f.close(), listener.Close())
	}
	e.freezer, e.listener, e.tempDir = f, listener, tempDir
	e.mu.Lock()
	e.report.FreezeMode = f.name()
	e.mu.Unlock()
	e.server = &http.Server{ //nolint:gosec // No read timeouts: a client may be frozen at any point of a request.
		Handler:  e.routes(),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := e.server
	e.background.Go(func() {
		// It always ends with an error: that Close has been called.
		_ = server.Serve(listener)
	})
	return nil
}

func (e *Environment) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", e.handleRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", e.handleExtensionNext)
	mux.HandleFunc("POST /2020-01-01/extension/init/error", e.handleInitError)
	mux.HandleFunc("POST /2020-01-01/extension/exit/error", e.handleExitError)
	mux.HandleFunc("PUT /2022-07-01/telemetry", e.handleTelemetry)
	mux.HandleFunc("PUT /2020-08-15/logs", e.handleLogs)
	mux.HandleFunc("GET /2018-06-01/ping", e.handlePing)
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.handleRuntimeNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.handleResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.handleError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.handleRuntimeInitError)
	mux.HandleFunc("GET /2018-06-01/runtime/restore/next", e.handleRestoreNext)
	mux.HandleFunc("POST /2018-06-01/runtime/restore/error", e.handleRestoreError)
	if !e.opts.NoMetadata {
		mux.HandleFunc("GET "+metadataPath, e.handleMetadata)
	}
	if e.opts.servesCredentials() {
		mux.HandleFunc("GET "+credentialsPath, e.handleCredentials)
	}
	return mux
}

// pause delays an answer, and hangs up if nobody is left to get it.
func (e *Environment) pause(r *http.Request, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		hangUp()
	case <-e.lifetime.Done():
		hangUp()
	}
}

// notify wakes the phases up. The lock must be held.
func (e *Environment) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// await returns when cond holds, which is asked with the lock held, or at the deadline, if there is one. It reports
// whether cond held.
func (e *Environment) await(deadline time.Time, cond func() bool) bool {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for !cond() {
		changed := e.changed
		e.mu.Unlock()
		over := false
		select {
		case <-changed:
		case <-expired:
			over = true
		case <-e.lifetime.Done():
			over = true
		}
		e.mu.Lock()
		if over {
			return cond()
		}
	}
	return true
}

// pids are the processes of the current generation.
func (e *Environment) pids() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gen == nil {
		return nil
	}
	return append([]int(nil), e.gen.pids...)
}

// observe passes an event on to the user.
func (e *Environment) observe(r Record) {
	if e.opts.OnEvent == nil {
		return
	}
	e.observeMu.Lock()
	defer e.observeMu.Unlock()
	e.opts.OnEvent(r)
}

// tell observes an event of the simulator itself.
func (e *Environment) tell(eventType telemetryapi.EventType, record any) {
	e.observe(Record{Time: time.Now(), Type: eventType, Record: marshal(record)})
}

// echo shows a line of output.
func (e *Environment) echo(source, line string) {
	if e.opts.Output == nil {
		return
	}
	e.outputMu.Lock()
	defer e.outputMu.Unlock()
	// The user's writer is the user's concern.
	_, _ = fmt.Fprintf(e.opts.Output, "[%s] %s\n", source, line)
}
