// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseHeader(t *testing.T) {
	const id = "79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"
	at := func(fraction time.Duration) time.Time {
		return time.Date(2026, time.October, 8, 7, 30, 29, int(fraction), time.UTC)
	}
	tests := []struct {
		text string
		want header
	}{
		{
			text: "2026-10-08T07:30:29.443Z\t" + id + "\tERROR\tfailed\twith tabs",
			want: header{level: "ERROR", time: at(443 * time.Millisecond), requestID: id, message: "failed\twith tabs"},
		},
		{
			text: "2026-10-08T07:30:29.443Z\tundefined\tINFO\t",
			want: header{level: "INFO", time: at(443 * time.Millisecond)},
		},
		{
			text: "2026-10-08T07:30:29.443Z\t\tcrit\tfrom .NET",
			want: header{level: "crit", time: at(443 * time.Millisecond), message: "from .NET"},
		},
		{
			text: "[WARNING]\t2026-10-08T07:30:29.5Z\t" + id + "\tfailed",
			want: header{level: "WARNING", time: at(5 * time.Millisecond), requestID: id, message: "failed"},
		},
		{
			text: "2026-10-08 07:30:29 " + id + " INFO  App - message",
			want: header{level: "INFO", time: at(0), requestID: id, message: "App - message"},
		},
		{
			text: "2026-10-08 07:30:29,443 ERROR message",
			want: header{level: "ERROR", time: at(443 * time.Millisecond), message: "message"},
		},
		{
			text: "2026-10-08 07:30:29,443 [warn] message",
			want: header{level: "warn", time: at(443 * time.Millisecond), message: "message"},
		},
		{
			text: "E, [2026-10-08T07:30:29.443123 #8] ERROR " + id + " -- shop: failed: twice",
			want: header{
				level: "ERROR", time: at(443123 * time.Microsecond), requestID: id, logger: "shop", message: "failed: twice",
			},
		},
		{
			text: "W, [2026-10-08T07:30:29.443123 #8]  WARN -- : message",
			want: header{level: "WARN", time: at(443123 * time.Microsecond), message: "message"},
		},
		{text: "[ERROR] message", want: header{level: "ERROR", message: "[ERROR] message"}},
		{text: "[debug] message", want: header{level: "debug", message: "[debug] message"}},
		{text: "ERROR message", want: header{level: "ERROR", message: "ERROR message"}},
		{text: "Warning: message", want: header{level: "Warning", message: "Warning: message"}},
		{text: "CRITICAL\tmessage", want: header{level: "CRITICAL", message: "CRITICAL\tmessage"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, ok := parseHeader(tt.text)
			require.True(t, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

// TestParseHeaderIsStrict has lines that merely resemble a format.
func TestParseHeaderIsStrict(t *testing.T) {
	for _, text := range []string{
		"", "[", "[]", "[] x", "]", "ERROR", "ERROR ", "[ERROR]", "[ERROR]:x", "[ERROR", "ERROR:", "error", "error message",
		"Error message", "ERRORS everywhere", "FINE, thanks", "ALL good", "ALERT the media", "PANIC: at the disco",
		"INFORMATION: none",
		"[main] message", "INFO+2 message", "E1008 07:30:29.443000 8 main.go:12] klog", "2026/10/08 07:30:29 std log",
		"2026-10-08", "2026-10-08 ", "2026-10-08 07:30:29", "2026-10-08 07:30:29 ", "2026-10-08 07:30:29 message",
		"2026-10-08 25:30:29 ERROR message", "20261008 07:30:29 ERROR message", "2026-10-08 07:30:29 not-an-id ERROR message",
		"2026-10-08 07:30:29 79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36", "2026-10-08 07:30:29 Error message",
		"2026-10-08T07:30:29.443Z\tid with spaces\tERROR\tmessage", "2026-10-08T07:30:29.443Z\tid\tLOUD\tmessage",
		"yesterday\tid\tERROR\tmessage", "[ERROR\t2026-10-08T07:30:29.443Z\tid\tmessage", "a\tb\tc", "a\tb\tc\td",
		"E, [", "E, [2026-10-08T07:30:29.443123 #8] ERROR", "E, [2026-10-08T07:30:29.443123 #8] ERROR -- ",
		"E, [2026-10-08T07:30:29.443123 #x] ERROR -- : message", "W, [2026-10-08T07:30:29.443123 #8] ERROR -- : message",
		"E, [yesterday #8] ERROR -- : message", "E, [2026-10-08T07:30:29.443123 #8] ERROR id two -- : message",
		"E, [2026-10-08T07:30:29.443123 #8]   ", "A, [2026-10-08T07:30:29.443123 #8]   ANY -- : message",
	} {
		h, ok := parseHeader(text)
		require.False(t, ok, "%q: %+v", text, h)
	}
}

func TestLogfmtObject(t *testing.T) {
	object, ok := logfmtObject(`time=2026-10-08T07:30:29.443Z level=INFO msg="a \"b\"\n\x00" n=12 empty= quoted="" x.y=z`)
	require.True(t, ok)
	require.JSONEq(t,
		`{"time":"2026-10-08T07:30:29.443Z","level":"INFO","msg":"a \"b\"\n\u0000","n":"12","empty":"","quoted":"","x.y":"z"}`,
		string(object))
	for _, text := range []string{
		"", "time=1", "time=1 level=INFO", `level=INFO time=1 msg=m`, "time=1 level=INFO msg=two words",
		`time=1 level=INFO msg="open`,
		`time=1 level=INFO msg="closed"early`, "time=1 level=INFO msg=m =x", `time=1 level=INFO msg=m "k"=x`,
		"time=1 level=INFO msg=m x\ty=z",
	} {
		_, ok := logfmtObject(text)
		require.False(t, ok, text)
	}
}
