// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/nopexporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/selftelemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// moody is a receiver that starts as it is told to.
type moody struct {
	start func(host component.Host) error
	ended bool
}

func (m *moody) Start(_ context.Context, host component.Host) error { return m.start(host) }

func (m *moody) Shutdown(context.Context) error {
	m.ended = true
	return nil
}

type moodyConfig struct {
	Wrong bool `mapstructure:"wrong"`
}

func (c *moodyConfig) Validate() error {
	if c.Wrong {
		return errBroken
	}
	return nil
}

const pipeline = `yaml:
receivers: {moody: }
exporters: {nop: }
service: {pipelines: {traces: {receivers: [moody], exporters: [nop]}}}
`

func settingsFor(t *testing.T, m *moody, uri string) Settings {
	t.Helper()
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](receiver.NewFactory(component.MustNewType("moody"),
		func() component.Config { return &moodyConfig{} },
		receiver.WithTraces(func(context.Context, receiver.Settings, component.Config, consumer.Traces) (receiver.Traces, error) {
			return m, nil
		}, component.StabilityLevelAlpha)))
	require.NoError(t, err)
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](nopexporter.NewFactory())
	require.NoError(t, err)
	return Settings{
		Factories: otelcol.Factories{Receivers: receivers, Exporters: exporters, Telemetry: selftelemetry.NewFactory()},
		Resolver: confmap.ResolverSettings{
			URIs: []string{uri}, ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		},
		Logger: zap.NewNop(),
	}
}

func TestLife(t *testing.T) {
	m := &moody{start: func(component.Host) error { return nil }}
	c, err := Start(t.Context(), settingsFor(t, m, pipeline))
	require.NoError(t, err)
	require.NotNil(t, c.Logger())
	require.Empty(t, c.Fatal())
	require.False(t, m.ended)
	require.NoError(t, c.Shutdown(t.Context()))
	require.True(t, m.ended)
}

func TestFatal(t *testing.T) {
	var host component.Host
	m := &moody{start: func(h component.Host) error {
		host = h
		return nil
	}}
	c, err := Start(t.Context(), settingsFor(t, m, pipeline))
	require.NoError(t, err)
	// Each report waits until somebody takes it, also the second one, for which nobody asks.
	componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(errBroken))
	require.ErrorIs(t, <-c.Fatal(), errBroken)
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestErrors(t *testing.T) {
	healthy := func(component.Host) error { return nil }
	for name, test := range map[string]struct {
		start func(component.Host) error
		uri   string
		want  error
	}{
		"no such scheme":    {healthy, "ftp://example.com", ErrLocate},
		"not YAML":          {healthy, "yaml: [", ErrGet},
		"unknown component": {healthy, "yaml:receivers: {kafka: }", ErrGet},
		"a value is wrong":  {healthy, "yaml:receivers: {moody: {wrong: true}}", ErrInvalid},
		"does not start":    {func(component.Host) error { return errBroken }, pipeline, errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			m := &moody{start: test.start}
			_, err := Start(t.Context(), settingsFor(t, m, test.uri))
			require.ErrorIs(t, err, test.want)
		})
	}
}
