// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// envStockCollector names a program built from test/stockcollector. `make test` builds one and sets it.
const envStockCollector = "STOCK_COLLECTOR"

// TestStockCollectorAsBackend sends to a Collector of upstream components only.
func TestStockCollectorAsBackend(t *testing.T) {
	program := os.Getenv(envStockCollector)
	if program == "" {
		t.Skip("make test builds the stock Collector that this test needs, and sets " + envStockCollector)
	}
	const config = `
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:@HTTP@"}}}
  telemetryapi: {types: [platform, function]}
processors: {batch: }
exporters:
  otlp_http: {endpoint: "${env:STOCK_HTTP}"}
  otlp_grpc: {endpoint: "${env:STOCK_GRPC}", tls: {insecure: true}}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [EXPORTER]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [EXPORTER]}
    logs: {receivers: [otlp, telemetryapi], processors: [batch], exporters: [EXPORTER]}
`
	for _, exporter := range []string{"otlp_http", "otlp_grpc"} {
		t.Run(exporter, func(t *testing.T) {
			backend := startStockCollector(t, program)
			r := newRig(t, setup{
				config: strings.ReplaceAll(config, "EXPORTER", exporter),
				env:    map[string]string{"STOCK_HTTP": "http://" + backend.http, "STOCK_GRPC": backend.grpc},
			})
			r.init(t)
			for range 10 {
				r.succeed(t)
				time.Sleep(20 * time.Millisecond) // frozen
			}
			r.end(t)
			arrived := backend.stop(t)

			accepted := r.tap.Identities()
			require.NotEmpty(t, accepted)
			ledger := lambdasim.Account(accepted, arrived)
			require.Empty(t, ledger.Lost)
			require.Empty(t, ledger.Duplicated)
			require.NotEmpty(t, ledger.Unexpected, "the records from Lambda's events are there as well")
		})
	}
}

type stockCollector struct {
	cmd        *exec.Cmd
	grpc, http string
	output     string
}

func startStockCollector(t *testing.T, program string) *stockCollector {
	t.Helper()
	ports := freePorts(t)
	c := &stockCollector{
		grpc:   "127.0.0.1:" + ports.grpc,
		http:   "127.0.0.1:" + ports.http,
		output: filepath.Join(t.TempDir(), "received.jsonl"),
	}
	c.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program,
		"--config", filepath.Join("..", "stockcollector", "config.yaml"))
	c.cmd.Env = append(os.Environ(),
		"STOCK_GRPC_PORT="+ports.grpc, "STOCK_HTTP_PORT="+ports.http, "STOCK_OUTPUT="+c.output)
	c.cmd.Stdout, c.cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	for _, addr := range []string{c.grpc, c.http} {
		require.Eventually(t, func() bool {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
			return err == nil && conn.Close() == nil
		}, 30*time.Second, 20*time.Millisecond, "the stock Collector does not listen on %s", addr)
	}
	return c
}

// stop ends the collector, which writes everything it has, and returns what arrived.
func (c *stockCollector) stop(t *testing.T) map[string]int {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.cmd.Wait())
	file, err := os.Open(c.output)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	arrived, err := otlpsink.ReadJSONLines(file)
	require.NoError(t, err)
	return arrived
}
