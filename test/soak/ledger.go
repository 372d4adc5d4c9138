// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// The accounts, by the pipelines of the collector.
const (
	pipelineTraces  = "traces"
	pipelineMetrics = "metrics"
	pipelineLogs    = "logs"
	// pipelineLambda has what comes by the Telemetry API: the function's lines and the platform's events.
	pipelineLambda = "logs/lambda"
)

func pipelines() []string {
	return []string{pipelineTraces, pipelineMetrics, pipelineLogs, pipelineLambda}
}

// account is what is known of one pipeline in the life of an environment.
type account struct {
	// accepted is what the collector has taken over, by identity: each item is to be delivered or to be reported.
	accepted map[string]int
	// open is what was on its way to the collector when that ended. Nobody knows whether it was taken.
	open map[string]int
	// redelivered is how many items the sender has sent twice, because it had no answer.
	redelivered int
	// arrivals is what the backend took, in any order.
	arrivals map[string][]arrival
	// dropped is what the collector says that it has dropped, by reason.
	dropped map[string]int
}

// arrival is one time that an item arrived.
type arrival struct {
	// request is the number of the backend's request that brought it.
	request int
	// doubt says why the collector may not know that it arrived; empty if it does.
	doubt string
}

func newAccount() *account {
	return &account{
		accepted: map[string]int{}, open: map[string]int{}, arrivals: map[string][]arrival{}, dropped: map[string]int{},
	}
}

// balance is what became of everything in an account.
type balance struct {
	// accepted and delivered count items once, however often they arrived.
	accepted, delivered int
	// dropped is what the collector reported, by reason.
	dropped map[string]int
	// duplicates are the arrivals too many that have an explanation, by that.
	duplicates map[string]int
	// disputed items have arrived and are reported as dropped, because their answer was lost.
	disputed int
	// broken are the rules that do not hold.
	broken []string
}

// redeliveredByLambda explains what came twice by the Telemetry API.
const redeliveredByLambda = "delivered twice by Lambda"

// balance holds the account against the rules:
//
//   - What arrives more than once is explained: the collector does not know of any of its arrivals but the last.
//   - What does not arrive is reported as dropped.
//   - No more is reported than did not arrive, but for items that the collector cannot know to have arrived.
//   - Nothing arrives that was not sent.
func (a *account) balance() balance {
	b := balance{dropped: maps.Clone(a.dropped), duplicates: map[string]int{}}
	var lost, unexpected, twice tally
	unanswered := 0 // items that the collector may report although they arrived
	for id, n := range a.accepted {
		b.accepted += n
		missing := max(0, n-len(a.arrivals[id]))
		b.delivered += n - missing
		lost.add(id, missing)
	}
	for id, arrivals := range a.arrivals {
		expected := a.accepted[id] + a.open[id]
		if expected == 0 {
			unexpected.add(id, len(arrivals))
			continue
		}
		slices.SortFunc(arrivals, func(x, y arrival) int { return cmp.Compare(x.request, y.request) })
		extra := max(0, len(arrivals)-expected)
		for _, x := range arrivals[:extra] {
			if x.doubt == "" {
				twice.add(id, 1)
			} else {
				b.duplicates[x.doubt]++
			}
		}
		for _, x := range arrivals[extra:] {
			if x.doubt != "" {
				unanswered++
			}
		}
	}
	openAbsent := 0 // those may have been taken and dropped
	for id, n := range a.open {
		openAbsent += max(0, n-max(0, len(a.arrivals[id])-a.accepted[id]))
	}
	a.settleRedelivered(&b, &twice, &openAbsent)
	reported := 0
	for _, n := range a.dropped {
		reported += n
	}
	if reported < lost.n {
		b.breaks("%d of %d items are lost without a word, such as %s: %d did not arrive, %d are reported as dropped",
			lost.n-reported, b.accepted, lost.example, lost.n, reported)
	}
	if most := lost.n + unanswered + openAbsent; reported > most {
		b.breaks("%d items are reported as dropped, but no more than %d can have been: %d did not arrive",
			reported, most, lost.n)
	}
	b.disputed = min(unanswered, max(0, reported-lost.n))
	if twice.n > 0 {
		b.breaks("%d items arrived again though their arrival had been acknowledged, such as %s", twice.n, twice.example)
	}
	if unexpected.n > 0 {
		b.breaks("%d items arrived that nobody sent, such as %s", unexpected.n, unexpected.example)
	}
	return b
}

// settleRedelivered charges to the sender what it has sent twice: that arrives twice, or is dropped beside another one
// that arrives.
func (a *account) settleRedelivered(b *balance, twice *tally, openAbsent *int) {
	n := min(a.redelivered, twice.n)
	if n > 0 {
		b.duplicates[redeliveredByLambda] += n
		twice.n -= n
	}
	*openAbsent += a.redelivered - n
}

func (b *balance) breaks(format string, args ...any) {
	b.broken = append(b.broken, fmt.Sprintf(format, args...))
}

// tally counts items and keeps one for an example.
type tally struct {
	n       int
	example string
}

func (t *tally) add(id string, n int) {
	if n == 0 {
		return
	}
	t.n += n
	// Any would do; the first by name is the same one each time.
	if t.example == "" || id < t.example {
		t.example = id
	}
}

// cut is a time in which the answers to requests may have got lost.
type cut struct {
	from, to time.Time
	// shutdown is the end of processes, where what hangs is cancelled; otherwise connections were closed under requests.
	shutdown bool
}

// The reasons for doubt.
const (
	doubtAnswer   = "the answer was lost"
	doubtShutdown = "cancelled at SHUTDOWN"
	doubtCut      = "the connection was closed under it"
)

const (
	// promptly is how long a request takes that neither hangs nor is slow. At SHUTDOWN, one that was answered so soon
	// has not been cancelled.
	promptly = 15 * time.Millisecond
	// onItsWay is for how long an answer can be caught between the backend and its connection.
	onItsWay = 50 * time.Millisecond
)

// doubt says why the collector may not know that a request was accepted; empty if it does.
func doubt(r otlpsink.Request, cuts []cut) string {
	if r.Outcome == otlpsink.OutcomeAckLost {
		return doubtAnswer
	}
	for _, c := range cuts {
		answered := r.Ended.Add(onItsWay)
		if r.Started.After(c.to) || answered.Before(c.from) {
			continue
		}
		switch {
		case !c.shutdown:
			return doubtCut
		case !r.Ended.Before(c.from) && r.Ended.Sub(r.Started) >= promptly:
			return doubtShutdown
		}
	}
	return ""
}

// handOver divides events, which are in the order in which they happened, by what Lambda has delivered of them: those
// that the collector has acknowledged, and those that were still to be delivered when it ended.
func (a *account) handOver(events map[telemetryapi.EventType][]string, deliveries []lambdasim.TelemetryReport) error {
	var errs []error
	left := maps.Clone(events)
	for _, d := range deliveries {
		for eventType, c := range d.Events {
			ids := left[eventType]
			if eventType == telemetryapi.EventReport {
				continue // the collector makes no record of it
			}
			if c.Dropped > 0 || c.Generated > len(ids) {
				errs = append(errs, fmt.Errorf("of %d events %s, start %d of the processes: Lambda has %d and dropped %d",
					len(ids), eventType, d.Generation, c.Generated, c.Dropped))
				continue
			}
			for i, id := range ids[:c.Generated] {
				if i < c.Delivered {
					a.accepted[id]++
				} else {
					a.open[id]++
				}
			}
			left[eventType] = ids[c.Generated:]
			a.redelivered += c.Retried
		}
	}
	for _, eventType := range slices.Sorted(maps.Keys(left)) {
		if n := len(left[eventType]); n > 0 {
			errs = append(errs, fmt.Errorf("nobody has subscribed to %d events %s", n, eventType))
		}
	}
	return errors.Join(errs...)
}

// drop is a line of the collector's log about items that are dropped.
type drop struct {
	pipeline, signal, reason string
	count                    int
}

// notTaken is the reason for lines that the pipeline did not take from the receiver.
const notTaken = "refused by the pipeline"

// readDrops finds what collectors say that they have dropped.
func readDrops(log string) (drops []drop) {
	for line := range strings.Lines(log) {
		_, object, _ := strings.Cut(line, "] ")
		var said struct {
			Message  string `json:"msg"`
			Pipeline string `json:"otelcol.pipeline.id"`
			Signal   string `json:"otelcol.signal"`
			Reason   string `json:"reason"`
			Count    int    `json:"count"`
			Records  int    `json:"dropped_log_records"`
		}
		if json.Unmarshal([]byte(object), &said) != nil {
			continue
		}
		switch said.Message {
		case "Data was dropped":
			if said.Pipeline == "" {
				said.Pipeline = pipelineLambda // the lambda extension says what it lost before a pipeline had it
			}
			drops = append(drops, drop{said.Pipeline, said.Signal, said.Reason, said.Count})
		case "Dropped log records that the pipeline did not take.",
			"More log records were dropped that the pipeline did not take.":
			drops = append(drops, drop{pipelineLambda, "logs", notTaken, said.Records})
		}
	}
	return drops
}

// series is one of those of the metric `otelcol_lambda.dropped_items`.
type series struct{ signal, reason string }

// judgeMetric wants no more in the metric than the log tells. It may be less: what is dropped last is in the log only.
func judgeMetric(told map[series]int, drops []drop) error {
	logged := map[series]int{}
	for _, d := range drops {
		logged[series{d.signal, d.reason}] += d.count
	}
	for s, n := range told {
		if n > logged[s] {
			return fmt.Errorf("the metric has %d dropped items of %s for the reason %q, the log has %d",
				n, s.signal, s.reason, logged[s])
		}
	}
	return nil
}
