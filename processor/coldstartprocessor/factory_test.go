// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-lambda/otelcol-lambda/processor/coldstartprocessor/internal/metadata"
)

func TestFactory(t *testing.T) {
	t.Parallel()
	factory := NewFactory()
	require.Equal(t, component.MustNewType("coldstart"), factory.Type())
	require.Equal(t, component.StabilityLevelAlpha, factory.TracesStability())

	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()
	traces, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.Equal(t, consumer.Capabilities{MutatesData: true}, traces.Capabilities())
	_, err = factory.CreateMetrics(t.Context(), set, cfg, consumertest.NewNop())
	require.ErrorIs(t, err, pipeline.ErrSignalNotSupported)
	_, err = factory.CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.ErrorIs(t, err, pipeline.ErrSignalNotSupported)
}

// TestMetadata holds the constants, which are written by hand, against metadata.yaml.
func TestMetadata(t *testing.T) {
	t.Parallel()
	conf, err := confmaptest.LoadConf(filepath.Join("metadata.yaml"))
	require.NoError(t, err)
	require.Equal(t, metadata.Type.String(), conf.Get("type"))
	require.Equal(t, "processor", conf.Get("status::class"))
	require.Contains(t, conf.Get("status::stability::"+strings.ToLower(metadata.TracesStability.String())), "traces")
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	factory := NewFactory()
	set, cfg := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig()

	never, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, never.Shutdown(t.Context()), "shutdown without start")

	twice, err := factory.CreateTraces(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, twice.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, twice.Shutdown(t.Context()))
	require.NoError(t, twice.Shutdown(t.Context()), "second shutdown")
}

func TestShutdownPassesEverythingOn(t *testing.T) {
	t.Parallel()
	processortest.VerifyShutdown(t, NewFactory(), NewFactory().CreateDefaultConfig())
}
