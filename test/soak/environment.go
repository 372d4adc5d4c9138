// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/test/soak/work"
)

const (
	timeout  = 3 * time.Second
	memoryMB = 512
	// flushTimeout bounds what a backend that hangs holds an invocation for, so that a soak gets somewhere.
	flushTimeout = 500 * time.Millisecond

	// maxQueueBytes is less than the default, so that faults of seconds fill the queues.
	maxQueueBytes = 256 << 10
	pipelineCount = 5

	// patience bounds an environment, beyond what its gaps and invocations should take.
	patience = 10 * time.Minute
)

// config has pipelines of their own for what comes from Lambda and what comes from the function: each drop is in the log
// with its pipeline, so that the accounts are exact for either. Processors with a name of their own keep apart what they
// leave on disk.
const config = `
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:@HTTP@"}
  telemetryapi:
    types: [platform, function]
processors:
  memory_limiter:
  batch:
  decouple:
    max_queue_bytes: @QUEUE@
  decouple/lambda:
    max_queue_bytes: @QUEUE@
exporters:
  otlp_http:
    endpoint: ${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}
extensions:
  lambda:
service:
  extensions: [lambda]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    metrics: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    logs: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    metrics/lambda:
      {receivers: [telemetryapi], processors: [memory_limiter, batch, decouple/lambda], exporters: [otlp_http]}
    logs/lambda:
      {receivers: [telemetryapi], processors: [memory_limiter, batch, decouple/lambda], exporters: [otlp_http]}
`

// outcome is what became of an environment.
type outcome struct {
	plan    environmentPlan
	report  lambdasim.Report
	samples []sample
	// balances are by pipeline; refused is how many requests the function was turned away with.
	balances map[string]balance
	refused  int
	broken   []string
	log      string
	took     time.Duration
}

func (o *outcome) breaks(format string, args ...any) {
	o.broken = append(o.broken, fmt.Sprintf(format, args...))
}

// rig is what one environment runs in: a tap in front of it, a backend behind.
type rig struct {
	plan environmentPlan
	sink *otlpsink.Sink
	tap  *otlpsink.Tap
	env  *lambdasim.Environment
	log  *transcript
	now  *progress

	cuts    []cut
	samples []sample
	pids    [processes]int
	// kills is how many steps have reset the environment.
	kills int

	mu     sync.Mutex
	events map[telemetryapi.EventType][]string
	errs   []error
}

// transcript collects what the layer's processes write. The function's lines are in the accounts.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer. The simulator writes whole lines.
func (t *transcript) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !strings.HasPrefix(string(line), "[function]") {
		t.text.Write(line)
	}
	return len(line), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// newRig prepares an environment. The rig has to be closed, even after an error.
func newRig(ctx context.Context, e environmentPlan, p programs, dir string, now *progress) (*rig, error) {
	r := &rig{plan: e, log: &transcript{}, now: now, events: map[telemetryapi.EventType][]string{}}
	port, err := freePort(ctx)
	if err != nil {
		return r, err
	}
	r.sink = otlpsink.New(otlpsink.Options{GRPCAddr: otlpsink.AddrNone})
	r.tap = otlpsink.NewTap(otlpsink.TapOptions{Target: "http://127.0.0.1:" + port})
	if err := errors.Join(r.sink.Start(ctx), r.tap.Start(ctx)); err != nil {
		return r, err
	}
	uri := filepath.Join(dir, fmt.Sprintf("config-%d.yaml", e.number))
	text := strings.NewReplacer("@HTTP@", port, "@QUEUE@", strconv.Itoa(maxQueueBytes)).Replace(config)
	if err := os.WriteFile(uri, []byte(text), 0o600); err != nil {
		return r, err
	}
	r.env, err = lambdasim.New(lambdasim.Options{
		LayerDir: p.layer,
		Function: []string{p.function},
		MemoryMB: memoryMB,
		Timeout:  timeout,
		Output:   r.log,
		OnEvent:  r.hook,
		Env: map[string]string{
			"OTELCOL_LAMBDA_OTLP_ENDPOINT":       otlpsink.Remote(r.sink.HTTPEndpoint()),
			"OPENTELEMETRY_COLLECTOR_CONFIG_URI": uri,
			"OTEL_EXPORTER_OTLP_ENDPOINT":        r.tap.Endpoint(),
			"OTELCOL_LAMBDA_FLUSH_STRATEGY":      e.strategy,
			"OTELCOL_LAMBDA_FLUSH_INTERVAL":      e.interval.String(),
			"OTELCOL_LAMBDA_FLUSH_TIMEOUT":       flushTimeout.String(),
		},
	})
	return r, err
}

// These are below the ports that the kernel gives to outgoing connections: one of those could take a port between the
// moment it was found to be free and the moment the layer listens on it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePort returns a port that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	for {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort)) //nolint:gosec // not a secret
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return port, l.Close()
	}
}

func (r *rig) close() error {
	var errs []error
	if r.env != nil {
		errs = append(errs, r.env.Close())
	}
	if r.tap != nil {
		errs = append(errs, r.tap.Close())
	}
	if r.sink != nil {
		errs = append(errs, r.sink.Close())
	}
	return errors.Join(errs...)
}

// hook notes the events that Lambda has for the collector. It is called while the simulator can do nothing else.
func (r *rig) hook(e lambdasim.Record) {
	id := platformID(string(e.Type), e.Time)
	switch {
	case e.Type == telemetryapi.EventFunction:
		var line string
		if err := json.Unmarshal(e.Record, &line); err != nil {
			r.note(err)
			return
		}
		id = lineID(line)
	case e.Type == telemetryapi.EventReport || !strings.HasPrefix(string(e.Type), "platform."):
		return // the collector makes no record of it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[e.Type] = append(r.events[e.Type], id)
}

func lineID(text string) string { return "function: " + text }

// platformID tells events of one type apart by their time, which the Telemetry API has in milliseconds.
func platformID(eventType string, at time.Time) string {
	return eventType + " at " + at.UTC().Format("15:04:05.000")
}

// note keeps an error for the end of the environment.
func (r *rig) note(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// runEnvironment takes an environment through its life and holds it against the rules.
func runEnvironment(ctx context.Context, e environmentPlan, p programs, dir string, now *progress) (o outcome) {
	o.plan = e
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := newRig(ctx, e, p, dir, now)
	if err == nil {
		err = r.live(ctx)
	}
	if r.env != nil {
		o.report = r.env.Report()
	}
	// What is under way at the backend gets its outcome.
	if err := errors.Join(err, r.close()); err != nil {
		o.breaks("the run itself: %s", err)
	}
	o.took = time.Since(start)
	o.log = r.log.String()
	if r.env != nil {
		r.judge(&o)
	}
	return o
}

// live carries the plan out.
func (r *rig) live(ctx context.Context) error {
	if err := r.env.Init(ctx); err != nil {
		return err
	}
	for _, s := range r.plan.steps {
		if err := sleep(ctx, s.gap); err != nil {
			return err
		}
		if err := r.step(ctx, s); err != nil {
			return fmt.Errorf("invocation %d: %w", s.event.Number, err)
		}
		accepted := r.tap.Counts()
		r.now.invocation(r.plan.number, accepted.Spans+accepted.Points+accepted.LogRecords)
	}
	return r.env.Shutdown(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// step runs one invocation until everything is frozen again.
func (r *rig) step(ctx context.Context, s step) error {
	payload, err := json.Marshal(s.event)
	if err != nil {
		return err
	}
	var changing sync.WaitGroup
	switch {
	case s.change != nil && s.change.into == 0:
		r.note(r.apply(*s.change))
	case s.change != nil:
		changing.Go(func() { r.note(errors.Join(sleep(ctx, s.change.into), r.apply(*s.change))) })
	}
	_, err = r.env.Invoke(ctx, payload)
	changing.Wait()
	if err := errors.Join(err, r.env.Settle(ctx)); err != nil {
		return err
	}
	if s.event.End.Kills() {
		r.kills++
		r.pids = [processes]int{}
		return nil
	}
	// Where there are no processes, it is for the rules to say why.
	if err := r.sample(); err != nil {
		r.note(fmt.Errorf("measure the memory after invocation %d: %w", s.event.Number, err))
		r.pids = [processes]int{}
	}
	return nil
}

// apply makes the backend behave otherwise from now on.
func (r *rig) apply(c change) error {
	from := time.Now()
	err := r.sink.SetFaults(c.faults...)
	if c.kind == refusing {
		// Open connections were closed.
		r.cuts = append(r.cuts, cut{from: from, to: time.Now()})
	}
	r.now.fault(r.plan.number, c.kind)
	return err
}

// sample measures the memory of the layer's processes, which are frozen.
func (r *rig) sample() error {
	if r.pids[guard] == 0 {
		inits := r.env.Report().Inits
		latest := inits[len(inits)-1]
		if len(latest.Extensions) != 1 {
			return fmt.Errorf("there are %d extensions", len(latest.Extensions))
		}
		child, err := childOf(latest.Extensions[0].PID)
		if err != nil {
			return err
		}
		r.pids = [processes]int{guard: latest.Extensions[0].PID, collector: child}
	}
	var s sample
	for p, pid := range r.pids {
		var err error
		if s[p], err = rssAnon(pid); err != nil {
			return fmt.Errorf("the %s: %w", process(p), err)
		}
	}
	r.samples = append(r.samples, s)
	return nil
}

// judge holds what has happened against the rules.
func (r *rig) judge(o *outcome) {
	o.samples = r.samples
	for _, err := range r.errs {
		o.breaks("the run itself: %s", err)
	}
	if made := len(o.report.Invocations); made != len(r.plan.steps) {
		o.breaks("%d of %d invocations were made", made, len(r.plan.steps))
	}
	for i, inv := range o.report.Invocations {
		if err := judgeInvocation(r.plan.steps[i].event, inv); err != nil {
			o.breaks("invocation %d at %s: %s", inv.Number, inv.Start.UTC().Format("15:04:05.000"), err)
		}
	}
	o.judgeLife(r.kills)
	for _, req := range r.tap.Requests() {
		switch turnedAway := req.Status == http.StatusTooManyRequests || req.Status == http.StatusServiceUnavailable; {
		case req.Outcome == otlpsink.OutcomeAccepted:
		case req.Outcome == otlpsink.OutcomeRefused && turnedAway:
			o.refused++
		default:
			o.breaks("a request of the function for %s: %s, status %d %s", req.Signal, req.Outcome, req.Status, req.Err)
		}
	}
	accounts, err := r.accounts(o.report)
	if err != nil {
		o.breaks("%s", err)
	}
	o.balances = map[string]balance{}
	for _, name := range pipelines() {
		b := accounts[name].balance()
		o.balances[name] = b
		for _, broken := range b.broken {
			o.breaks("%s: %s", name, broken)
		}
	}
	if err := judgeMetric(r.toldDrops(), readDrops(o.log)); err != nil {
		o.breaks("%s", err)
	}
	o.broken = append(o.broken, judgeMemory(r.samples)...)
}

// judgeInvocation wants what the event asked for.
func judgeInvocation(e work.Event, inv lambdasim.Invocation) error {
	want := map[work.End]struct{ caller, platform string }{
		work.Succeed: {lambdasim.StatusSuccess, lambdasim.StatusSuccess},
		work.Fail:    {lambdasim.StatusError, lambdasim.StatusError},
		work.Hang:    {lambdasim.StatusTimeout, lambdasim.StatusTimeout},
		work.Crash:   {lambdasim.StatusFailure, lambdasim.StatusError},
	}[e.End]
	var answer work.Receipt
	switch {
	case inv.Status != want.caller || inv.PlatformStatus != want.platform:
		return fmt.Errorf("status %s, for the platform %s, and not %s and %s: %s",
			inv.Status, inv.PlatformStatus, want.caller, want.platform, inv.Message)
	case e.End == work.Succeed && (json.Unmarshal(inv.Response, &answer) != nil || answer.Number != e.Number):
		return fmt.Errorf("the response is not the function's own: %s", inv.Response)
	default:
		return nil
	}
}

// judgeLife wants as many starts and ends of the processes as the plan has, and all in good order.
func (o *outcome) judgeLife(kills int) {
	if len(o.report.Inits) != kills+1 || len(o.report.Shutdowns) != kills+1 {
		o.breaks("the processes were started %d times and ended %d times, with %d resets",
			len(o.report.Inits), len(o.report.Shutdowns), kills)
	}
	for _, init := range o.report.Inits {
		if init.Status != lambdasim.StatusSuccess {
			o.breaks("start %d of the processes: %s %s", init.Generation, init.Status, init.Message)
		}
	}
	for _, s := range o.report.Shutdowns {
		for _, x := range s.Extensions {
			if x.ExitCode != 0 || x.Killed || x.Crashed {
				o.breaks("end %d of the processes: %s, killed %t, crashed %t", s.Generation, x.Status, x.Killed, x.Crashed)
			}
		}
	}
	for _, v := range o.report.Violations {
		o.breaks("violation %s in invocation %d: %s", v.Kind, v.Invocation, v.Detail)
	}
	for _, text := range o.report.FreezeErrors {
		o.breaks("freezing: %s", text)
	}
	for _, text := range []string{"The collector has ended.", "The collector was killed because"} {
		if n := strings.Count(o.log, text); n > 0 {
			o.breaks("the guard says %d times: %s", n, text)
		}
	}
}

// accounts puts together what was accepted, what arrived and what was dropped.
func (r *rig) accounts(report lambdasim.Report) (map[string]*account, error) {
	accounts := map[string]*account{}
	for _, name := range pipelines() {
		accounts[name] = newAccount()
	}
	for _, s := range r.tap.Spans() {
		accounts[pipelineTraces].accepted[s.ID]++
	}
	for _, p := range r.tap.Points() {
		accounts[pipelineMetrics].accepted[p.ID]++
	}
	for _, l := range r.tap.LogRecords() {
		accounts[pipelineLogs].accepted[l.ID]++
	}
	r.mu.Lock()
	err := accounts[pipelineLambda].handOver(r.events, report.Telemetry)
	r.mu.Unlock()
	r.addArrivals(accounts, report)
	for _, d := range readDrops(r.log.String()) {
		if a := accounts[d.pipeline]; a != nil {
			a.dropped[d.reason] += d.count
		}
	}
	return accounts, err
}

// addArrivals adds what the backend took of what the accounts are about.
func (r *rig) addArrivals(accounts map[string]*account, report lambdasim.Report) {
	cuts := slices.Clone(r.cuts)
	for _, s := range report.Shutdowns {
		cuts = append(cuts, cut{from: s.Start, to: s.Start.Add(s.Duration), shutdown: true})
	}
	doubts := map[int]string{}
	for _, req := range r.sink.Requests() {
		doubts[req.Number] = doubt(req, cuts)
	}
	add := func(pipeline, id string, it otlpsink.Item) {
		a := accounts[pipeline]
		a.arrivals[id] = append(a.arrivals[id], arrival{request: it.Request, doubt: doubts[it.Request]})
	}
	for _, s := range r.sink.Spans() {
		add(pipelineTraces, s.ID, s.Item)
	}
	for _, p := range r.sink.Points() {
		if p.Scope.Name() == work.ScopeName {
			add(pipelineMetrics, p.ID, p.Item)
		}
	}
	for _, l := range r.sink.LogRecords() {
		if l.Scope.Name() == work.ScopeName {
			add(pipelineLogs, l.ID, l.Item)
			continue
		}
		eventType, _ := l.Attributes().Get("type")
		id := platformID(eventType.Str(), l.Timestamp().AsTime())
		if eventType.Str() == string(telemetryapi.EventFunction) {
			id = lineID(text(l))
		}
		add(pipelineLambda, id, l.Item)
	}
}

// text is a line as the function wrote it. Of the object that aws-lambda-go writes about a handler's error, the receiver has
// made an exception.
func text(l otlpsink.LogRecord) string {
	body := l.Body().AsString()
	kind, _ := l.Attributes().Get("exception.type")
	message, ok := l.Attributes().Get("exception.message")
	if !ok {
		return body
	}
	before, ok := strings.CutSuffix(body, kind.AsString()+": "+message.AsString())
	if !ok {
		return body
	}
	return fmt.Sprintf(`%s{"errorMessage":%q,"errorType":%q}`, before, message.AsString(), kind.AsString())
}

// toldDrops adds up what the metric `otelcol_lambda.dropped_items` says, of which there is one for each process.
func (r *rig) toldDrops() map[series]int {
	type life struct {
		series
		start time.Time
	}
	latest := map[life]int{}
	for _, p := range r.sink.Points() {
		if p.Metric.Name() != string(health.DroppedItems) {
			continue
		}
		signal, _ := p.Attributes.Get(health.AttrSignal)
		reason, _ := p.Attributes.Get(health.AttrReason)
		l := life{series{signal.Str(), reason.Str()}, p.Start.AsTime()}
		latest[l] = max(latest[l], int(p.Number))
	}
	told := map[series]int{}
	for l, n := range latest {
		told[l.series] += n
	}
	return told
}

// held returns for how long the extensions held the environment after each invocation that ended by itself.
func (o *outcome) held() (holds []time.Duration) {
	for i, inv := range o.report.Invocations {
		if i < len(o.plan.steps) && !o.plan.steps[i].event.End.Kills() {
			holds = append(holds, inv.Held)
		}
	}
	return holds
}
