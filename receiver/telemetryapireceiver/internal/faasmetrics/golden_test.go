// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

var (
	testStart = time.Date(2026, time.October, 8, 7, 29, 59, 0, time.UTC)
	testNow   = time.Date(2026, time.October, 8, 7, 40, 0, 0, time.UTC)
)

func readEvents(tb testing.TB, path string) []telemetryapi.Event {
	tb.Helper()
	body, err := os.ReadFile(path)
	require.NoError(tb, err)
	batch, err := telemetryapi.Decode(body)
	require.NoError(tb, err)
	return batch.Events
}

// collect returns what an Aggregator has, as a backend would get it.
func collect(tb testing.TB, a *Aggregator, now time.Time) pmetric.Metrics {
	tb.Helper()
	metrics := pmetric.NewMetrics()
	slice := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	points := a.Collect(now, slice)
	require.Equal(tb, metrics.DataPointCount(), points)
	require.True(tb, a.Empty())
	return metrics
}

func TestGolden(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "events.json"))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			a := New(Settings{Start: testStart})
			for _, event := range readEvents(t, path) {
				a.Observe(event)
			}
			metrics := collect(t, a, testNow)
			expected := filepath.Join(dir, "metrics.yaml")
			if *update {
				require.NoError(t, golden.WriteMetricsToFile(expected, metrics,
					golden.SkipMetricTimestampNormalization()))
				return
			}
			want, err := golden.ReadMetrics(expected)
			require.NoError(t, err)
			require.NoError(t, pmetrictest.CompareMetrics(want, metrics,
				pmetrictest.IgnoreMetricsOrder(), pmetrictest.IgnoreMetricDataPointsOrder()))
		})
	}
}

func TestObserveSaysWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	count := func(name string) (understood, not int) {
		a := New(Settings{Start: testStart})
		for _, event := range readEvents(t, filepath.Join("testdata", name, "events.json")) {
			if a.Observe(event) {
				understood++
			} else {
				not++
			}
		}
		return understood, not
	}
	understood, not := count("every_record_type")
	require.Equal(t, []int{14, 0}, []int{understood, not})
	_, not = count("unknown_types")
	require.Zero(t, not, "what is new is not wrong")
	understood, not = count("malformed")
	// What is not understood has fields missing, or of another type.
	require.Equal(t, []int{6, 11}, []int{understood, not})
}
