// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id := range conf.ToStringMap() {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			sub, err := conf.Sub(id)
			require.NoError(t, err)
			got := NewFactory().CreateDefaultConfig()
			require.NoError(t, sub.Unmarshal(got))
			require.NoError(t, confmap.Validate(got))
			require.Equal(t, createDefaultConfig(), got)
		})
	}
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	unknown := confmap.NewFromStringMap(map[string]any{"timeout": "1s"})
	require.ErrorContains(t, unknown.Unmarshal(createDefaultConfig()), "timeout")
}
