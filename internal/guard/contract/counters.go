// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"strconv"
	"strings"
	"time"
)

// HeaderCounters is the header of an answer to /event/next in which the guard tells what has happened so far. It is there
// once something has.
const HeaderCounters = "Otelcol-Lambda-Guard"

// Counters are what the guard has seen in this environment. They never decrease.
type Counters struct {
	// Since is when the guard began to count.
	Since time.Time
	// Deaths are ends of the program that nobody asked for, Kills those that the guard has brought about because the
	// program hung, and Restarts the starts that followed.
	Deaths, Kills, Restarts int64
	// InitOverruns and InvokeOverruns are how often the program held Init or an invocation up to its bound.
	InitOverruns, InvokeOverruns int64
	// Skipped are the invocations that the program was not told of, because it was not there or not waiting.
	Skipped int64
}

// numbers are the counters by the names they have in the header.
func (c *Counters) numbers() []struct {
	name  string
	value *int64
} {
	return []struct {
		name  string
		value *int64
	}{
		{"deaths", &c.Deaths},
		{"kills", &c.Kills},
		{"restarts", &c.Restarts},
		{"init_overruns", &c.InitOverruns},
		{"invoke_overruns", &c.InvokeOverruns},
		{"skipped", &c.Skipped},
	}
}

// Text is the value of the header, empty when nothing has happened.
func (c Counters) Text() string {
	text := []byte("since=")
	text = strconv.AppendInt(text, c.Since.UnixMilli(), 10)
	happened := false
	for _, n := range c.numbers() {
		if *n.value > 0 {
			happened = true
			text = append(append(append(text, ' '), n.name...), '=')
			text = strconv.AppendInt(text, *n.value, 10)
		}
	}
	if !happened {
		return ""
	}
	return string(text)
}

// ParseCounters reads what Text has written. What it does not understand it leaves out.
func ParseCounters(text string) Counters {
	var c Counters
	for field := range strings.FieldsSeq(text) {
		name, digits, _ := strings.Cut(field, "=")
		value, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || value < 0 {
			continue
		}
		if name == "since" {
			c.Since = time.UnixMilli(value)
		}
		for _, n := range c.numbers() {
			if n.name == name {
				*n.value = value
			}
		}
	}
	return c
}
