// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAppendLine(t *testing.T) {
	now := time.Date(2026, 2, 28, 23, 59, 59, 7_900_000, time.FixedZone("", -3600))
	require.Equal(t,
		`{"level":"warn","ts":"2026-03-01T00:59:59.007Z","msg":"A \"word\".","telemetry.self":"otelcol-lambda","status":"exit\n1","deaths":-3}`+"\n",
		string(appendLine(nil, now, levelWarn, `A "word".`, []field{str("status", "exit\n1"), str("stderr", ""), num("deaths", -3)})))
}

func TestAppendTime(t *testing.T) {
	for day := time.Date(1970, 1, 1, 12, 34, 56, 789e6, time.UTC); day.Year() < 2401; day = day.Add(24*time.Hour + 61*time.Second) {
		if want, got := day.Format("2006-01-02T15:04:05.000Z"), string(appendTime(nil, day)); want != got {
			require.Equal(t, want, got)
		}
	}
	require.Equal(t, "1970-01-01T00:00:00.000Z", string(appendTime(nil, time.Time{})))
}

func FuzzAppendEscaped(f *testing.F) {
	f.Add("a\"b\\c\nd\x00\x7f\xff\u2028é\t\r")
	f.Fuzz(func(t *testing.T, text string) {
		line := append(appendEscaped([]byte{'"'}, text), '"')
		var got string
		require.NoError(t, json.Unmarshal(line, &got))
		valid, err := json.Marshal(text) // replaces what is not UTF-8, as we do
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(valid, &want))
		require.Equal(t, want, got)
		for _, c := range line {
			require.GreaterOrEqual(t, c, byte(' '), "it stays on one line")
		}
	})
}
