// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

var lastResortConfig = strings.Replace(usualConfig, "  lambda:\n", "  lambda: {spool: stdout}\n", 1)

// inTheLog is the OTLP JSON among what the processes wrote, one line of it per line.
func (r *rig) inTheLog() string {
	var found strings.Builder
	for line := range strings.Lines(r.log.String()) {
		if _, line, _ = strings.Cut(line, "] "); strings.HasPrefix(line, `{"resource`) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// The backend takes nothing until the end, and nobody comes after a spindown. Everything is in the log.
func TestLastResortAfterSpindown(t *testing.T) {
	r := newRig(t, setup{config: lastResortConfig, faults: "status=503"})
	r.init(t)
	for range 5 {
		r.succeed(t)
	}
	r.end(t)

	written, err := otlpsink.ReadJSONLines(strings.NewReader(r.inTheLog()))
	require.NoError(t, err)
	accepted := r.tap.Identities()
	require.NotEmpty(t, accepted)
	ledger := lambdasim.Account(accepted, written)
	require.Empty(t, ledger.Lost)
	require.Empty(t, ledger.Duplicated)
	require.Empty(t, r.sink.Identities())

	lines := 0
	for _, s := range r.Report().Telemetry {
		lines += s.Events["function"].Delivered
	}
	require.Positive(t, lines)
	require.Equal(t, lines, functionLines(t, r.inTheLog()), "what the function printed is there as well")
	r.says(t, "was written to the log as lines of OTLP JSON")
	require.NotContains(t, r.log.String(), "Data was dropped")
}

// functionLines counts the log records among OTLP JSON that were made of the function's own lines.
func functionLines(t *testing.T, otlpJSON string) int {
	t.Helper()
	var decoder plog.JSONUnmarshaler
	n := 0
	for line := range strings.Lines(otlpJSON) {
		ld, err := decoder.UnmarshalLogs([]byte(line))
		require.NoError(t, err)
		for _, resource := range ld.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					if v, ok := record.Attributes().Get("type"); ok && v.Str() == "function" {
						n++
					}
				}
			}
		}
	}
	return n
}

// The function crashes, and its /tmp cannot be used. What the old collector had is in the log, and what the new one gets is
// delivered.
func TestLastResortAfterAReset(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "otelcol-lambda"), []byte("somebody else's"), 0o600))
	r := newRig(t, setup{config: lastResortConfig, faults: "status=503", env: map[string]string{"TMPDIR": dir},
		options: func(o *lambdasim.Options) { o.Timeout = 2 * time.Second }})
	r.init(t)
	r.succeed(t)
	require.NotEqual(t, lambdasim.StatusSuccess, r.invoke(t, `{"crash":true}`).Status)
	require.NoError(t, r.sink.SetFaults())
	r.succeed(t)
	r.end(t)
	r.says(t, "The spool cannot be used")

	arrived, err := otlpsink.ReadJSONLines(strings.NewReader(r.inTheLog()))
	require.NoError(t, err)
	require.NotEmpty(t, arrived)
	for item, n := range r.sink.Identities() {
		arrived[item] += n
	}
	ledger := lambdasim.Account(r.tap.Identities(), arrived)
	require.Empty(t, ledger.Lost)
	require.Empty(t, ledger.Duplicated)
}
