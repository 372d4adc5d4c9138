// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// TestDefaultConfiguration runs the layer as it is shipped, on its own ports.
func TestDefaultConfiguration(t *testing.T) {
	r := newRig(t, setup{configURI: layerDefault})
	r.init(t)
	first := r.succeed(t)
	require.True(t, first.Cold)
	require.NotEmpty(t, r.sink.Spans(), "the first invocation's data is there before the freeze")
	require.NotEmpty(t, r.sink.Points())
	require.NotEmpty(t, r.records("function"))
	for range 3 {
		require.False(t, r.succeed(t).Cold)
	}
	r.end(t)
	r.nothingLost(t)
	r.linesArrived(t)
	require.Len(t, r.records("platform.start"), 4)
	require.Len(t, r.records("platform.runtimeDone"), 4)
	require.NotContains(t, r.log.String(), `"level":"error"`)
	require.NotContains(t, r.log.String(), `"level":"warn"`)
}

func TestDataArrivesBeforeEachFreeze(t *testing.T) {
	for name, mode := range map[string]lambdasim.FreezeMode{
		"signals": lambdasim.FreezeSignal, "the best there is": lambdasim.FreezeAuto,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Freeze = mode }})
			r.init(t)
			for range 5 {
				r.succeed(t)
				r.nothingLost(t)
				time.Sleep(50 * time.Millisecond) // frozen
			}
			r.end(t)
			require.GreaterOrEqual(t, r.Report().Freezes, 5)
			r.linesArrived(t)
		})
	}
}

func TestCallerIsAnsweredBeforeTheFlush(t *testing.T) {
	r := newRig(t, setup{faults: "latency=500ms"})
	r.init(t)
	i, err := r.Invoke(bounded(t), []byte(`{}`))
	require.NoError(t, err)
	require.Empty(t, r.sink.Spans())
	require.NoError(t, r.Settle(bounded(t)))
	require.GreaterOrEqual(t, r.Report().Invocations[i.Number-1].Held, 500*time.Millisecond)
	r.end(t)
	r.nothingLost(t)
}

func TestShutdownAsTheVeryFirstEvent(t *testing.T) {
	r := newRig(t, setup{})
	r.init(t)
	r.end(t)
}

// TestFunctionFailsToInitialize has the lines arrive that say why, although the environment ends right behind them. A
// function that fails before the collector is there is not heard of: Lambda takes no subscription any more.
func TestFunctionFailsToInitialize(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nsleep 1\necho 'no such module: orders'\nexit 1\n"), 0o700)) //nolint:gosec // a program
	r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Function = []string{program} }})
	require.Error(t, r.Init(bounded(t)))
	failed := r.invoke(t, "{}")
	require.NotEqual(t, lambdasim.StatusSuccess, failed.Status)
	r.end(t)
	require.Contains(t, r.records("function"), "no such module: orders")
	require.Len(t, r.records("platform.initReport"), 2, "of Init, and of the one within the invocation")
}

func TestFunctionTimesOut(t *testing.T) {
	r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Timeout = time.Second }})
	r.init(t)
	r.succeed(t)
	late := r.invoke(t, `{"hang": true}`)
	require.Equal(t, lambdasim.StatusTimeout, late.Status)
	again := r.succeed(t)
	require.True(t, again.Cold, "Lambda starts everything anew")
	r.end(t)
	r.nothingLost(t)
	r.linesArrived(t)
	require.Len(t, r.records("platform.initStart"), 2)
}

func TestFunctionCrashes(t *testing.T) {
	r := newRig(t, setup{})
	r.init(t)
	r.succeed(t)
	crashed := r.invoke(t, `{"crash": true}`)
	require.Equal(t, lambdasim.StatusFailure, crashed.Status)
	r.succeed(t)
	r.end(t)
	r.nothingLost(t)
	r.linesArrived(t)
}

func TestFunctionReportsAnError(t *testing.T) {
	r := newRig(t, setup{})
	r.init(t)
	failed := r.invoke(t, `{"error": true}`)
	require.Equal(t, lambdasim.StatusError, failed.Status)
	r.succeed(t)
	r.end(t)
	r.nothingLost(t)
}

// TestOwnLinesDoNotComeBack subscribes to the lines of extensions, ours among them, and logs each record that arrives.
func TestOwnLinesDoNotComeBack(t *testing.T) {
	config := strings.Replace(usualConfig, "types: [platform, function]", "types: [platform, function, extension]", 1)
	config = strings.Replace(config, "exporters:\n", "exporters:\n  debug: {verbosity: detailed}\n", 1)
	config = strings.ReplaceAll(config, "exporters: [otlp_http]", "exporters: [otlp_http, debug]")
	config = strings.Replace(config, "service:\n", "service:\n  telemetry: {logs: {level: debug}}\n", 1)
	r := newRig(t, setup{config: config})
	r.init(t)
	for range 5 {
		r.succeed(t)
	}
	r.end(t)
	r.nothingLost(t)
	require.Empty(t, r.records("extension"))
	delivered := 0
	for _, s := range r.Report().Telemetry {
		delivered += s.Events["extension"].Delivered
	}
	require.Positive(t, delivered, "Lambda does send them")
}

func TestHeadersFromTheEnvironment(t *testing.T) {
	r := newRig(t, setup{
		configURI: layerDefault,
		env:       map[string]string{"OTELCOL_LAMBDA_OTLP_HEADERS": "api-key=a: b #c,x-team=one%2Ctwo"},
	})
	r.init(t)
	r.succeed(t)
	r.end(t)
	requests := r.sink.Requests()
	require.NotEmpty(t, requests)
	for _, request := range requests {
		require.Equal(t, "a: b #c", request.Header.Get("api-key"))
		require.Equal(t, "one,two", request.Header.Get("x-team"))
	}
	require.NotContains(t, r.log.String(), "a: b #c")
}
