// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// came is an arrival that the collector knows of, lost one that it may not know of.
func came(request int) arrival { return arrival{request: request} }
func lost(request int) arrival { return arrival{request: request, doubt: doubtAnswer} }

func TestBalance(t *testing.T) {
	t.Parallel()
	one := map[string]int{"a": 1}
	for name, test := range map[string]struct {
		account account
		want    balance
	}{
		"nothing": {},
		"delivered": {
			account: account{accepted: one, arrivals: map[string][]arrival{"a": {came(1)}}},
			want:    balance{accepted: 1, delivered: 1},
		},
		"dropped": {
			account: account{accepted: map[string]int{"a": 1, "b": 2}, dropped: map[string]int{"x": 1, "y": 2}},
			want:    balance{accepted: 3},
		},
		"lost without a word": {
			account: account{
				accepted: map[string]int{"c": 1, "b": 1, "a": 1}, dropped: map[string]int{"x": 1},
				arrivals: map[string][]arrival{"a": {came(1)}},
			},
			want: balance{accepted: 3, delivered: 1, broken: []string{
				"1 of 3 items are lost without a word, such as b: 2 did not arrive, 1 are reported as dropped",
			}},
		},
		"reported and delivered": {
			account: account{
				accepted: one, dropped: map[string]int{"x": 1}, arrivals: map[string][]arrival{"a": {came(1)}},
			},
			want: balance{accepted: 1, delivered: 1, broken: []string{
				"1 items are reported as dropped, but no more than 0 can have been: 0 did not arrive",
			}},
		},
		"reported, and delivered without an answer": {
			account: account{
				accepted: one, dropped: map[string]int{"x": 1}, arrivals: map[string][]arrival{"a": {lost(1)}},
			},
			want: balance{accepted: 1, delivered: 1, disputed: 1},
		},
		"twice, after the answer was lost": {
			account: account{accepted: one, arrivals: map[string][]arrival{"a": {came(5), lost(2), lost(3)}}},
			want:    balance{accepted: 1, delivered: 1, duplicates: map[string]int{doubtAnswer: 2}},
		},
		"twice, after an answer": {
			account: account{accepted: one, arrivals: map[string][]arrival{"a": {lost(2), came(1)}}},
			want: balance{accepted: 1, delivered: 1, broken: []string{
				"1 items arrived again though their arrival had been acknowledged, such as a",
			}},
		},
		"twice in one request": {
			account: account{accepted: one, arrivals: map[string][]arrival{"a": {came(1), came(1)}}},
			want: balance{accepted: 1, delivered: 1, broken: []string{
				"1 items arrived again though their arrival had been acknowledged, such as a",
			}},
		},
		"two of one kind": {
			account: account{accepted: map[string]int{"a": 2}, arrivals: map[string][]arrival{"a": {came(1), came(1)}}},
			want:    balance{accepted: 2, delivered: 2},
		},
		"sent by nobody": {
			account: account{arrivals: map[string][]arrival{"a": {came(1)}}},
			want:    balance{broken: []string{"1 items arrived that nobody sent, such as a"}},
		},
		"on its way at the end: delivered": {
			account: account{open: one, arrivals: map[string][]arrival{"a": {came(1)}}},
		},
		"on its way at the end: dropped": {
			account: account{open: one, dropped: map[string]int{"x": 1}},
		},
		"on its way at the end: not taken": {account: account{open: one}},
		"on its way at the end does not excuse a loss": {
			account: account{accepted: one, open: map[string]int{"b": 1}, arrivals: map[string][]arrival{"b": {came(1)}}},
			want: balance{accepted: 1, broken: []string{
				"1 of 1 items are lost without a word, such as a: 1 did not arrive, 0 are reported as dropped",
			}},
		},
		"delivered twice by Lambda": {
			account: account{accepted: one, redelivered: 1, arrivals: map[string][]arrival{"a": {came(1), came(2)}}},
			want:    balance{accepted: 1, delivered: 1, duplicates: map[string]int{redeliveredByLambda: 1}},
		},
		"delivered twice by Lambda, three times by us": {
			account: account{
				accepted: one, redelivered: 1, arrivals: map[string][]arrival{"a": {came(1), came(2), came(3)}},
			},
			want: balance{
				accepted: 1, delivered: 1, duplicates: map[string]int{redeliveredByLambda: 1},
				broken: []string{"1 items arrived again though their arrival had been acknowledged, such as a"},
			},
		},
		"delivered twice by Lambda, dropped once": {
			account: account{
				accepted: one, redelivered: 1, dropped: map[string]int{"x": 1},
				arrivals: map[string][]arrival{"a": {came(1)}},
			},
			want: balance{accepted: 1, delivered: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.dropped = test.account.dropped
			if test.want.duplicates == nil {
				test.want.duplicates = map[string]int{}
			}
			require.Equal(t, test.want, test.account.balance())
		})
	}
}

func TestDoubt(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(ms) * time.Millisecond) }
	shutdown := []cut{{from: at(1000), to: at(2000), shutdown: true}}
	closed := []cut{{from: at(1000), to: at(1001)}}
	for name, test := range map[string]struct {
		outcome      otlpsink.Outcome
		started, end int
		cuts         []cut
		want         string
	}{
		"well":                         {started: 0, end: 10},
		"answer lost":                  {outcome: otlpsink.OutcomeAckLost, want: doubtAnswer},
		"slow, before SHUTDOWN":        {started: 500, end: 999, cuts: shutdown},
		"slow, into SHUTDOWN":          {started: 500, end: 1500, cuts: shutdown, want: doubtShutdown},
		"slow, in SHUTDOWN":            {started: 1100, end: 1500, cuts: shutdown, want: doubtShutdown},
		"at once, in SHUTDOWN":         {started: 1100, end: 1101, cuts: shutdown},
		"slow, after SHUTDOWN":         {started: 2001, end: 2900, cuts: shutdown},
		"before connections closed":    {started: 500, end: 900, cuts: closed},
		"answered as they were closed": {started: 500, end: 980, cuts: closed, want: doubtCut},
		"at once as they were closed":  {started: 1000, end: 1001, cuts: closed, want: doubtCut},
		"after connections closed":     {started: 1002, end: 1003, cuts: closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.outcome == "" {
				test.outcome = otlpsink.OutcomeAccepted
			}
			r := otlpsink.Request{Outcome: test.outcome, Started: at(test.started), Ended: at(test.end)}
			require.Equal(t, test.want, doubt(r, test.cuts))
		})
	}
}

func TestReadDrops(t *testing.T) {
	t.Parallel()
	const log = `[extension otelcol-lambda] {"msg":"Data was dropped","otelcol.pipeline.id":"traces","otelcol.signal":"traces","items":"spans","count":8,"reason":"refused by the backend"}
[extension otelcol-lambda] {"msg":"The backend refused data for good; it is dropped","otelcol.pipeline.id":"traces","count":8}
[extension otelcol-lambda] {"msg":"Dropped log records that the pipeline did not take.","dropped_log_records":3}
[extension otelcol-lambda] {"msg":"More log records were dropped that the pipeline did not take.","dropped_log_records":2,"dropped_log_records_in_total":5}
[extension otelcol-lambda] {"msg":"Data was dropped","otelcol.signal":"logs","items":"log records","count":4,"reason":"not passed on before shutdown"}
[extension otelcol-lambda] panic: no JSON
`
	require.Equal(t, []drop{
		{pipeline: "traces", signal: "traces", reason: "refused by the backend", count: 8},
		{pipeline: pipelineLambda, signal: "logs", reason: notTaken, count: 3},
		{pipeline: pipelineLambda, signal: "logs", reason: notTaken, count: 2},
		{pipeline: pipelineLambda, signal: "logs", reason: "not passed on before shutdown", count: 4},
	}, readDrops(log))
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	const line, start, report = telemetryapi.EventFunction, telemetryapi.EventStart, telemetryapi.EventReport
	type counts = map[telemetryapi.EventType]lambdasim.Counts
	events := map[telemetryapi.EventType][]string{line: {"a", "b", "b", "c", "d"}, start: {"x", "y"}}

	a := newAccount()
	require.NoError(t, a.handOver(events, []lambdasim.TelemetryReport{
		{Generation: 1, Events: counts{
			line: {Generated: 3, Delivered: 2, Pending: 1, Retried: 2}, start: {Generated: 1, Delivered: 1},
			report: {Generated: 1, Delivered: 1},
		}},
		{Generation: 2, Events: counts{line: {Generated: 2, Delivered: 2}, start: {Generated: 1, Pending: 1}}},
	}))
	require.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "x": 1}, a.accepted)
	require.Equal(t, map[string]int{"b": 1, "y": 1}, a.open)
	require.Equal(t, 2, a.redelivered)
	require.Equal(t, []string{"a", "b", "b", "c", "d"}, events[line], "the events are left alone")

	// What Lambda gave up, what it knows of and we do not, and what nobody was told.
	require.EqualError(t, newAccount().handOver(events, []lambdasim.TelemetryReport{
		{Generation: 1, Events: counts{line: {Generated: 5, Delivered: 4, Dropped: 1}}},
	}), "of 5 events function, start 1 of the processes: Lambda has 5 and dropped 1\n"+
		"nobody has subscribed to 5 events function\nnobody has subscribed to 2 events platform.start")
	require.ErrorContains(t, newAccount().handOver(events, []lambdasim.TelemetryReport{
		{Generation: 1, Events: counts{start: {Generated: 3, Delivered: 3}}},
	}), "of 2 events platform.start, start 1 of the processes: Lambda has 3 and dropped 0")
}

func TestJudgeMetric(t *testing.T) {
	t.Parallel()
	drops := []drop{
		{pipeline: pipelineLogs, signal: "logs", reason: "x", count: 2},
		{pipeline: pipelineLambda, signal: "logs", reason: "x", count: 1},
	}
	require.NoError(t, judgeMetric(nil, drops))
	require.NoError(t, judgeMetric(map[series]int{{"logs", "x"}: 3}, drops))
	require.EqualError(t, judgeMetric(map[series]int{{"logs", "x"}: 4}, drops),
		`the metric has 4 dropped items of logs for the reason "x", the log has 3`)
	require.Error(t, judgeMetric(map[series]int{{"traces", "x"}: 1}, drops))
}
