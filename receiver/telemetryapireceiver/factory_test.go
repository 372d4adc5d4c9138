// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

func TestFactory(t *testing.T) {
	factory := NewFactory()
	require.Equal(t, component.MustNewType("telemetryapi"), factory.Type())
	require.NoError(t, componenttest.CheckConfigStruct(factory.CreateDefaultConfig()))
	require.Equal(t, component.StabilityLevelAlpha, factory.LogsStability())
	require.Equal(t, component.StabilityLevelAlpha, factory.TracesStability())
	require.Equal(t, component.StabilityLevelAlpha, factory.MetricsStability())
}

// TestMetadata holds the constants, which are written by hand, against metadata.yaml.
func TestMetadata(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("metadata.yaml"))
	require.NoError(t, err)
	require.Equal(t, metadata.Type.String(), conf.Get("type"))
	require.Equal(t, "receiver", conf.Get("status::class"))
	for signal, level := range map[string]component.StabilityLevel{
		"logs": metadata.LogsStability, "traces": metadata.TracesStability, "metrics": metadata.MetricsStability,
	} {
		require.Contains(t, conf.Get("status::stability::"+strings.ToLower(level.String())), signal)
	}
}

func TestOneReceiverForAllSignals(t *testing.T) {
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig()
	set := receivertest.NewNopSettings(metadata.Type)

	logs, err := factory.CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	traces, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	metrics, err := factory.CreateMetrics(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.Same(t, logs, traces)
	require.Same(t, logs, metrics)

	other, err := factory.CreateLogs(t.Context(), set, factory.CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NotSame(t, logs, other, "another configuration is another receiver")
	elsewhere, err := NewFactory().CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NotSame(t, logs, elsewhere, "so is another factory")

	require.NoError(t, logs.Shutdown(t.Context()))
	again, err := factory.CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NotSame(t, logs, again, "a receiver that is shut down is not used again")
	for _, c := range []component.Component{other, elsewhere, again} {
		require.NoError(t, c.Shutdown(t.Context()))
	}
}
