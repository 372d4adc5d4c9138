// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// The backend is down when a function times out. Lambda ends all processes and starts new ones; what the old collector
// had taken, the new one delivers.
func TestReset(t *testing.T) {
	for name, event := range map[string]string{"timeout": `{"hang":true}`, "crash": `{"crash":true}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{faults: "status=503", options: func(o *lambdasim.Options) { o.Timeout = 2 * time.Second }})
			r.init(t)
			for range 6 {
				r.succeed(t)
			}
			seventh := r.invoke(t, event)
			require.NotEqual(t, lambdasim.StatusSuccess, seventh.Status)
			require.Empty(t, r.sink.Spans())
			r.says(t, "Data is kept on disk for the next process of this environment")

			require.NoError(t, r.sink.SetFaults())
			r.succeed(t)
			r.end(t)
			r.nothingLost(t)
			r.says(t, "Found data that an earlier process of this environment could not deliver")
			require.NotContains(t, r.log.String(), "Data was dropped")
		})
	}
}

// Nobody comes after a spindown, so nothing is written, and what is lost is said.
func TestSpindownSpoolsNothing(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, setup{faults: "status=503", env: map[string]string{"TMPDIR": dir}})
	r.init(t)
	r.succeed(t)
	r.end(t)
	r.says(t, "Data was dropped")
	_, err := os.Stat(filepath.Join(dir, "otelcol-lambda"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The function has filled /tmp, or put something else there: the layer says so, and does without.
func TestSpoolThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "otelcol-lambda"), []byte("somebody else's"), 0o600))
	r := newRig(t, setup{faults: "status=503", env: map[string]string{"TMPDIR": dir}, options: func(o *lambdasim.Options) {
		o.Timeout = 2 * time.Second
	}})
	r.init(t)
	r.succeed(t)
	require.NotEqual(t, lambdasim.StatusSuccess, r.invoke(t, `{"crash":true}`).Status)
	require.NoError(t, r.sink.SetFaults([]otlpsink.Fault{}...))
	r.succeed(t)
	r.end(t)
	r.says(t, "The spool cannot be used")
	r.says(t, "Data was dropped")
}
