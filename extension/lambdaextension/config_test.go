// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)

	for id, test := range map[string]struct {
		timeout time.Duration
		err     string
	}{
		"lambda":          {timeout: 3 * time.Second},
		"lambda/patient":  {timeout: 10 * time.Second},
		"lambda/never":    {err: "flush: `timeout` must be positive"},
		"lambda/negative": {err: "flush: `timeout` must be positive"},
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
		})
	}
}

func TestConfigUnknownKey(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{"flush": map[string]any{"timout": "1s"}}).Unmarshal(cfg)
	require.ErrorContains(t, err, "timout")
}

func TestConfigStruct(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(NewFactory().CreateDefaultConfig()))
	require.NoError(t, componenttest.CheckConfigStruct(FlushConfig{}))
}
