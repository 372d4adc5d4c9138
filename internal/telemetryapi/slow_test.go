// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// platformEvents are the event types that have a record.
func platformEvents() []EventType {
	return []EventType{
		EventInitStart, EventInitRuntimeDone, EventInitReport, EventStart, EventRuntimeDone, EventReport, EventRestoreStart,
		EventRestoreRuntimeDone, EventRestoreReport, EventExtension, EventTelemetrySubscription, EventLogsDropped,
	}
}

// slowDecode is Decode in terms of encoding/json, for a body that is a valid array.
func slowDecode(tb testing.TB, body []byte) Batch {
	tb.Helper()
	var elements []json.RawMessage
	require.NoError(tb, json.Unmarshal(body, &elements))
	var batch Batch
	for _, element := range elements {
		var object map[string]json.RawMessage
		var event Event
		if json.Unmarshal(element, &object) == nil && object != nil {
			slowValue(object["time"], &event.Time)
			slowValue(object["type"], (*string)(&event.Type))
		}
		if event.Type == "" {
			batch.Malformed++
			continue
		}
		event.Time = event.Time.UTC()
		if record := object["record"]; string(record) != "null" {
			event.Record = record
		}
		if newRecord(event.Type) == nil && event.Type != EventFunction && event.Type != EventExtensionLog {
			batch.Unknown++
		}
		batch.Events = append(batch.Events, event)
	}
	return batch
}

// slowRecord is Decode of the record types in terms of encoding/json and the names in their tags.
func slowRecord(tb testing.TB, event Event) Decoder {
	tb.Helper()
	record := newRecord(event.Type)
	require.NotNil(tb, record)
	slowField(event.Record, reflect.ValueOf(record).Elem(), "")
	return record
}

// slowValue leaves zero what does not fit.
func slowValue[T any](raw json.RawMessage, value *T) {
	if json.Unmarshal(raw, value) != nil {
		*value = *new(T)
	}
}

func slowField(raw json.RawMessage, value reflect.Value, name string) {
	text := strings.TrimSpace(string(raw))
	switch target := value.Addr().Interface().(type) {
	case *time.Time:
		slowValue(raw, target)
		return
	case *Optional:
		if name == "instanceMaxMemory" && strings.HasPrefix(text, `"`) {
			raw = json.RawMessage(strings.Trim(text, `"`))
		}
		var number *float64
		slowValue(raw, &number)
		if number != nil {
			*target = Optional{Value: *number, Set: true}
		}
		return
	}
	switch value.Kind() {
	case reflect.String:
		var s string
		slowValue(raw, &s)
		value.SetString(s)
	case reflect.Float64:
		var f float64
		slowValue(raw, &f)
		value.SetFloat(f)
	case reflect.Pointer:
		if strings.HasPrefix(text, "{") {
			value.Set(reflect.New(value.Type().Elem()))
			slowField(raw, value.Elem(), "")
		}
	case reflect.Struct:
		var object map[string]json.RawMessage
		slowValue(raw, &object)
		for i := range value.NumField() {
			tag := value.Type().Field(i).Tag.Get("json")
			slowField(object[tag], value.Field(i), tag)
		}
	case reflect.Slice:
		var elements []json.RawMessage
		slowValue(raw, &elements)
		first := map[reflect.Kind]byte{reflect.Struct: '{', reflect.String: '"'}[value.Type().Elem().Kind()]
		for _, element := range elements {
			// What is of another type is left out.
			if element[0] == first {
				value.Set(reflect.Append(value, reflect.Zero(value.Type().Elem())))
				slowField(element, value.Index(value.Len()-1), "")
			}
		}
	}
}
