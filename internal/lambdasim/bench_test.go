// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkInvocation is what an invocation costs at least: thaw, answer, next, freeze.
func BenchmarkInvocation(b *testing.B) {
	program, err := os.Executable()
	require.NoError(b, err)
	layer := b.TempDir()
	require.NoError(b, os.Mkdir(filepath.Join(layer, "extensions"), 0o755))
	require.NoError(b, os.Symlink(program, filepath.Join(layer, "extensions", "shutdownonly")))
	for name, mode := range map[string]FreezeMode{"auto": FreezeAuto, "signal": FreezeSignal, "none": FreezeNone} {
		b.Run(name, func(b *testing.B) {
			e, err := New(Options{LayerDir: layer, Function: []string{program}, Freeze: mode})
			require.NoError(b, err)
			ctx := context.Background()
			require.NoError(b, e.Init(ctx))
			var function time.Duration
			for b.Loop() {
				inv, err := e.Invoke(ctx, []byte("{}"))
				require.NoError(b, err)
				require.NoError(b, e.Settle(ctx))
				function += inv.FunctionDuration
			}
			b.ReportMetric(float64(function.Nanoseconds())/float64(b.N), "function-ns/op")
			require.NoError(b, e.Close())
		})
	}
}
