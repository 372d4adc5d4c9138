// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package sandboxstat

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func known(n uint64) Value { return Value{N: n, Known: true} }

func TestSub(t *testing.T) {
	t.Parallel()
	earlier := Sample{CPU: known(100), Network: known(1000)}
	tests := []struct {
		name           string
		later, earlier Sample
		want           Usage
	}{
		{
			name: "used", earlier: earlier,
			later: Sample{CPU: known(130), Network: known(1000)},
			want:  Usage{CPU: known(30), Network: known(0)},
		},
		{
			name: "not known later", earlier: earlier,
			later: Sample{Network: known(1001)},
			want:  Usage{Network: known(1)},
		},
		{
			name: "not known earlier", earlier: Sample{},
			later: earlier,
		},
		{
			name: "counted down", earlier: earlier,
			later: Sample{CPU: known(99), Network: known(0)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.later.Sub(tt.earlier))
		})
	}
}
