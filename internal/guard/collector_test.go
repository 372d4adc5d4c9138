// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const realConfig = `
receivers: {telemetryapi: {types: [platform, function]}}
processors: {decouple: }
exporters: {otlp_http: {endpoint: "${env:BACKEND}"}}
extensions: {lambda: }
service:
  extensions: [lambda]
  pipelines: {logs: {receivers: [telemetryapi], processors: [decouple], exporters: [otlp_http]}}
`

// newRealRig is a rig with the collector of this repository behind the guard.
func newRealRig(t *testing.T, s setup) (*rig, *otlpsink.Sink) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the collector")
	}
	sink := otlpsink.New(otlpsink.Options{})
	require.NoError(t, sink.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, sink.Close()) })
	s.bare = true
	if s.env == nil {
		s.env = map[string]string{}
	}
	s.env["BACKEND"] = sink.HTTPEndpoint()
	r := newRig(t, s)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace",
		"-o", filepath.Join(r.layer, "otelcol-lambda", "collector"), "github.com/otelcol-lambda/otelcol-lambda")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.Mkdir(filepath.Join(r.layer, "collector-config"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(r.layer, "collector-config", "config.yaml"), []byte(realConfig), 0o600))
	return r, sink
}

// child is the process of the collector, whose parent is the extension that Lambda started.
func (r *rig) child() int {
	r.t.Helper()
	guard := strconv.Itoa(r.env.Report().Inits[0].Extensions[0].PID)
	tasks, err := filepath.Glob("/proc/" + guard + "/task/*/children")
	require.NoError(r.t, err)
	var children []string
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		require.NoError(r.t, err)
		children = append(children, strings.Fields(string(content))...)
	}
	require.Len(r.t, children, 1)
	pid, err := strconv.Atoi(children[0])
	require.NoError(r.t, err)
	return pid
}

func (r *rig) delivered(sink *otlpsink.Sink) (bodies []string) {
	for _, record := range sink.LogRecords() {
		bodies = append(bodies, record.Body().AsString())
	}
	return bodies
}

func TestRealCollector(t *testing.T) {
	r, sink := newRealRig(t, setup{})
	r.init()
	for n := range 20 {
		if n == 5 {
			require.NoError(t, syscall.Kill(r.child(), syscall.SIGKILL))
		}
		require.Less(t, r.invokeFor(150*time.Millisecond).Held, patience/6)
	}
	report := r.shutdown()
	requireMessages(t, []string{crashed + later, back}, guardOnly(r.output.messages(t)))
	bodies := strings.Join(r.delivered(sink), "\n") + "\n"
	for n := 1; n <= 20; n++ {
		if n != 6 { // ran without a collector, and what it logged waits for the one that is started meanwhile
			require.Contains(t, bodies, "working on "+strconv.Itoa(n)+"\n")
		}
	}
	for kind, counts := range report.Telemetry[0].Events {
		require.Zero(t, counts.Dropped, kind)
	}
}

// guardOnly leaves out what the collector says.
func guardOnly(messages []string) (list []string) {
	for _, message := range messages {
		if strings.Contains(message, ": The collector ") {
			list = append(list, message)
		}
	}
	return list
}

// What is wrong with a configuration is said in one line, and costs nothing else.
func TestRealCollectorWithoutConfiguration(t *testing.T) {
	for name, test := range map[string]struct{ config, says, shows string }{
		"does not parse":    {"yaml:{", "", "yaml"},
		"unknown component": {"yaml:{receivers: {kafka: }, exporters: {nop: }, service: {pipelines: {traces: {receivers: [kafka], exporters: [nop]}}}}", "", "kafka"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRealRig(t, setup{
				env:     map[string]string{"OPENTELEMETRY_COLLECTOR_CONFIG_URI": test.config},
				options: func(o *lambdasim.Options) { o.Timeout = 10 * time.Second },
			})
			r.init()
			for range 20 {
				require.Less(t, r.invoke(1).Held, time.Second)
			}
			r.shutdown()
			t.Log(r.output.String())
			require.Contains(t, r.output.String(), test.shows)
		})
	}
}
