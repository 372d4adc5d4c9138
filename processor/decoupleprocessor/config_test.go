// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestConfig(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)

	for id, want := range map[string]*Config{
		"decouple":       {MaxQueueBytes: 32 * mib, MaxRequestBytes: mib, Overflow: "auto", Timeout: 30 * time.Second},
		"decouple/sized": {MaxQueueBytes: 16 * mib, MaxRequestBytes: 2 * mib, Overflow: "reject", Timeout: 10 * time.Second},
		"decouple/incumbent": {
			MaxQueueBytes: 32 * mib, MaxRequestBytes: mib, Overflow: "auto", Timeout: 30 * time.Second, MaxQueueSize: 200,
		},
		"decouple/discard": {
			MaxQueueBytes: 32 * mib, MaxRequestBytes: mib, Overflow: "auto", Timeout: 30 * time.Second,
			Discard: "exporter `otlp_http` has no endpoint",
		},
	} {
		t.Run(id, func(t *testing.T) {
			sub, err := conf.Sub(id)
			require.NoError(t, err)
			got := NewFactory().CreateDefaultConfig()
			require.NoError(t, sub.Unmarshal(got))
			require.NoError(t, confmap.Validate(got))
			require.Equal(t, component.Config(want), got)
		})
	}
}

func TestConfigErrorsNameTheKey(t *testing.T) {
	for key, value := range map[string]any{"max_queue_bytes": 0, "max_request_bytes": -1, "timeout": "0s", "overflow": "wait"} {
		t.Run(key, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig()
			require.NoError(t, confmap.NewFromStringMap(map[string]any{key: value}).Unmarshal(cfg))
			require.ErrorContains(t, confmap.Validate(cfg), "`"+key+"`")
		})
	}
}

func TestConfigStruct(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(NewFactory().CreateDefaultConfig()))
}

func TestDefaultQueueBytes(t *testing.T) {
	for memory, want := range map[string]int{
		"128": 8 * mib, "": 8 * mib, "lots": 8 * mib, "-1": 8 * mib, "32": 4 * mib, "512": 32 * mib, "10240": 64 * mib,
	} {
		require.Equal(t, want, defaultQueueBytes(memory), "memory size %q", memory)
	}
}
