// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCollectorEnviron(t *testing.T) {
	got := collectorEnviron([]string{
		"A=1", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001", "A=2", "EMPTY=", "WITH=EQUALS=IN=IT", "NOTHING",
		"AWS_LAMBDA_RUNTIME_API=again", "OTELCOL_LAMBDA_GUARD=0", "OTELCOL_LAMBDA_TELEMETRY_FD=7",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "GOMEMLIMIT=",
	}, "127.0.0.1:4711", true)
	require.Equal(t, []string{
		"AWS_LAMBDA_RUNTIME_API=127.0.0.1:4711", "OTELCOL_LAMBDA_GUARD=1", "OTELCOL_LAMBDA_TELEMETRY_FD=3",
		"GOMEMLIMIT=51MiB", "GOMAXPROCS=1",
		"A=1", "EMPTY=", "WITH=EQUALS=IN=IT", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
	}, got)
	require.Equal(t, []string{"AWS_LAMBDA_RUNTIME_API=x", "OTELCOL_LAMBDA_GUARD=1"},
		collectorEnviron([]string{"OTELCOL_LAMBDA_TELEMETRY_FD=7"}, "x", false))
}

func TestTuning(t *testing.T) {
	for memory, want := range map[string][]string{
		"":           nil,
		"0":          nil,
		"many":       nil,
		"-128":       nil,
		"2147483648": nil,
		"64":         {"GOMEMLIMIT=32MiB", "GOMAXPROCS=1"},
		"128":        {"GOMEMLIMIT=51MiB", "GOMAXPROCS=1"},
		"1768":       {"GOMEMLIMIT=707MiB", "GOMAXPROCS=1"},
		"1769":       {"GOMEMLIMIT=707MiB"},
		"10240":      {"GOMEMLIMIT=4096MiB"},
	} {
		require.Equal(t, want, tuning([]string{envMemorySize + "=" + memory}), memory)
	}
	require.Empty(t, tuning([]string{envMemorySize + "=128", "GOMEMLIMIT=off", "GOMAXPROCS=2", "GODEBUG=http2debug=1"}))
}

func TestTimerSlack(t *testing.T) {
	require.Equal(t, uintptr(4_000_000), timerSlack(collectorEnviron([]string{envMemorySize + "=1768"}, "", false)))
	require.Zero(t, timerSlack(collectorEnviron([]string{envMemorySize + "=1769"}, "", false)))
	require.Zero(t, timerSlack(collectorEnviron([]string{envMemorySize + "=128", "GOMAXPROCS=2"}, "", false)))
}

func TestInitTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": defaultInitTimeout, "800ms": 800 * time.Millisecond, "1m": time.Minute,
		"5": defaultInitTimeout, "-1s": defaultInitTimeout, "0": defaultInitTimeout,
	} {
		got, warning := initTimeout([]string{"OTELCOL_LAMBDA_INIT_TIMEOUT=" + text, "OTELCOL_LAMBDA_INIT_TIMEOUT=9s"})
		require.Equal(t, want, got, text)
		require.Equal(t, text != "" && want == defaultInitTimeout, warning != "", text)
	}
}

func TestLayer(t *testing.T) {
	layer := func(path string) bool { return path == "/layer/otelcol-lambda/collector" }
	none := func(string) bool { return false }
	require.Equal(t, "/layer", root("/layer/extensions/otelcol-lambda", layer))
	require.Equal(t, "/opt", root("/layer/extensions/otelcol-lambda", none))
	require.Equal(t, "/opt", root("/elsewhere/extensions/otelcol-lambda", layer))
	require.Equal(t, "/opt", root("", layer))
	require.Equal(t, "/opt", root("otelcol-lambda", layer))
	require.Empty(t, root("/extensions/otelcol-lambda", func(path string) bool { return path == "/otelcol-lambda/collector" }))

	collector, fuller := programs("/opt", none)
	require.Equal(t, "/opt/otelcol-lambda/collector", collector)
	require.Empty(t, fuller)
	_, fuller = programs("/opt", func(path string) bool { return path == "/opt/otelcol-lambda/collector-full" })
	require.Equal(t, "/opt/otelcol-lambda/collector-full", fuller)

	require.Equal(t, "otelcol-lambda", base("/opt/extensions/otelcol-lambda"))
	require.Equal(t, "name.sh", base("name.sh"))
}
