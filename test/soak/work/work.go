// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package work is what the soak asks of its function: the event of one invocation.
package work

// ScopeName is the instrumentation scope of everything that the function sends over OTLP.
const ScopeName = "soak"

// Event is the payload of an invocation. The function does what it says, in the order of the fields.
type Event struct {
	// Number is given back in the answer.
	Number int `json:"number"`
	// Spans, Points and Logs are how many items to send over OTLP, one request for each signal that has any.
	Spans  int `json:"spans,omitempty"`
	Points int `json:"points,omitempty"`
	Logs   int `json:"logs,omitempty"`
	// ItemBytes is the size of a text that each item carries.
	ItemBytes int `json:"item_bytes,omitempty"`
	// Lines are written to standard output, each with LineBytes more than its name.
	Lines     int `json:"lines,omitempty"`
	LineBytes int `json:"line_bytes,omitempty"`
	// SleepMS is how long to work besides, in milliseconds.
	SleepMS int `json:"sleep_ms,omitempty"`
	// End says how the invocation ends.
	End End `json:"end,omitempty"`
}

// End is the end of an invocation.
type End string

// The ends. All data has been sent before.
const (
	// Succeed answers with a Receipt.
	Succeed End = ""
	// Fail reports an error.
	Fail End = "fail"
	// Hang does not end, so that Lambda resets the environment at the function's timeout.
	Hang End = "hang"
	// Crash ends the process, which resets the environment as well.
	Crash End = "crash"
)

// Kills reports whether the environment is reset afterwards.
func (e End) Kills() bool { return e == Hang || e == Crash }

// Receipt is the answer to an Event.
type Receipt struct {
	// Number is that of the event.
	Number int `json:"number"`
}
