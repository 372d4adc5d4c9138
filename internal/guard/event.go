// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"slices"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

// The event types of the AWS Lambda Extensions API.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// event is an answer of Lambda to /event/next: what the guard has to know of it, and the whole of it.
type event struct {
	kind       string
	deadlineMs int64
	response   *http1.Response
}

// parseEvent reads what it can. An event without a type that can be read has an empty kind; one whose deadline cannot be
// read has none.
func parseEvent(r *http1.Response) event {
	e := event{response: r}
	s := scanner{text: r.Body}
	s.object(func(key string) {
		switch key {
		case "eventType":
			e.kind = s.str()
		case "deadlineMs":
			e.deadlineMs = milliseconds(s.number())
		default:
			s.skip(0)
		}
	})
	return e
}

// with returns the event with the guard's own news for the collector.
func (e event) with(c contract.Counters) event {
	text := c.Text()
	if text == "" || e.response == nil {
		return e
	}
	response := *e.response
	response.Header = append(slices.Clip(response.Header),
		http1.Field{Name: contract.HeaderCounters, Value: text})
	e.response = &response
	return e
}

// milliseconds reads a number of them, without a fraction. What has a sign or an exponent or is too large is no deadline.
func milliseconds(number string) int64 {
	whole, _, _ := strings.Cut(number, ".")
	return parseWhole(whole)
}

// maxDigits keeps numbers that are read from overflowing in what is made of them.
const maxDigits = 15

// parseWhole reads a number of at most maxDigits, 0 if it is none. It is strconv.ParseUint without errors that quote what
// could not be read, which is 6 kB of code.
func parseWhole(text string) (number int64) {
	if len(text) > maxDigits {
		return 0
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0
		}
		number = 10*number + int64(text[i]-'0')
	}
	return number
}

// relativeDeadlineMs is where a deadline stops being a point in time: the API reference shows a small number and calls
// it time remaining, but the service sends milliseconds since the epoch.
const relativeDeadlineMs = 1_000_000_000_000

// deadline is when the phase that the event begins must be over, or the zero time if the event does not say.
func (e event) deadline(now time.Time) time.Time {
	switch {
	case e.deadlineMs <= 0:
		return time.Time{}
	case e.deadlineMs < relativeDeadlineMs:
		return now.Add(time.Duration(e.deadlineMs) * time.Millisecond)
	default:
		// Counted from now, so that the result has a monotonic reading and survives a step of the wall clock.
		return now.Add(time.UnixMilli(e.deadlineMs).Sub(now.Round(0)))
	}
}
