// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"
)

const (
	// struckInvocation is the one that a fault in or before an invocation is for.
	struckInvocation = 3
	// invocations is how many there are at least, enough for the guard to find out that a collector hangs and to start
	// another one.
	invocations = 12
	// recovered is how many there are after the recovery.
	recovered = 4
	// gap is how long the environment is frozen in between. Backoffs count this time.
	gap = 250 * time.Millisecond
	// slowStartTime is after how long the guard takes a start for hung, and a little.
	slowStartTime = 15*time.Second + 500*time.Millisecond
	// patience bounds the invocations of a cell, on a busy machine.
	patience = 40 * time.Second

	// The function's spans and log records besides those that it always has, see examples/functions/go.
	moreSpans, moreLogs = 5, 3
	itemsOfInvocation   = 4 + moreSpans + 2 + moreLogs + 2 // with two metric points
	linesOfInvocation   = 2 + moreLogs

	// deadlineMargin is the guard's: when it gives the environment back, before the deadline.
	deadlineMargin = 100 * time.Millisecond
	// late is what a busy machine adds to that. It has to stay below the margin.
	late = 80 * time.Millisecond
)

// result is what became of a cell.
type result struct {
	cell
	// skipped and notHere say why the cell was not run: because it makes no sense, or because this machine cannot do it.
	skipped, notHere string

	invocations, failed int
	hold                time.Duration
	restarts            int
	// arrived of the sent items were delivered after the recovery, if there is one.
	arrived, sent int
	// broken are the rules that the cell broke.
	broken []string
	log    string
	took   time.Duration
}

func (r *result) breaks(format string, args ...any) {
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

// runCell runs a cell from Init to the end of the environment.
func runCell(ctx context.Context, c cell, p programs, free *ports, dir string) (res result) {
	res.cell = c
	start := time.Now()
	defer func() { res.took = time.Since(start) }()
	if res.skipped = c.pointless(); res.skipped != "" {
		return res
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		res.breaks("%s", err)
		return res
	}
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	r, err := newRig(ctx, c, p, free, dir)
	if notHere, ok := errors.AsType[*notHereError](err); ok {
		res.notHere, err = notHere.Error(), nil
	} else if err == nil {
		err = r.live(ctx)
		r.judge(&res)
	}
	if err := errors.Join(err, r.close()); err != nil {
		res.breaks("the run itself: %s", err)
	}
	res.log = r.log.String()
	for _, e := range r.trace() {
		res.log += fmt.Sprintf("[faulty extension] %s process %d %s %s\n",
			e.Time.UTC().Format(time.RFC3339Nano), e.PID, e.What, e.Detail)
	}
	return res
}

// live takes the environment through its life, with the fault at its moment.
func (r *rig) live(ctx context.Context) error {
	asked := make(chan error, 1)
	if r.fault.name == faultyextension.PortTaken && r.moment == faultyextension.AfterRegister {
		go func() { asked <- r.awaitAsked(ctx) }()
	} else {
		asked <- nil
	}
	if err := errors.Join(r.env.Init(ctx), <-asked); err != nil {
		return err
	}
	begin := time.Now()
	for number := 1; !r.enough(number-1) && time.Since(begin) < patience; number++ {
		pause := gap
		if number == struckInvocation && r.slowStart() {
			pause = slowStartTime
		}
		time.Sleep(pause)
		if err := r.invoke(ctx, number); err != nil {
			return fmt.Errorf("invocation %d: %w", number, err)
		}
	}
	for _, guard := range r.env.Report().Inits[0].Extensions {
		if z := zombies(guard.PID); len(z) > 0 {
			r.note(fmt.Errorf("the guard has not reaped %v", z))
		}
	}
	if r.moment == faultyextension.Shutdown {
		return r.shutDownStruck(ctx, len(r.env.Report().Invocations)+1)
	}
	return r.env.Shutdown(ctx)
}

// enough says whether there have been invocations enough.
func (r *rig) enough(done int) bool {
	if done < invocations {
		return false
	}
	since, ok := r.recovery()
	if !ok {
		return r.outcome() == over
	}
	return len(begunSince(r.env.Report().Invocations, since)) >= recovered
}

// invoke runs one invocation until everything is frozen.
func (r *rig) invoke(ctx context.Context, number int) error {
	sleep := 20
	struck := number == struckInvocation
	switch {
	case struck && r.moment == faultyextension.Frozen:
		r.note(r.strike(ctx))
	case struck && r.moment == faultyextension.Invocation:
		sleep = 500
		select { // an earlier invocation's
		case <-r.working:
		default:
		}
		go func() {
			select {
			case <-r.working:
				r.note(r.strike(ctx))
			case <-ctx.Done():
			}
		}()
	case struck && r.moment == faultyextension.Flush:
		if err := r.sink.SetFaults(otlpsink.Fault{Action: otlpsink.ActionHang}); err != nil {
			return err
		}
	}
	payload, err := json.Marshal(map[string]any{
		"order_id": orderID(number), "cents": 100, "spans": moreSpans, "logs": moreLogs, "sleep_ms": sleep,
	})
	if err != nil {
		return err
	}
	if _, err := r.env.Invoke(ctx, payload); err != nil {
		return err
	}
	if struck && r.moment == faultyextension.Flush {
		if err := r.strikeFlush(ctx, time.Now()); err != nil {
			return err
		}
	}
	return r.env.Settle(ctx)
}

func orderID(number int) string { return "order-" + strconv.Itoa(number) }

// flushTime bounds the wait for the backend to get a request of a flush.
const flushTime = 2 * time.Second

// strikeFlush waits until the backend, which does not answer, has a request that was begun after the given time, makes
// the fault happen, and lets the backend answer.
func (r *rig) strikeFlush(ctx context.Context, since time.Time) error {
	waiting, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err := r.sink.WaitFor(waiting, func(s *otlpsink.Sink) bool {
		return slices.ContainsFunc(s.Requests(), func(req otlpsink.Request) bool {
			return req.Outcome == otlpsink.OutcomePending && req.Started.After(since)
		})
	})
	if err != nil {
		return fmt.Errorf("wait for a flush: %w", err)
	}
	return errors.Join(r.strike(ctx), r.awaitEffect(), r.sink.SetFaults())
}

// shutDownStruck ends the environment, with the fault in the last flush. An invocation whose data the backend does not
// take yet leaves something for it.
func (r *rig) shutDownStruck(ctx context.Context, number int) error {
	unavailable := otlpsink.Fault{
		Action: otlpsink.ActionStatus, Status: http.StatusServiceUnavailable, RetryAfter: time.Minute,
	}
	if err := errors.Join(r.sink.SetFaults(unavailable), r.invoke(ctx, number)); err != nil {
		return err
	}
	if err := r.sink.SetFaults(otlpsink.Fault{Action: otlpsink.ActionHang}); err != nil {
		return err
	}
	struck := make(chan error, 1)
	since := time.Now()
	go func() { struck <- r.strikeFlush(ctx, since) }()
	return errors.Join(r.env.Shutdown(ctx), <-struck)
}

// judge holds what has happened against the rules.
func (r *rig) judge(res *result) {
	report := r.env.Report()
	pids := collectors(r.trace())
	res.invocations = len(report.Invocations)
	res.restarts = max(0, len(pids)-1)
	for _, inv := range report.Invocations {
		if r.moment != faultyextension.Shutdown || inv.Number < len(report.Invocations) {
			res.hold = max(res.hold, inv.Held) // the last one's is that of a backend that was not there
		}
		if err := judgeInvocation(inv); err != nil {
			res.failed++
			res.breaks("invocation %d: %s", inv.Number, err)
		}
	}
	if err := errors.Join(r.happened(), r.inTime(report)); err != nil {
		res.breaks("%s", err)
	}
	r.judgeEnvironment(res, report, pids)
	r.judgeTelemetry(res, report)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.errs {
		res.breaks("%s", err)
	}
}

// inTime checks that the fault came at its moment, where that depends on who is faster.
func (r *rig) inTime(report lambdasim.Report) error {
	r.mu.Lock()
	at := r.struck
	r.mu.Unlock()
	if begun, ok := first(r.trace(), faultyextension.Begun, 0); ok {
		at = begun.Time
	}
	var end time.Time
	switch {
	case len(report.Inits) == 0 || len(report.Invocations) < struckInvocation:
		return errors.New("the environment did not live for long enough")
	case r.moment == faultyextension.InitNext:
		end = report.Inits[0].Start.Add(report.Inits[0].Duration)
	case r.moment == faultyextension.Invocation:
		struck := report.Invocations[struckInvocation-1]
		end = struck.Start.Add(struck.FunctionDuration)
	default:
		return nil
	}
	if at.IsZero() || at.After(end) {
		return fmt.Errorf("the fault came at %s, its moment was over at %s", at, end)
	}
	return nil
}

// judgeInvocation wants the function's own result, and in time.
func judgeInvocation(inv lambdasim.Invocation) error {
	var answer struct {
		OrderID string `json:"order_id"`
	}
	switch {
	case inv.Status != lambdasim.StatusSuccess || inv.PlatformStatus != lambdasim.StatusSuccess:
		return fmt.Errorf("status %s, for the platform %s: %s", inv.Status, inv.PlatformStatus, inv.Message)
	case json.Unmarshal(inv.Response, &answer) != nil || answer.OrderID != orderID(inv.Number):
		return fmt.Errorf("the response is not the function's own: %s", inv.Response)
	case inv.Duration > timeout-deadlineMargin+late:
		return fmt.Errorf("took %s, past the bound of %s", inv.Duration, timeout-deadlineMargin)
	}
	return nil
}

// judgeEnvironment wants one environment that ends as it should, and nothing left of it.
func (r *rig) judgeEnvironment(res *result, report lambdasim.Report, pids []int) {
	if len(report.Inits) != 1 || report.Inits[0].Status != lambdasim.StatusSuccess {
		res.breaks("the environment was reset: %+v", report.Inits)
	}
	for _, s := range report.Shutdowns {
		for _, x := range s.Extensions {
			if x.ExitCode != 0 || x.Killed || x.Crashed {
				res.breaks("the guard ended with %s, killed %t, crashed %t", x.Status, x.Killed, x.Crashed)
			}
		}
	}
	if len(report.Shutdowns) != 1 {
		res.breaks("there were %d ends of the processes", len(report.Shutdowns))
	}
	for _, v := range report.Violations {
		// Lambda delivers telemetry to a socket that the guard keeps open and the collector answers on. What is under way
		// when a collector ends is cut off, and nobody could answer it: Lambda sees that, and sends it again. Nor can a
		// delivery be answered by one that hangs, or has no descriptor for the connection.
		if v.Kind == lambdasim.ViolationListenerRefused && r.then != unharmed {
			continue
		}
		res.breaks("violation %s in invocation %d: %s", v.Kind, v.Invocation, v.Detail)
	}
	if left := leftovers(pids, faultyextension.EnvDir+"="+r.dir+"\x00"); len(left) > 0 {
		res.breaks("processes are left: %s", strings.Join(left, ", "))
	}
	if r.outcome() == recovers && len(pids) < 2 {
		res.breaks("the collector was not started again")
	}
	if (r.outcome() == unharmed || r.outcome() == lasting) && len(pids) != 1 {
		res.breaks("the collector was started %d times", len(pids))
	}
}
