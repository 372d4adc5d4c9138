// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"bytes"
	"encoding/hex"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/invocationspans"
)

// hint tells which trace a line of the function names, as long as it matters: should the function be killed, its SDK may not
// come to send a span.
func (r *telemetryReceiver) hint(event telemetryapi.Event) {
	if r.mapper.concurrent {
		return
	}
	r.seen.before(event)
	defer r.seen.after(event)
	if event.Type != telemetryapi.EventFunction || r.seen.requestID == "" {
		return
	}
	if _, known := r.spans.Context(r.seen.requestID); known != invocationspans.Wait {
		return
	}
	if trace, ok := namedTrace(event.Record); ok {
		r.spans.Hint(r.seen.requestID, trace)
	}
}

// namedTrace finds a trace id under one of its usual names in a line, JSON or not, without reading the line any further.
func namedTrace(line []byte) (trace pcommon.TraceID, ok bool) {
	const (
		between = 8 // quotes, a colon or an equals sign, space
		digits  = 2 * len(trace)
	)
	for _, name := range []string{"trace_id", "traceId"} {
		i := bytes.Index(line, []byte(name))
		if i < 0 {
			continue
		}
		rest := line[i+len(name):]
		first := bytes.IndexFunc(rest[:min(between, len(rest))], isHexDigit)
		if first < 0 || len(rest) < first+digits {
			continue
		}
		if _, err := hex.Decode(trace[:], rest[first:first+digits]); err == nil && !trace.IsEmpty() &&
			(len(rest) == first+digits || !isHexDigit(rune(rest[first+digits]))) {
			return trace, true
		}
	}
	return pcommon.TraceID{}, false
}

func isHexDigit(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F'
}
