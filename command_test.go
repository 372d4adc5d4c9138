// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// runTestCommand returns what a call of the program prints.
func runTestCommand(args ...string) (status int, out, errOut string) {
	var o, e bytes.Buffer
	env := parseEnvironment(func(string) string { return "" }, "", func(string) bool { return false })
	status = runCommand(env, args, &o, &e)
	return status, o.String(), e.String()
}

func TestCommand(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.yaml")
	require.NoError(t, os.WriteFile(good, []byte(`
receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:4318}}}}
exporters: {otlp_http: {endpoint: "https://otlp.example.com", headers: {api-key: hunter2}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}
`), 0o600))
	for name, tt := range map[string]struct {
		args   []string
		status int
		out    string // is in it
		errOut string
	}{
		"help":                      {args: []string{"--help"}, out: "Usage:"},
		"help as a command":         {args: []string{"help"}, out: "-feature-gates"},
		"help for a command":        {args: []string{"validate", "-h"}, out: "Usage:"},
		"version":                   {args: []string{"--version"}, out: "otelcol-lambda version "},
		"valid":                     {args: []string{"validate", "--config", good}},
		"flag in front":             {args: []string{"--config", good, "validate"}},
		"the later one wins":        {args: []string{"validate", "--config", "/nowhere", "--config", good}, status: 1, errOut: "/nowhere"},
		"not there":                 {args: []string{"validate", "--config=/nowhere"}, status: 1, errOut: "no such file"},
		"invalid":                   {args: []string{"validate", "--config=yaml:receivers: {otlp: {protocols: {grpcc: }}}"}, status: 1, errOut: "grpcc"},
		"no such pipeline receiver": {args: []string{"validate", "--config", good, "--set=service.pipelines.traces.receivers=[telemetryapi]"}, status: 1, errOut: "telemetryapi"},
		"set without a value":       {args: []string{"validate", "--set", "a.b"}, status: 2, errOut: "no equals sign"},
		"unknown flag":              {args: []string{"validate", "--bogus"}, status: 2, errOut: "-bogus"},
		"unknown command":           {args: []string{"nonsense"}, status: 1, errOut: `unknown command "nonsense"`},
		"too many arguments":        {args: []string{"validate", good}, status: 2, errOut: "unexpected argument"},
		"unknown feature gate":      {args: []string{"--feature-gates=no.such.gate", "components"}, status: 2, errOut: "no.such.gate"},
		"a collector that cannot":   {args: []string{"--config", good, "--set=receivers.otlp.protocols.http.endpoint=256.0.0.1:1"}, status: 1, errOut: "256.0.0.1"},
		"config of what is invalid": {args: []string{"config", "--config", "/nowhere"}, status: 1, errOut: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := runTestCommand(tt.args...)
			require.Equal(t, tt.status, status, "%s%s", out, errOut)
			require.Contains(t, out, tt.out)
			require.Contains(t, errOut, tt.errOut)
			if tt.out == "" {
				require.Empty(t, out)
			}
			if tt.errOut == "" {
				require.Empty(t, errOut)
			}
		})
	}
}

// TestConfigCommand shows what the converter has added, and keeps secrets.
func TestConfigCommand(t *testing.T) {
	status, out, errOut := runTestCommand("config", "--config", `yaml:
receivers: {otlp: {protocols: {http: }}}
exporters: {otlp_http: {endpoint: "https://otlp.example.com", headers: {api-key: hunter2}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}
`)
	require.Zero(t, status, errOut)
	require.NotContains(t, out, "hunter2")
	var config struct {
		Service struct {
			Extensions []string
			Pipelines  map[string]struct{ Processors []string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(out), &config), out)
	require.Contains(t, config.Service.Extensions, "lambda")
	require.Contains(t, config.Service.Pipelines["traces"].Processors, "decouple")
}

func TestComponentsCommand(t *testing.T) {
	status, out, errOut := runTestCommand("components")
	require.Zero(t, status, errOut)
	var has map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(out), &has), out)
	for kind, name := range map[string]string{
		"receivers": "telemetryapi", "processors": "decouple", "exporters": "otlp_http", "connectors": "forward",
		"extensions": "lambda",
	} {
		var list []entry
		node := has[kind]
		require.NoError(t, node.Decode(&list), kind)
		var names []string
		for _, e := range list {
			names = append(names, e.Name)
			require.NotEmpty(t, e.Module, e.Name)
		}
		require.Contains(t, names, name)
		require.IsIncreasing(t, names)
	}
}
