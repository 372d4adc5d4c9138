// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAttributeOf holds the names that are written down against those that are made.
func TestAttributeOf(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"status", "functionArn", "durationMs", "producedBytes", "spans", "spanId", "type", "value", "maxMemoryUsedMB", "new",
	} {
		for _, prefix := range []string{attrPrefix, attrTracing} {
			require.Equal(t, attributeName(prefix, name), attributeOf(prefix, field{name: []byte(name)}))
		}
	}
}
