// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

// Batch is what one POST of the Telemetry API holds.
type Batch struct {
	// Events are the events in the order Lambda sent them. Their records share the memory of the body.
	Events []Event
	// Malformed is how many elements are left out of Events, because they are not JSON objects or have no type.
	Malformed int
}

// Decode reads a body that Lambda posted. Each element stands for itself: one that is not an event is counted and
// left out, one whose time does not parse has a zero time, and neither costs its neighbours. When the body is broken
// in the middle, the batch has what comes before the break and the error says where it is; the error wraps
// rawjson.ErrNotArray when there is no array at all.
func Decode(body []byte) (Batch, error) {
	var batch Batch
	array, err := rawjson.OpenArray(body)
	if err != nil {
		return batch, fmt.Errorf("decode telemetry batch: %w", err)
	}
	for element, ok := array.Next(); ok; element, ok = array.Next() {
		if event, ok := decodeEvent(element); ok {
			batch.Events = append(batch.Events, event)
		} else {
			batch.Malformed++
		}
	}
	if err := array.Err(); err != nil {
		return batch, fmt.Errorf("decode telemetry batch: %w", err)
	}
	return batch, nil
}

// decodeEvent reads one element. It is false when the element is not a JSON object, or has no type: nothing downstream
// could tell what to do with it.
func decodeEvent(element []byte) (Event, bool) {
	if rawjson.KindOf(element) != rawjson.KindObject || !json.Valid(element) {
		return Event{}, false
	}
	var event Event
	for key, value := range rawjson.Fields(element) {
		switch {
		case rawjson.Is(key, "time"):
			event.Time = decodeTime(value)
		case rawjson.Is(key, "type"):
			event.Type = decodeType(value)
		case rawjson.Is(key, "record"):
			event.Record = nil
			if rawjson.KindOf(value) != rawjson.KindNull {
				event.Record = value
			}
		}
	}
	return event, event.Type != ""
}

// decodeTime reads an RFC 3339 time with any number of digits after the second: Lambda writes milliseconds, emulators
// microseconds.
func decodeTime(value []byte) time.Time {
	s, ok := rawjson.String(value)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// decodeType returns the constants for the common types, which saves an allocation for each log line.
func decodeType(value []byte) EventType {
	switch string(value) {
	case `"function"`:
		return EventFunction
	case `"extension"`:
		return EventExtensionLog
	case `"platform.start"`:
		return EventStart
	case `"platform.runtimeDone"`:
		return EventRuntimeDone
	case `"platform.report"`:
		return EventReport
	}
	s, _ := rawjson.String(value)
	return EventType(s)
}
