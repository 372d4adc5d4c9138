// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// guardedConfig sends the layer's health, too.
var guardedConfig = strings.Replace(usualConfig, "metrics: {receivers: [otlp]", "metrics: {receivers: [otlp, telemetryapi]", 1)

// collector is the process that the guard runs.
func (r *rig) collector(t *testing.T) int {
	t.Helper()
	guard := strconv.Itoa(r.Report().Inits[0].Extensions[0].PID)
	tasks, err := filepath.Glob("/proc/" + guard + "/task/*/children")
	require.NoError(t, err)
	var children []string
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		require.NoError(t, err)
		children = append(children, strings.Fields(string(content))...)
	}
	require.Len(t, children, 1)
	pid, err := strconv.Atoi(children[0])
	require.NoError(t, err)
	return pid
}

// totals are the last totals of the layer's own metrics.
func (r *rig) totals() map[string]int64 {
	totals := map[string]int64{}
	for _, md := range r.sink.Metrics() {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if strings.HasPrefix(m.Name(), "otelcol_lambda.") && m.Type() == pmetric.MetricTypeSum {
						totals[m.Name()] = m.Sum().DataPoints().At(0).IntValue()
					}
				}
			}
		}
	}
	return totals
}

// The collector is killed after the fifth of twenty invocations, while the environment is frozen.
func TestCollectorIsKilled(t *testing.T) {
	r := newRig(t, setup{config: guardedConfig})
	r.init(t)
	for range 5 {
		r.succeed(t)
	}
	r.nothingLost(t)
	require.NoError(t, syscall.Kill(r.collector(t), syscall.SIGKILL))
	r.killed = true
	for range 15 {
		require.Less(t, r.invoke(t, `{"sleep_ms":150}`).Held, 2*time.Second)
	}
	r.end(t)
	for _, i := range r.Report().Invocations {
		require.Equal(t, lambdasim.StatusSuccess, i.Status)
		require.Equal(t, lambdasim.StatusSuccess, i.PlatformStatus)
	}
	// What the function could hand over, before and after, is there: the dead had delivered everything.
	r.nothingLost(t)
	r.linesArrived(t)
	r.says(t, "signal: killed")
	r.says(t, "The collector is back")
	totals := r.totals()
	require.Equal(t, int64(1), totals["otelcol_lambda.guard.deaths"])
	require.Equal(t, int64(1), totals["otelcol_lambda.guard.restarts"])
	require.Positive(t, totals["otelcol_lambda.guard.skipped_invocations"])
}

// Somebody whose backend cannot be found gets to know that, and nothing else happens.
func TestEndpointThatDoesNotResolve(t *testing.T) {
	r := newRig(t, setup{env: map[string]string{"OTELCOL_LAMBDA_OTLP_ENDPOINT": "http://backend.invalid:4318"}})
	r.init(t)
	for range 20 {
		r.succeed(t)
	}
	r.end(t)
	r.says(t, "backend.invalid")
}

// The collector is an extension of its own, too.
func TestCollectorWithoutItsGuard(t *testing.T) {
	r := newRig(t, setup{unguarded: true})
	r.init(t)
	for range 3 {
		r.succeed(t)
	}
	r.end(t)
	r.nothingLost(t)
	r.linesArrived(t)
}
