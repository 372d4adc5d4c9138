// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

func TestParseFaults(t *testing.T) {
	for text, want := range map[string][]Fault{
		"":                        nil,
		"  ":                      nil,
		"status=503,first=20":     {{Action: ActionStatus, Status: 503, First: 20}},
		"latency=2500ms":          {{Action: ActionLatency, Latency: 2500 * time.Millisecond}},
		"hang,first=1":            {{Action: ActionHang, First: 1}},
		"hang_before_read":        {{Action: ActionHangBeforeRead}},
		"partial=3,signal=logs":   {{Action: ActionPartial, Rejected: 3, Signal: SignalLogs}},
		"close ; reset":           {{Action: ActionClose}, {Action: ActionReset}},
		"refuse,from=1s,for=2s":   {{Action: ActionRefuse, From: time.Second, For: 2 * time.Second}},
		"ack_lost,every=3":        {{Action: ActionAckLost, Every: 3}},
		" reset , skip = 2 ":      {{Action: ActionReset, Skip: 2}},
		"reset,transport=grpc":    {{Action: ActionReset, Transport: TransportGRPC}},
		"status=500,code=ABORTED": {{Action: ActionStatus, Status: 500, Code: codes.Aborted}},
		"status=429,retry_after=2s,for=5s;latency=1ms": {
			{Action: ActionStatus, Status: 429, RetryAfter: 2 * time.Second, For: 5 * time.Second},
			{Action: ActionLatency, Latency: time.Millisecond},
		},
	} {
		t.Run(text, func(t *testing.T) {
			got, err := ParseFaults(text)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestParseFaultsErrors(t *testing.T) {
	for text, want := range map[string]string{
		";":                            `fault "": it is empty: start with one of`,
		"statsu=503":                   `fault "statsu=503": unknown action "statsu": start with one of ` + "`status`",
		"status":                       "`status` needs a whole number above zero, got \"\"",
		"status=abc":                   "`status` needs a whole number",
		"status=200":                   "`status` must be an HTTP status from 300 to 599, got 200",
		"status=503,first=0":           "`first` needs a whole number above zero, got \"0\"",
		"status=503,first=-1":          "`first` needs a whole number",
		"status=503,first=99999999999": "`first` needs a whole number",
		"status=503,first=1,first=2":   "`first` is given twice",
		"status=503,frist=1":           `unknown option "frist": use`,
		"status=503,":                  `unknown option ""`,
		"hang=2s":                      "`hang` takes no value",
		"latency=5":                    "`latency` needs a duration above zero such as `500ms`",
		"latency=-5s":                  "`latency` needs a duration above zero",
		"hang,retry_after=1s":          "`retry_after` goes with `status` only",
		"hang,code=ABORTED":            "`code` goes with `status` only",
		"status=503,code=OK":           "`code` needs the name of a gRPC code other than OK",
		"hang,signal=profiles":         `unknown signal "profiles": use one of`,
		"hang,signal":                  "`signal` needs a value",
		"hang,transport=udp":           `unknown transport "udp": use one of`,
		"refuse,first=3":               "`refuse` sees no requests",
		"partial=0":                    "`partial` needs a whole number above zero",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := ParseFaults(text)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestFaultValidateRejectsWhatCannotBeWritten(t *testing.T) {
	for name, f := range map[string]Fault{
		"no action":         {},
		"negative count":    {Action: ActionHang, First: -1},
		"negative duration": {Action: ActionHang, For: -1},
		"code out of range": {Action: ActionStatus, Status: 503, Code: 99},
		"latency elsewhere": {Action: ActionHang, Latency: 1},
		"status elsewhere":  {Action: ActionHang, Status: 503},
		"partial elsewhere": {Action: ActionHang, Rejected: 1},
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, f.Validate()) })
	}
}

func TestEveryCodeHasAName(t *testing.T) {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		var got codes.Code
		require.NoError(t, parseCode(codeName(c), &got))
		require.Equal(t, c, got)
	}
	require.Equal(t, "RESOURCE_EXHAUSTED", codeName(codes.ResourceExhausted))
}

func FuzzParseFaults(f *testing.F) {
	for _, seed := range []string{
		"", "status=503,first=20", "status=429,retry_after=2s,for=5s;latency=1ms", "refuse,from=1s", "partial=1,signal=logs",
		"hang,skip=1,every=2,transport=http", "status=500,code=UNKNOWN", ";;", ",", "=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults(text)
		if err != nil {
			return
		}
		for _, fault := range faults {
			require.NoError(t, fault.Validate())
			again, err := ParseFaults(fault.String())
			require.NoError(t, err)
			require.Equal(t, []Fault{fault}, again)
		}
	})
}
