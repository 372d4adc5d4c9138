// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"
)

// recovery is the time from which on everything has to arrive.
func (r *rig) recovery() (since time.Time, ok bool) {
	switch r.outcome() {
	case unharmed, lasting:
		return time.Time{}, true
	case over:
		return time.Time{}, false
	}
	entries := r.trace()
	pids := collectors(entries)
	if len(pids) < 2 {
		return time.Time{}, false
	}
	running, ok := first(entries, faultyextension.Running, pids[len(pids)-1])
	return running.Time, ok
}

// begunSince are the invocations that began at a time or later.
func begunSince(all []lambdasim.Invocation, since time.Time) (after []lambdasim.Invocation) {
	for _, inv := range all {
		if !inv.Start.Before(since) {
			after = append(after, inv)
		}
	}
	return after
}

// judgeTelemetry wants what was accepted after the recovery exactly once.
func (r *rig) judgeTelemetry(res *result, report lambdasim.Report) {
	since, ok := r.recovery()
	after := begunSince(report.Invocations, since)
	switch {
	case r.outcome() == over:
		return
	case !ok:
		res.breaks("the collector did not come back")
		return
	case len(after) < recovered:
		res.breaks("only %d invocations after the recovery", len(after))
		return
	}
	sent, arrived := map[string]int{}, r.sink.Identities()
	if r.takesOTLP() {
		// What was accepted a little earlier may be of the invocation before.
		sent = r.acceptedOTLP(res, after[0].Start, len(after))
	}
	r.countLines(res, report, after, sent, arrived)
	for id := range arrived {
		if sent[id] == 0 {
			delete(arrived, id)
		}
	}
	ledger := lambdasim.Account(sent, arrived)
	for _, n := range sent {
		res.sent += n
	}
	res.arrived = res.sent - len(ledger.Lost)
	if n := len(ledger.Duplicated); n > 0 {
		res.breaks("%d items arrived more than once, such as %s", n, ledger.Duplicated[0])
	}
	// A collector that cannot open a connection cannot deliver, but it can say so.
	told := 0
	if r.outcome() == lasting {
		told = droppedItems(r.log.String())
	}
	if n := len(ledger.Lost); n > told {
		res.breaks("%d of %d items were lost, such as %s; the log tells of %d", n, res.sent, ledger.Lost[0], told)
	}
}

// acceptedOTLP is what the collector accepted over OTLP, by identity.
func (r *rig) acceptedOTLP(res *result, since time.Time, invocations int) map[string]int {
	must := r.outcome() != lasting
	for _, req := range r.tap.Requests() {
		if must && req.Started.After(since) && req.Outcome != otlpsink.OutcomeAccepted {
			res.breaks("a request for %s was not accepted: %s %d %s", req.Signal, req.Outcome, req.Status, req.Err)
		}
	}
	accepted, total := map[string]int{}, 0
	add := func(i otlpsink.Item) {
		if i.Arrived.After(since) {
			accepted[i.ID]++
			total++
		}
	}
	for _, s := range r.tap.Spans() {
		add(s.Item)
	}
	for _, p := range r.tap.Points() {
		add(p.Item)
	}
	for _, l := range r.tap.LogRecords() {
		add(l.Item)
	}
	if want := invocations * itemsOfInvocation; must && total < want {
		res.breaks("the function sent %d items, and %d were accepted", want, total)
	}
	return accepted
}

// countLines adds the function's lines, which come through the Telemetry API, to what was sent and what arrived.
func (r *rig) countLines(
	res *result, report lambdasim.Report, after []lambdasim.Invocation, sent, arrived map[string]int,
) {
	lines := r.arrivedLines()
	switch {
	case r.outcome() == lasting:
		// Those that it could not take are Lambda's to keep or to drop.
		for _, t := range report.Telemetry {
			sent["lines"] += len(t.Function)
		}
		for _, n := range lines {
			arrived["lines"] += n
		}
	case r.takesLines():
		for _, inv := range after {
			n := r.writtenLines(inv.RequestID)
			if n < linesOfInvocation {
				res.breaks("invocation %d wrote %d lines", inv.Number, n)
			}
			id := "lines of invocation " + strconv.Itoa(inv.Number)
			sent[id], arrived[id] = n, lines[inv.RequestID]
		}
	}
}

// writtenLines is how many lines the function wrote in an invocation.
func (r *rig) writtenLines(requestID string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[requestID]
}

// arrivedLines counts the function's lines that arrived as log records, by request id.
func (r *rig) arrivedLines() map[string]int {
	counts := map[string]int{}
	for _, rec := range r.sink.LogRecords() {
		eventType, _ := rec.Attributes().Get("type")
		requestID, ok := rec.Attributes().Get("faas.invocation_id")
		if ok && eventType.Str() == "function" {
			counts[requestID.Str()]++
		}
	}
	return counts
}

// droppedItems adds up what collectors say in their log that they have dropped.
func droppedItems(log string) (items int) {
	for line := range strings.Lines(log) {
		_, object, _ := strings.Cut(line, "] ")
		var said struct {
			Message string `json:"msg"`
			Count   int    `json:"count"`
		}
		if json.Unmarshal([]byte(object), &said) == nil && said.Message == "Data was dropped" {
			items += said.Count
		}
	}
	return items
}
