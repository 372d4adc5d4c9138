// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package selftelemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/zap/zapcore"
)

// load decodes YAML as the collector does: through a resolver, into the field `telemetry` of the service.
func load(t *testing.T, yaml string, opts ...Option) (*Config, error) {
	t.Helper()
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"yaml:" + yaml},
		ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory(), envprovider.NewFactory()},
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(t.Context())
	require.NoError(t, err)
	service := struct {
		Telemetry any `mapstructure:"telemetry"`
	}{NewFactory(opts...).CreateDefaultConfig()}
	if err := conf.Unmarshal(&service); err != nil {
		return nil, err
	}
	return service.Telemetry.(*Config), confmap.Validate(service)
}

func TestDefaultConfig(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(NewFactory().CreateDefaultConfig()))
	for _, yaml := range []string{"telemetry:", "telemetry: {}", "telemetry: {logs: , resource: }"} {
		cfg, err := load(t, yaml)
		require.NoError(t, err)
		require.Equal(t, NewFactory().CreateDefaultConfig().(*Config).Logs, cfg.Logs)
		require.Empty(t, cfg.ignored)
	}
}

func TestConfigKeys(t *testing.T) {
	t.Setenv("VERSION", "0123")
	t.Setenv("LEVEL", "debug")
	cfg, err := load(t, `
telemetry:
  logs:
    level: ${env:LEVEL}
    encoding: console
    development: true
    disable_caller: false
    disable_stacktrace: false
    sampling: {initial: 3}
    output_paths: [stderr]
    error_output_paths: [stdout]
    initial_fields: {team: a, n: 2}
  metrics: {level: none}
  traces: {level: none}
  resource: {service.version: "${env:VERSION}", service.instance.id: null}
`)
	require.NoError(t, err)
	require.Equal(t, &Config{
		Logs: LogsConfig{
			Level: "debug", Encoding: "console", Development: true,
			Sampling:         &SamplingConfig{Enabled: true, Tick: 10 * time.Second, Initial: 3, Thereafter: 100},
			OutputPaths:      []string{"stderr"},
			ErrorOutputPaths: []string{"stdout"},
			InitialFields:    map[string]any{"team": "a", "n": 2},
		},
		Metrics:  LevelConfig{Level: "none"},
		Traces:   LevelConfig{Level: "none"},
		Resource: ResourceConfig{Attributes: map[string]any{"service.version": "0123", "service.instance.id": nil}},
	}, cfg)
}

func TestOnlyKeysOfTheSectionAreTolerated(t *testing.T) {
	_, err := load(t, "telemetry: {other: 1}")
	require.NoError(t, err)
	_, err = load(t, "other: 1\ntelemetry: {}\n")
	require.ErrorContains(t, err, "other")
}

func TestYAMLLevelWins(t *testing.T) {
	cfg, err := load(t, "telemetry: {}", WithDefaultLevel(zapcore.ErrorLevel))
	require.NoError(t, err)
	require.Equal(t, "error", cfg.Logs.Level)
	cfg, err = load(t, "telemetry: {logs: {level: debug}}", WithDefaultLevel(zapcore.ErrorLevel))
	require.NoError(t, err)
	require.Equal(t, "debug", cfg.Logs.Level)
}

func TestLevelNames(t *testing.T) {
	for _, name := range []string{"debug", "info", "warn", "error", "dpanic", "panic", "fatal", "INFO"} {
		_, err := load(t, "telemetry: {logs: {level: "+name+"}}")
		require.NoError(t, err, name)
	}
}

func TestIgnoredKeys(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		ignored    []string
	}{
		{
			name:    "readers of the incumbent's documentation",
			yaml:    "metrics: {readers: [{pull: {exporter: {prometheus: {host: localhost, port: 8888}}}}]}",
			ignored: []string{"service::telemetry::metrics::readers"},
		},
		{
			name:    "legacy address",
			yaml:    "metrics: {level: none, address: ':8888'}",
			ignored: []string{"service::telemetry::metrics::address"},
		},
		{
			name:    "views",
			yaml:    "metrics: {views: [{selector: {}, stream: {}}]}",
			ignored: []string{"service::telemetry::metrics::views"},
		},
		{
			name:    "metrics level",
			yaml:    "metrics: {level: detailed}",
			ignored: []string{"service::telemetry::metrics::level other than none"},
		},
		{
			name: "traces",
			yaml: "traces: {level: basic, propagators: [b3], processors: [{batch: {}}], sampler: {}}",
			ignored: []string{
				"service::telemetry::traces::level other than none",
				"service::telemetry::traces::processors",
				"service::telemetry::traces::propagators",
			},
		},
		{
			name: "logs",
			yaml: "logs: {processors: [{}], disable_zap_resource: true, sampling: {enabled: false, hook: x}}",
			ignored: []string{
				"service::telemetry::logs::disable_zap_resource",
				"service::telemetry::logs::processors",
				"service::telemetry::logs::sampling::hook",
			},
		},
		{
			name: "paths",
			yaml: "logs: {output_paths: [stdout, /tmp/log], error_output_paths: [/tmp/log]}",
			ignored: []string{
				"service::telemetry::logs::error_output_paths other than stdout and stderr",
				"service::telemetry::logs::output_paths other than stdout and stderr",
			},
		},
		{
			name: "resource",
			yaml: "resource: {attributes: [{name: a, value: b}], attributes_list: 'a=b', detection/development: {detectors: [{}]}}",
			ignored: []string{
				"service::telemetry::resource::attributes_list",
				"service::telemetry::resource::detection/development",
			},
		},
		{
			name:    "unknown section",
			yaml:    "profiles: {level: basic}",
			ignored: []string{"service::telemetry::profiles"},
		},
		{
			name: "asks for nothing",
			yaml: "{metrics: {readers: [], level: none}, traces: {processors: , propagators: []}, logs: {processors: []}}",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := load(t, "telemetry:\n  "+tc.yaml)
			require.NoError(t, err)
			require.Equal(t, tc.ignored, cfg.ignored)
		})
	}
}

func TestWrongValues(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{
			"logs: {level: loud}",
			"`service::telemetry::logs::level` is \"loud\": use debug, info, warn, error, dpanic, panic or fatal",
		},
		{"logs: {encoding: xml}", "`service::telemetry::logs::encoding` is \"xml\": use json or console"},
		{"logs: {sampling: {tick: 0s}}", "`service::telemetry::logs::sampling::tick` is 0s: use a duration above zero"},
		{"logs: {sampling: {initial: -1}}", "`service::telemetry::logs::sampling::initial`"},
		{"metrics: {level: some}", "`service::telemetry::metrics::level` is \"some\": use none, basic, normal or detailed"},
		{"traces: {level: some}", "`service::telemetry::traces::level` is \"some\": use none, basic, normal or detailed"},
		{"logs: {disable_caller: perhaps}", "disable_caller"},
		{"logs: 5", "logs"},
	} {
		t.Run(tc.yaml, func(t *testing.T) {
			_, err := load(t, "telemetry: {"+tc.yaml+"}")
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestConfigMarshals(t *testing.T) {
	cfg, err := load(t, "telemetry: {logs: {level: warn, sampling: {initial: 3}}, resource: {a: b}, metrics: {readers: [1]}}")
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(map[string]any{"telemetry": cfg}))
	again := NewFactory().CreateDefaultConfig().(*Config)
	sub, err := conf.Sub("telemetry")
	require.NoError(t, err)
	require.NoError(t, sub.Unmarshal(again))
	require.Empty(t, again.ignored)
	again.ignored = cfg.ignored
	require.Equal(t, cfg, again)
}
