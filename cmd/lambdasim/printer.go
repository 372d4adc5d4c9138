// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// onDemand is the initialization type of functions without any settings.
const onDemand = "on-demand"

// printer writes for people. It is also where the lines of the processes go, so that they do not mix with its own.
type printer struct {
	mu      sync.Mutex
	out     io.Writer
	backend *backend // nil when there is none here
}

func newPrinter(out io.Writer, b *backend) *printer { return &printer{out: out, backend: b} }

// Write takes lines of the processes.
func (p *printer) Write(lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(string(lines)) {
		if _, err := fmt.Fprintf(p.out, "    | %s\n", strings.TrimRight(line, "\n")); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}

func (p *printer) line(format string, values ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, format+"\n", values...) // there is nowhere to say that the terminal is gone
}

func (p *printer) arrived() otlpsink.Counts {
	if p.backend == nil {
		return otlpsink.Counts{}
	}
	return p.backend.sink.Counts()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func (p *printer) init(report lambdasim.Report) {
	if len(report.Inits) == 0 {
		return
	}
	init := report.Inits[len(report.Inits)-1]
	p.line("init          %s, %s, freezing by %s", init.Status, ms(init.Duration), report.FreezeMode)
	for _, e := range init.Extensions {
		p.line("              extension %s registered after %s, ready after %s", e.Name, ms(e.Register), ms(e.FirstNext))
	}
}

// restore prints how the snapshot came back to life for an invocation.
func (p *printer) restore(report lambdasim.Report) {
	for _, r := range report.Restores {
		p.line("restore       %s, %s, of which %s are billed, as %s", r.Status, ms(r.Duration), ms(r.Billed), r.InstanceID)
	}
}

func (p *printer) invocation(report lambdasim.Report, number int, before otlpsink.Counts) {
	i := report.Invocations[number-1]
	if i.Restored {
		p.restore(report)
	}
	line := fmt.Sprintf("invocation %-3d %s  function %9s  held after it %9s",
		number, kind(report, i), ms(i.FunctionDuration), ms(i.Held)) + outcome(i)
	if p.backend != nil {
		now := p.arrived()
		line += fmt.Sprintf("  arrived: %d spans, %d points, %d log records",
			now.Spans-before.Spans, now.Points-before.Points, now.LogRecords-before.LogRecords)
	}
	p.line("%s", line)
}

// beside prints one of the invocations that run beside each other, in the order of their ends. What arrived for which of
// them cannot be told.
func (p *printer) beside(report lambdasim.Report, number int) {
	i := report.Invocations[number-1]
	p.line("invocation %-3d %s  %s  began after %10s  function %9s%s", number, kind(report, i), i.RequestID,
		ms(i.Start.Sub(report.Invocations[0].Start)), ms(i.FunctionDuration), outcome(i))
}

// kind says what an invocation found: in modes in which Lambda starts the processes ahead, the first is not cold.
func kind(report lambdasim.Report, i lambdasim.Invocation) string {
	switch {
	case i.Restored:
		return "restored"
	case !i.Cold:
		return "warm"
	case i.Number == 1 && report.InitializationType != onDemand:
		return "first"
	}
	return "cold"
}

// outcome is empty for a success.
func outcome(i lambdasim.Invocation) string {
	if i.Status == lambdasim.StatusSuccess {
		return ""
	}
	return fmt.Sprintf("  %s %s", i.Status, i.ErrorType)
}

// telemetry prints what the backend has.
func (p *printer) telemetry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	sink := p.backend.sink
	for _, part := range []struct {
		title string
		print func() error
	}{
		{"Traces", func() error { return otlpsink.PrintSpans(p.out, sink.Spans()) }},
		{"Metrics", func() error { return otlpsink.PrintPoints(p.out, sink.Points()) }},
		{"Logs", func() error { return otlpsink.PrintLogRecords(p.out, sink.LogRecords()) }},
	} {
		_, _ = fmt.Fprintf(p.out, "\n%s, as the backend got them\n", part.title)
		_ = part.print()
	}
	_, _ = fmt.Fprintln(p.out)
}

func (p *printer) summary(s story) {
	for _, end := range s.Lambda.Shutdowns {
		p.line("shutdown      %s, %s", end.Reason, ms(end.Duration))
		for _, e := range end.Extensions {
			p.line("              extension %s ended after %s with %s", e.Name, ms(e.Duration), e.Status)
		}
	}
	if n := s.Lambda.MetadataRequests; n > 0 {
		p.line("metadata      asked for the availability zone %d times", n)
	}
	for _, v := range s.Lambda.Violations {
		p.line("violation     %s by %s: %s", v.Kind, v.Extension, v.Detail)
	}
	if s.Account == nil {
		p.line("The layer sent to a backend elsewhere, so nothing is known of what arrived.")
		return
	}
	counts := p.arrived()
	var requests []string
	for _, outcome := range []otlpsink.Outcome{
		otlpsink.OutcomeAccepted, otlpsink.OutcomeRefused, otlpsink.OutcomeBroken, otlpsink.OutcomeAckLost,
		otlpsink.OutcomeAbandoned, otlpsink.OutcomeInvalid, otlpsink.OutcomePending,
	} {
		if n := counts.Requests[outcome]; n > 0 {
			requests = append(requests, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	p.line("backend       %d spans, %d metric points, %d log records; requests: %s",
		counts.Spans, counts.Points, counts.LogRecords, strings.Join(requests, ", "))
	p.line("account       %d items taken from the function over OTLP, %d lines from Lambda",
		s.Account.Accepted, s.Account.FunctionLines)
	p.line("arrived twice: %d", s.Account.Duplicated)
	p.line("lost items: %d", s.Account.Lost)
}
