// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"
)

func TestSplitURIs(t *testing.T) {
	for list, want := range map[string][]string{
		"":                          nil,
		" \t":                       nil,
		",":                         nil,
		" , ,":                      nil,
		"/var/task/config.yaml":     {"/var/task/config.yaml"},
		" /var/task/config.yaml\n":  {"/var/task/config.yaml"},
		"/var/task/config.yaml,":    {"/var/task/config.yaml"},
		",/var/task/config.yaml":    {"/var/task/config.yaml"},
		"/a.yaml,,/b.yaml, , ":      {"/a.yaml", "/b.yaml"},
		"/a.yaml,/b.yaml":           {"/a.yaml", "/b.yaml"},
		"/a.yaml , ./b.yaml,../c":   {"/a.yaml", "./b.yaml", "../c"},
		"config.yaml":               {"config.yaml"},
		"file:/a.yaml,env:CONFIG":   {"file:/a.yaml", "env:CONFIG"},
		"https://host/a?x=1,2&y=/3": {"https://host/a?x=1,2&y=/3"},
		"http://host/a,https://host/b": {
			"http://host/a", "https://host/b",
		},
		"s3://bucket.s3.eu-west-1.amazonaws.com/config.yaml, ssm:/otel/config,secretsmanager:otel": {
			"s3://bucket.s3.eu-west-1.amazonaws.com/config.yaml", "ssm:/otel/config", "secretsmanager:otel",
		},
		"yaml:service::telemetry::logs::level: debug":     {"yaml:service::telemetry::logs::level: debug"},
		"yaml:processors: {batch: {a: 1, b: [c, d,e]}}":   {"yaml:processors: {batch: {a: 1, b: [c, d,e]}}"},
		"yaml:exporters: {file: {path: x}, https: {}}":    {"yaml:exporters: {file: {path: x}, https: {}}"},
		"yaml:a: {env: x, file: y, s3: z, yaml: u}":       {"yaml:a: {env: x, file: y, s3: z, yaml: u}"},
		"/a.yaml,yaml:a: {b: 1, c: 2},https://host/b,/c/": {"/a.yaml", "yaml:a: {b: 1, c: 2}", "https://host/b", "/c/"},
		"yaml:a: {b: 1, c: 2}, yaml:d::e: 3, env:CONFIG,": {"yaml:a: {b: 1, c: 2}", "yaml:d::e: 3", "env:CONFIG"},
		"/opt/collector-config/config.yaml,yaml:a: [1,2]": {"/opt/collector-config/config.yaml", "yaml:a: [1,2]"},
	} {
		t.Run(list, func(t *testing.T) { require.Equal(t, want, splitURIs(list)) })
	}
}

func FuzzSplitURIs(f *testing.F) {
	f.Add("/a.yaml, yaml:b: {c: 1, d: 2},https://host/e,")
	f.Fuzz(func(t *testing.T, list string) {
		for _, uri := range splitURIs(list) {
			require.NotEmpty(t, uri)
			require.Contains(t, list, uri)
		}
	})
}

func TestEnvironment(t *testing.T) {
	const (
		executable = "/tmp/layer/extensions/otelcol-lambda"
		inLayer    = "/tmp/layer/collector-config/config.yaml"
		inOpt      = "/opt/collector-config/config.yaml"
	)
	warning := func(text string) []string { return []string{text} }
	for name, test := range map[string]struct {
		variables  map[string]string
		executable string
		files      []string
		want       environment
	}{
		"defaults": {want: environment{configURIs: []string{inOpt}}},
		"on Lambda": {
			variables:  map[string]string{"AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001"},
			executable: "/opt/extensions/otelcol-lambda", files: []string{inOpt},
			want: environment{runtimeAPI: "169.254.100.1:9001", configURIs: []string{inOpt}},
		},
		"in an unpacked layer": {
			executable: executable, files: []string{inLayer, inOpt}, want: environment{configURIs: []string{inLayer}},
		},
		"outside of a layer": {
			executable: executable, files: []string{inOpt}, want: environment{configURIs: []string{inOpt}},
		},
		"configuration": {
			variables:  map[string]string{envConfigURI: "/a.yaml, yaml:b: 1"},
			executable: executable, files: []string{inLayer},
			want: environment{configURIs: []string{"/a.yaml", "yaml:b: 1"}},
		},
		"deprecated variable": {
			variables: map[string]string{envConfigFile: "/a.yaml"},
			want: environment{
				configURIs: []string{"/a.yaml"},
				warnings:   warning("OPENTELEMETRY_COLLECTOR_CONFIG_FILE is deprecated; use OPENTELEMETRY_COLLECTOR_CONFIG_URI"),
			},
		},
		"both variables": {
			variables: map[string]string{envConfigFile: "/a.yaml", envConfigURI: "/b.yaml"},
			want: environment{
				configURIs: []string{"/b.yaml"},
				warnings:   warning("OPENTELEMETRY_COLLECTOR_CONFIG_FILE is deprecated; use OPENTELEMETRY_COLLECTOR_CONFIG_URI"),
			},
		},
		"set but empty": {
			variables:  map[string]string{envConfigFile: "", envConfigURI: "", envLogLevel: "", "AWS_LAMBDA_RUNTIME_API": ""},
			executable: executable, files: []string{inLayer},
			want: environment{configURIs: []string{inLayer}},
		},
		"set to nothing": {
			variables: map[string]string{envConfigURI: " , "}, want: environment{configURIs: []string{inOpt}},
		},
		"level": {
			variables: map[string]string{envLogLevel: "debug"},
			want:      environment{configURIs: []string{inOpt}, logLevel: zapcore.DebugLevel},
		},
		"level in capitals": {
			variables: map[string]string{envLogLevel: "WARN"},
			want:      environment{configURIs: []string{inOpt}, logLevel: zapcore.WarnLevel},
		},
		"unknown level": {
			variables: map[string]string{envLogLevel: "verbose"},
			want: environment{
				configURIs: []string{inOpt}, logLevel: zapcore.InfoLevel,
				warnings: warning("OPENTELEMETRY_EXTENSION_LOG_LEVEL must be debug, info, warn or error; it is taken for info"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]bool{}
			for _, file := range test.files {
				files[file] = true
			}
			got := parseEnvironment(
				func(name string) string { return test.variables[name] },
				test.executable,
				func(path string) bool { return files[path] })
			require.Equal(t, test.want, got)
		})
	}
}

func TestReadEnvironment(t *testing.T) {
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
	t.Setenv(envConfigURI, "/a.yaml,/b.yaml")
	t.Setenv(envConfigFile, "")
	t.Setenv(envLogLevel, "error")
	require.Equal(t, environment{
		runtimeAPI: "127.0.0.1:9001", configURIs: []string{"/a.yaml", "/b.yaml"}, logLevel: zapcore.ErrorLevel,
		httpAddress: "127.0.0.1:4318", grpcAddress: "127.0.0.1:4317",
	}, readEnvironment())
}
