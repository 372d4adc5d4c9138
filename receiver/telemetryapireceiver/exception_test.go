// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestCutStackTrace(t *testing.T) {
	tests := []struct {
		name, text, before, kind, message, stack string
	}{
		{
			name: "behind a sentence", text: "order 7: failed TypeError: no id\n    at f (a.js:1:2)", before: "order 7: failed",
			kind: "TypeError", message: "no id", stack: "TypeError: no id\n    at f (a.js:1:2)",
		},
		{
			name: "on lines of its own", text: "first\nsecond\na.b.CException\r\n\tat f(A.java:1)\n", before: "first\nsecond",
			kind: "a.b.CException", stack: "a.b.CException\r\n\tat f(A.java:1)",
		},
		{
			name: "all there is", text: "Error: no id\n    at f (a.js:1:2)", before: "Error: no id",
			kind: "Error", message: "no id", stack: "Error: no id\n    at f (a.js:1:2)",
		},
		{
			name: "one line to the eye", text: "Error: no id\r    at f (a.js:1:2)", before: "Error: no id",
			kind: "Error", message: "no id", stack: "Error: no id\n    at f (a.js:1:2)",
		},
		{
			name: "Python's logger",
			text: "failed\nTraceback (most recent call last):\n  File \"a.py\"\na.b.Timeout: no id", before: "failed",
			kind: "a.b.Timeout", message: "no id",
			stack: "Traceback (most recent call last):\n  File \"a.py\"\na.b.Timeout: no id",
		},
		{
			name: "Python's runtime", text: "[ERROR] KeyError: 'id'\nTraceback (most recent call last):\n\u00a0 File \"a.py\"",
			before: "[ERROR] KeyError: 'id'", kind: "KeyError", message: "'id'",
			stack: "Traceback (most recent call last):\n  File \"a.py\"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			require.Equal(t, tt.before, cutStackTrace(record, tt.text))
			want := map[string]any{"exception.type": tt.kind, "exception.stacktrace": tt.stack}
			if tt.message != "" {
				want["exception.message"] = tt.message
			}
			require.Equal(t, want, record.Attributes().AsRaw())

			// Another exception that is there already stays.
			record = plog.NewLogRecord()
			record.Attributes().PutStr(attrExceptionType, "Other")
			record.Attributes().PutStr(attrExceptionStacktrace, "other")
			require.Equal(t, tt.text, cutStackTrace(record, tt.text))
			record.Attributes().PutStr(attrExceptionStacktrace, tt.stack)
			require.Equal(t, tt.before, cutStackTrace(record, tt.text), "the same one is not kept twice")
		})
	}
}

func TestCutStackTraceIsStrict(t *testing.T) {
	for _, text := range []string{
		"", "\n", "one line", "two\nlines", "meet me\n  at the bar", "    at the beginning\nof a text",
		"Error: x\nat no indentation",
		"Error: x\n    attention", "no error here\n    at f (a.js:1:2)", "Error without a colon\n    at f (a.js:1:2)",
		"Traceback (most recent call last):\n  File \"a.py\"\nthis is no name",
		"[ERROR] \nTraceback (most recent call last):",
	} {
		record := plog.NewLogRecord()
		require.Equal(t, text, cutStackTrace(record, text))
		require.Zero(t, record.Attributes().Len(), text)
	}
}

func TestErrorObjects(t *testing.T) {
	const frames = `[{"path":"a.go","line":7,"label":"main"},{"path":"b.go"},"text\n",1]`
	tests := []struct {
		name, record string
		want         map[string]any
		body         string
	}{
		{
			name: "frames of Go", record: `{"errorType":"E","errorMessage":"m","stackTrace":` + frames + `}`, body: "E: m",
			want: map[string]any{
				"exception.type": "E", "exception.message": "m",
				"exception.stacktrace": "main\n\ta.go:7\n{\"path\":\"b.go\"}\ntext\n1",
			},
		},
		{
			name:   "of another form",
			record: `{"message":"m","errorType":7,"errorMessage":["a"],"stackTrace":{"a":1},"err":{"message":"x"}}`,
			body:   "m",
			want: map[string]any{
				"errorType": int64(7), "errorMessage": []any{"a"}, "stackTrace": map[string]any{"a": int64(1)},
				"err": map[string]any{"message": "x"},
			},
		},
		{
			name:   "two of them",
			record: `{"message":"m","errorType":"E","err":{"type":"F","message":"f","stack":"s"}}`, body: "m",
			want: map[string]any{
				"exception.type": "E", "err": map[string]any{"type": "F", "message": "f", "stack": "s"},
			},
		},
		{
			name: "a message only", record: `{"errorMessage":"m"}`, body: "m", want: map[string]any{"exception.message": "m"},
		},
		{
			name:   "with a name next to the type",
			record: `{"msg":"m","error":{"name":"N","type":"T","message":"x","stack":"s"}}`, body: "m",
			want: map[string]any{
				"exception.type": "T", "exception.message": "x", "exception.stacktrace": "s", "error": map[string]any{"name": "N"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			fillObject(record, []byte(tt.record), 0)
			require.Equal(t, tt.want, record.Attributes().AsRaw())
			require.Equal(t, tt.body, record.Body().AsString())
		})
	}
}
