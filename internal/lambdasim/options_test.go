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
		Concurrency: 1, AvailabilityZoneID: "use1-az1", RestoreTimeout: 10 * time.Second, InitPhase: "init",
	}, got)

	// A program of the search path stays one.
	got, err = Options{Function: []string{"node"}}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, []string{"node"}, got.Function)
}

func TestModeDefaults(t *testing.T) {
	for mode, want := range map[Mode]Options{
		ModeProvisionedConcurrency: {MemoryMB: 128, Concurrency: 1, LogFormat: "Text"},
		ModeSnapStart:              {MemoryMB: 128, Concurrency: 1, LogFormat: "Text"},
		ModeManagedInstances:       {MemoryMB: 2048, Concurrency: 16, LogFormat: "JSON", Freeze: FreezeNone},
	} {
		for timeout, init := range map[time.Duration]time.Duration{
			0: 130 * time.Second, 131 * time.Second: 131 * time.Second,
		} {
			got, err := Options{Function: []string{"x"}, Mode: mode, Timeout: timeout}.withDefaults()
			require.NoError(t, err)
			require.NoError(t, got.validate())
			require.Equal(t, init, got.InitTimeout)
			require.Equal(t, "1", got.FunctionVersion)
			require.Equal(t, want, Options{
				MemoryMB: got.MemoryMB, Concurrency: got.Concurrency, LogFormat: got.LogFormat, Freeze: got.Freeze,
			})
		}
	}
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
		"mode 4 is unknown":                                 {Mode: ModeManagedInstances + 1},
		"concurrency -1 is less than 1":                     {Concurrency: -1},
		"concurrency 2: only Managed Instances":             {Concurrency: 2, Mode: ModeSnapStart},
		`log format "Text": Managed Instances`:              {LogFormat: LogFormatText, Mode: ModeManagedInstances},
		"Managed Instances are not frozen":                  {Freeze: FreezeSignal, Mode: ModeManagedInstances},
		"there is no INVOKE": {
			TelemetryFaults: TelemetryFaults{LateInvoke: true}, Mode: ModeManagedInstances,
		},
		"tenant isolation does not go with snap-start":              {TenantID: "blue", Mode: ModeSnapStart},
		"tenant isolation does not go with provisioned-concurrency": {TenantID: "blue", Mode: ModeProvisionedConcurrency},
		`tenant id "two\nlines"`:                                    {TenantID: "two\nlines"},
		`init phase "snap-start" is unknown`:                        {InitPhase: "snap-start"},
		`init phase "invoke" is unknown`:                            {InitPhase: "invoke", Mode: ModeSnapStart},
		"out of memory in invocation -1":                            {OutOfMemory: -1},
		"share 1.5 is not from 0 to 1":                              {TelemetryFaults: TelemetryFaults{Drop: 1.5}},
		"restore timeout -1s is negative":                           {RestoreTimeout: -time.Second},
		"environment variables have 4097 bytes":                     {Env: map[string]string{"KEY": strings.Repeat("x", 4094)}},
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
