// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hits asks for n requests and writes the deciding action's first letter, or a dot, for each.
func hits(t *testing.T, faults string, n int) string {
	t.Helper()
	parsed, err := ParseFaults(faults)
	require.NoError(t, err)
	now := time.Now()
	set := newFaultSet(parsed, now)
	var b strings.Builder
	for range n {
		action := set.next(SignalTraces, TransportHTTP, now).fault.Action
		if action == "" {
			action = "."
		}
		b.WriteByte(action[0])
	}
	return b.String()
}

func TestFaultsByCount(t *testing.T) {
	for faults, want := range map[string]string{
		"":                                "........",
		"reset":                           "rrrrrrrr",
		"reset,first=3":                   "rrr.....",
		"reset,skip=2":                    "..rrrrrr",
		"reset,skip=2,first=3":            "..rrr...",
		"reset,every=3":                   "..r..r..",
		"reset,every=2,first=2":           ".r.r....",
		"reset,skip=1,every=2,first=2":    "..r.r...",
		"reset,first=2;hang,first=2":      "rrhh....",
		"hang,every=4;reset,first=4":      "rrrhr..h",
		"reset,signal=logs":               "........",
		"reset,transport=grpc;hang":       "hhhhhhhh",
		"latency=1s;reset,first=1":        "r.......",
		"refuse;reset,first=1":            "r.......",
		"reset,signal=traces,first=1":     "r.......",
		"reset,from=1s;status=503,for=1s": "ssssssss",
	} {
		t.Run(faults, func(t *testing.T) { require.Equal(t, want, hits(t, faults, 8)) })
	}
}

func TestFaultsByTime(t *testing.T) {
	parsed, err := ParseFaults("hang,from=1s,for=2s")
	require.NoError(t, err)
	start := time.Now()
	set := newFaultSet(parsed, start)
	at := func(d time.Duration) plan { return set.next(SignalLogs, TransportGRPC, start.Add(d)) }

	require.Empty(t, at(999*time.Millisecond).fault)
	require.Equal(t, ActionHang, at(time.Second).fault.Action)
	require.Equal(t, start.Add(3*time.Second), at(2*time.Second).until, "the hang ends with the fault's time")
	require.Empty(t, at(3*time.Second).fault)
}

func TestLatenciesAddUp(t *testing.T) {
	parsed, err := ParseFaults("latency=1s;latency=200ms,signal=logs;status=503;latency=1h")
	require.NoError(t, err)
	set := newFaultSet(parsed, time.Now())
	p := set.next(SignalLogs, TransportHTTP, time.Now())
	require.Equal(t, 1200*time.Millisecond, p.latency, "a latency after the deciding fault is not reached")
	require.Equal(t, 503, p.fault.Status)
	require.Equal(t, time.Second, set.next(SignalTraces, TransportHTTP, time.Now()).latency)
}

func TestRefusals(t *testing.T) {
	parsed, err := ParseFaults("refuse,for=1s;refuse,from=5s,for=1s;refuse,from=3s,transport=grpc;reset,from=2s")
	require.NoError(t, err)
	start := time.Now()
	set := newFaultSet(parsed, start)

	for _, tt := range []struct {
		after   time.Duration
		refuses bool
		next    time.Duration // zero: never
	}{
		{0, true, time.Second},
		{time.Second, false, 5 * time.Second},
		{5 * time.Second, true, 6 * time.Second},
		{7 * time.Second, false, 0},
	} {
		refuses, next := set.refusing(TransportHTTP, start.Add(tt.after))
		require.Equal(t, tt.refuses, refuses, tt.after)
		if tt.next == 0 {
			require.Zero(t, next)
		} else {
			require.Equal(t, start.Add(tt.next), next)
		}
	}
	refuses, next := set.refusing(TransportGRPC, start.Add(7*time.Second))
	require.True(t, refuses)
	require.Zero(t, next)
}
