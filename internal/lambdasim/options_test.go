// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOptionsDefaults(t *testing.T) {
	got, err := Options{Function: []string{"./bootstrap", "arg"}, LayerDir: "layer"}.withDefaults()
	require.NoError(t, err)
	require.NoError(t, got.validate())
	here, err := filepath.Abs(".")
	require.NoError(t, err)
	require.Equal(t, Options{
		LayerDir: filepath.Join(here, "layer"), Function: []string{filepath.Join(here, "bootstrap"), "arg"},
		FunctionName: "function", FunctionVersion: "$LATEST", Handler: "bootstrap", Region: "us-east-1",
		AccountID: "123456789012", MemoryMB: 128, Timeout: 3 * time.Second, InitTimeout: 10 * time.Second,
		ShutdownTimeout: 2 * time.Second, Host: "127.0.0.1", LogFormat: "Text",
	}, got)

	// A program of the search path stays one.
	got, err = Options{Function: []string{"node"}}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, []string{"node"}, got.Function)
}

func TestOptionsValidate(t *testing.T) {
	for want, opts := range map[string]Options{
		"no function program is given":                      {Function: []string{}},
		"memory of 127 MB is out of range":                  {MemoryMB: 127},
		"memory of 10241 MB is out of range":                {MemoryMB: 10241},
		"timeout 15m0.001s is out of range":                 {Timeout: 15*time.Minute + time.Millisecond},
		"timeout -1s is out of range":                       {Timeout: -time.Second},
		"init timeout -1s is negative":                      {InitTimeout: -time.Second},
		"hold limit -1s is negative":                        {HoldLimit: -time.Second},
		`log format "json" is unknown`:                      {LogFormat: "json"},
		"freeze mode 4 is unknown":                          {Freeze: FreezeNone + 1},
		"telemetry mode -1 is unknown":                      {Telemetry: -1},
		`host "localhost" is not an IP address`:             {Host: "localhost"},
		`environment variable "1A": AWS Lambda wants`:       {Env: map[string]string{"1A": ""}},
		`environment variable "A": AWS Lambda wants`:        {Env: map[string]string{"A": ""}},
		`environment variable "_HANDLER": AWS Lambda wants`: {Env: map[string]string{"_HANDLER": "h"}},
		`"AWS_REGION" is set by AWS Lambda: use the option`: {Env: map[string]string{"AWS_REGION": "x"}},
		`"LAMBDA_RUNTIME_DIR" is set by AWS Lambda: leave`:  {Env: map[string]string{"LAMBDA_RUNTIME_DIR": "x"}},
		"environment variables have 4097 bytes":             {Env: map[string]string{"KEY": strings.Repeat("x", 4094)}},
	} {
		t.Run(want, func(t *testing.T) {
			if opts.Function == nil {
				opts.Function = []string{"bootstrap"}
			}
			_, err := New(opts)
			require.ErrorContains(t, err, want)
		})
	}
	_, err := New(Options{Function: []string{"x"}, Env: map[string]string{"KEY": strings.Repeat("x", 4093)}})
	require.NoError(t, err)
	_, err = New(Options{Function: []string{"x"}, Env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA"}})
	require.NoError(t, err)
}
