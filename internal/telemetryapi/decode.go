// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"fmt"
	"slices"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
)

// Batch is what one POST of the Telemetry API holds.
type Batch struct {
	// Events are the events in the order Lambda sent them. Their records share the memory of the body.
	Events []Event
	// Malformed is how many elements are left out of Events, because they are not JSON objects or have no type.
	Malformed int
	// Unknown is how many of Events have a type that this package does not know.
	Unknown int
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
	batch.Events = makeEvents(len(body))
	var event Event
	field := func(name, value []byte) { event.decodeField(name, value) }
	for valid, ok := array.NextObject(field); ok; valid, ok = array.NextObject(field) {
		if valid && event.Type != "" {
			batch.add(event)
		} else {
			batch.Malformed++
		}
		event = Event{}
	}
	if err := array.Err(); err != nil {
		return batch, fmt.Errorf("decode telemetry batch: %w", err)
	}
	return batch, nil
}

// makeEvents returns a slice with room for about as many events as a body of the given length may have: short lines
// take 100 bytes each, wrapped as they are. Deliveries have no more than the items that were subscribed for.
func makeEvents(length int) []Event {
	const shortEvent = 128
	return make([]Event, 0, min(length/shortEvent+1, minBufferItems))
}

func (b *Batch) add(event Event) {
	b.Events = append(b.Events, event)
	if !event.Type.Known() {
		b.Unknown++
	}
}

func (e *Event) decodeField(name, value []byte) {
	switch string(name) {
	case "time":
		e.Time = decodeTime(value)
	case "type":
		e.Type = decodeType(value)
	case "record":
		e.Record = nil
		if rawjson.KindOf(value) != rawjson.KindNull {
			// Whoever appends to it is not to write to the rest of the body.
			e.Record = slices.Clip(value)
		}
	}
}

// decodeTime reads an RFC 3339 time with any number of digits after the second: Lambda writes milliseconds, emulators
// microseconds.
func decodeTime(value []byte) time.Time {
	var t time.Time
	if err := t.UnmarshalJSON(value); err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// decodeType returns the constants for the known types, which saves an allocation for each event.
func decodeType(value []byte) EventType {
	if rawjson.KindOf(value) != rawjson.KindString {
		return ""
	}
	if known := knownType(string(value[1 : len(value)-1])); known != "" {
		return known
	}
	s, _ := rawjson.String(value)
	return EventType(s)
}
