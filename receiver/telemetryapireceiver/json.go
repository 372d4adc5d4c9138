// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"bytes"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	// maxDepth bounds how deep values nest. Protobuf decoders give up at a depth of 100, and would give up on the whole
	// request; each level of ours takes three of theirs.
	maxDepth = 24

	// maxFields bounds the keys of one object. Putting a key into a pcommon.Map looks at those already there, which
	// gets slow with the square of their number, in CPU time of the function.
	maxFields = 1000

	// usualNested is how many elements or fields of a value there is room for from the start. There are three of Lambda's
	// spans as a rule, with three fields each.
	usualNested = 3
)

// word returns what a valid JSON string says, as rawjson.String does. What Lambda says in each invocation needs no memory
// of its own.
func word(raw []byte) string {
	switch string(raw) {
	case `"name"`:
		return "name"
	case `"start"`:
		return "start"
	case `"durationMs"`:
		return "durationMs"
	case `"responseLatency"`:
		return "responseLatency"
	case `"responseDuration"`:
		return "responseDuration"
	case `"runtimeOverhead"`:
		return "runtimeOverhead"
	case `"success"`:
		return telemetryapi.StatusSuccess
	case `"$LATEST"`:
		return "$LATEST"
	case `"X-Amzn-Trace-Id"`:
		return "X-Amzn-Trace-Id"
	}
	text, _ := rawjson.String(raw)
	return text
}

// setJSON makes dst what the valid JSON in raw says. What is too deep or too wide stays JSON text.
func setJSON(dst pcommon.Value, raw []byte) { setJSONAt(dst, raw, 0) }

func setJSONAt(dst pcommon.Value, raw []byte, depth int) {
	switch rawjson.KindOf(raw) {
	case rawjson.KindString:
		dst.SetStr(word(raw))
	case rawjson.KindNumber:
		setNumber(dst, string(raw))
	case rawjson.KindBool:
		dst.SetBool(raw[0] == 't')
	case rawjson.KindArray:
		if depth == maxDepth {
			setText(dst, raw)
			return
		}
		slice := dst.SetEmptySlice()
		slice.EnsureCapacity(usualNested)
		for element := range rawjson.Elements(raw) {
			setJSONAt(slice.AppendEmpty(), element, depth+1)
		}
	case rawjson.KindObject:
		if depth == maxDepth {
			setText(dst, raw)
			return
		}
		m, n := dst.SetEmptyMap(), 0
		m.EnsureCapacity(usualNested)
		for key, value := range rawjson.Fields(raw) {
			if n++; n > maxFields {
				setText(dst, raw)
				return
			}
			setJSONAt(m.PutEmpty(word(key)), value, depth+1)
		}
	case rawjson.KindNull, rawjson.KindInvalid:
		// An empty value is OpenTelemetry's null.
	}
}

// setNumber keeps whole numbers whole, and what fits neither type as the text it was: an id is no use when rounded.
func setNumber(dst pcommon.Value, text string) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			dst.SetInt(n)
			return
		}
	} else if f, err := strconv.ParseFloat(text, 64); err == nil {
		dst.SetDouble(f)
		return
	}
	dst.SetStr(text)
}

func setText(dst pcommon.Value, raw []byte) {
	dst.SetStr(strings.ToValidUTF8(string(raw), "\uFFFD"))
}

// field is one of an object. The name has no quotes and escapes any more.
type field struct{ name, value []byte }

// text is the name as valid UTF-8.
func (f field) text() string { return strings.ToValidUTF8(string(f.name), "\uFFFD") }

// appendFields appends the fields of an object, in the order of the text and with duplicates. It is false when they are
// too many; then the first maxFields are there.
func appendFields(fields []field, object []byte) ([]field, bool) {
	for key, value := range rawjson.Fields(object) {
		if len(fields) == maxFields {
			return fields, false
		}
		name := key[1 : len(key)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			text, _ := rawjson.String(key)
			name = []byte(text)
		}
		fields = append(fields, field{name, value})
	}
	return fields, true
}

// jsonObject returns text as JSON if it is an object.
func jsonObject(text string) ([]byte, bool) {
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
			return nil, false
		}
	}
	// Much that looks like an object is none, and the second character often says so.
	if inside := strings.TrimLeft(text[1:], " \t\r\n"); inside[0] != '"' && inside != "}" {
		return nil, false
	}
	raw := []byte(text)
	return raw, rawjson.Object(raw, nil)
}
