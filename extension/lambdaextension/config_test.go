// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
)

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)

	for id, test := range map[string]struct {
		timeout time.Duration
		flush   flush.Settings
		err     string
	}{
		"lambda":         {timeout: 3 * time.Second, flush: flush.Settings{Strategy: flush.Adaptive}},
		"lambda/patient": {timeout: 10 * time.Second, flush: flush.Settings{Strategy: flush.Adaptive}},
		"lambda/periodic": {
			timeout: 3 * time.Second, flush: flush.Settings{Strategy: flush.Periodic, Interval: 30 * time.Second},
		},
		"lambda/datadog": {
			timeout: 3 * time.Second, flush: flush.Settings{Strategy: flush.Continuous, Interval: 5 * time.Second},
		},
		"lambda/sometimes": {err: "flush: `strategy`: unknown flush strategy \"sometimes\": it is one of adaptive (or default), " +
			"periodic (or periodically), continuous (or race, continuously) and end"},
		"lambda/backwards": {err: "flush: `interval` must not be negative; 0 is the strategy's default"},
		"lambda/other":     {err: "flush: `wait_for` must be `auto`, `runtime_done` or `root_span`; it is \"luck\""},
		"lambda/tiny":      {err: "spool: `max_bytes` must be positive"},
		"lambda/never":     {err: "flush: `timeout` must be positive"},
		"lambda/negative":  {err: "flush: `timeout` must be positive"},
	} {
		t.Run(id, func(t *testing.T) {
			sub, err := conf.Sub(id)
			require.NoError(t, err)
			cfg := NewFactory().CreateDefaultConfig()
			require.NoError(t, sub.Unmarshal(cfg))
			if err := confmap.Validate(cfg); test.err != "" {
				require.EqualError(t, err, test.err)
				return
			}
			require.NoError(t, confmap.Validate(cfg))
			require.Equal(t, test.timeout, cfg.(*Config).Flush.Timeout)
			require.Equal(t, test.flush, cfg.(*Config).Flush.settings())
		})
	}
}

// The variables go before the configuration, and a mistake in one of them costs only that one.
func TestVariables(t *testing.T) {
	for name, test := range map[string]struct {
		env     map[string]string
		want    flush.Settings
		timeout time.Duration
		errs    []string
	}{
		"none":     {nil, flush.Settings{Strategy: flush.End, Interval: time.Minute}, time.Second, nil},
		"all":      {map[string]string{envFlushStrategy: "race", envFlushInterval: "2s", envFlushTimeout: "500ms"}, flush.Settings{Strategy: flush.Continuous, Interval: 2 * time.Second}, 500 * time.Millisecond, nil},
		"combined": {map[string]string{envFlushStrategy: "periodically,7000"}, flush.Settings{Strategy: flush.Periodic, Interval: 7 * time.Second}, time.Second, nil},
		"mistakes": {map[string]string{envFlushStrategy: "often", envFlushInterval: "-2s", envFlushTimeout: "1"}, flush.Settings{Strategy: flush.End, Interval: time.Minute}, time.Second, []string{
			envFlushStrategy + " is not used: `strategy`: unknown", envFlushInterval + " is not used: `interval` must not be negative",
			envFlushTimeout + " is not used: \"1\" is not a duration such as 500ms",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := FlushConfig{Strategy: "end", WaitFor: waitForAuto, Interval: time.Minute, Timeout: time.Second}
			got, errs := cfg.override(func(name string) string { return test.env[name] })
			require.Equal(t, test.want, got.settings())
			require.Equal(t, test.timeout, got.Timeout)
			require.Len(t, errs, len(test.errs))
			for i, err := range errs {
				require.ErrorContains(t, err, test.errs[i])
			}
		})
	}
}

func TestSpoolConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[string]SpoolConfig{
		"lambda":        {Enabled: true, MaxBytes: defaultSpoolBytes},
		"lambda/empty":  {Enabled: true, MaxBytes: defaultSpoolBytes},
		"lambda/stdout": {Enabled: true, MaxBytes: defaultSpoolBytes, Stdout: true},
		"lambda/quoted": {Enabled: true, MaxBytes: defaultSpoolBytes, Stdout: true},
		"lambda/map":    {Enabled: true, MaxBytes: 1000, Stdout: true},
		"lambda/nodisk": {MaxBytes: defaultSpoolBytes, Stdout: true},
	} {
		t.Run(id, func(t *testing.T) {
			sub, err := conf.Sub(id)
			require.NoError(t, err)
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			require.NoError(t, sub.Unmarshal(cfg))
			require.NoError(t, confmap.Validate(cfg))
			require.Equal(t, want, cfg.Spool)
		})
	}
	for id, is := range map[string]string{
		"lambda/stderr": `"stderr"`, "lambda/true": "true", "lambda/number": "5", "lambda/list": "[stdout]",
	} {
		t.Run(id, func(t *testing.T) {
			sub, err := conf.Sub(id)
			require.NoError(t, err)
			require.ErrorContains(t, sub.Unmarshal(createDefaultConfig()),
				"`spool` must be `stdout`, or a map of `enabled`, `directory`, `max_bytes` and `stdout`; it is "+is)
		})
	}
}

// A variable of the function may switch the last resort on, and does nothing where it is not set.
func TestSpoolConfigFromVariables(t *testing.T) {
	on, off := SpoolConfig{Enabled: true, MaxBytes: defaultSpoolBytes, Stdout: true},
		SpoolConfig{Enabled: true, MaxBytes: defaultSpoolBytes}
	for name, test := range map[string]struct {
		yaml, value string
		want        SpoolConfig
		err         string
	}{
		"scalar":           {yaml: "spool: ${env:SPOOL}", value: "stdout", want: on},
		"quoted":           {yaml: `spool: "${env:SPOOL}"`, value: "stdout", want: on},
		"quotes in it":     {yaml: "spool: ${env:SPOOL}", value: `"stdout"`, err: `it is "\"stdout\""`},
		"part of it":       {yaml: "spool: std${env:SPOOL}", value: "out", want: on},
		"default":          {yaml: "spool: ${env:SPOOL:-stdout}", want: on},
		"not set":          {yaml: "spool: ${env:SPOOL}", want: off},
		"not set, quoted":  {yaml: `spool: "${env:SPOOL}"`, want: off},
		"key":              {yaml: "spool: {stdout: \"${env:SPOOL}\"}", value: "true", want: on},
		"key that is off":  {yaml: "spool: {stdout: \"${env:SPOOL}\"}", value: "false", want: off},
		"key, not set":     {yaml: "spool: {stdout: \"${env:SPOOL}\"}", want: off},
		"a whole map":      {yaml: "spool: ${env:SPOOL}", value: "{stdout: true}", want: on},
		"wrong":            {yaml: "spool: ${env:SPOOL}", value: "off", err: `it is "off"`},
		"a number":         {yaml: "spool: ${env:SPOOL}", value: "1", err: "it is 1"},
		"a wrong key":      {yaml: "spool: ${env:SPOOL}", value: "{stdour: true}", err: "stdour"},
		"a number for key": {yaml: "spool: {stdout: \"${env:SPOOL}\"}", value: "7", err: "stdout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SPOOL", test.value)
			if test.value == "" {
				require.NoError(t, os.Unsetenv("SPOOL")) // t.Setenv puts back what was there
			}
			resolver, err := confmap.NewResolver(confmap.ResolverSettings{
				URIs:              []string{"yaml:" + test.yaml},
				ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory(), envprovider.NewFactory()},
			})
			require.NoError(t, err)
			conf, err := resolver.Resolve(t.Context())
			require.NoError(t, err)
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			err = conf.Unmarshal(cfg)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				require.ErrorContains(t, err, "spool")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, cfg.Spool)
		})
	}
}

// A configuration that is written out reads as it was.
func TestSpoolConfigRoundTrip(t *testing.T) {
	before := createDefaultConfig().(*Config)
	before.Spool.Stdout = true
	conf := confmap.New()
	require.NoError(t, conf.Marshal(before))
	after := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(after))
	require.Equal(t, before, after)
}

func TestConfigUnknownKey(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{"flush": map[string]any{"timout": "1s"}}).Unmarshal(cfg)
	require.ErrorContains(t, err, "timout")
}

func TestConfigStruct(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(NewFactory().CreateDefaultConfig()))
	require.NoError(t, componenttest.CheckConfigStruct(FlushConfig{}))
	require.NoError(t, componenttest.CheckConfigStruct(SpoolConfig{}))
}
