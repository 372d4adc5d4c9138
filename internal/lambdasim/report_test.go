// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		sent, arrived map[string]int
		want          Ledger
		balanced      bool
	}{
		"nothing": {want: Ledger{Lost: []string{}, Duplicated: []string{}, Unexpected: []string{}}, balanced: true},
		"all": {
			sent: map[string]int{"a": 2, "b": 1}, arrived: map[string]int{"a": 2, "b": 1},
			want: Ledger{Lost: []string{}, Duplicated: []string{}, Unexpected: []string{}}, balanced: true,
		},
		"lost": {
			sent: map[string]int{"b": 1, "a": 3, "c": 1}, arrived: map[string]int{"a": 1, "c": 1},
			want: Ledger{Lost: []string{"a", "a", "b"}, Duplicated: []string{}, Unexpected: []string{}},
		},
		"duplicated": {
			sent: map[string]int{"a": 1, "b": 2}, arrived: map[string]int{"a": 3, "b": 3},
			want: Ledger{Lost: []string{}, Duplicated: []string{"a", "a", "b"}, Unexpected: []string{}},
		},
		"unexpected": {
			sent: map[string]int{"b": 0}, arrived: map[string]int{"b": 2, "a": 1},
			want: Ledger{Lost: []string{}, Duplicated: []string{}, Unexpected: []string{"a", "b", "b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Account(tt.sent, tt.arrived)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.balanced, got.Balanced())
		})
	}
}

func TestLate(t *testing.T) {
	start := time.Unix(1000, 0)
	sent := map[string]time.Time{"b": start, "a": start, "c": start, "lost": start}
	arrived := map[string]time.Time{
		"a": start.Add(11 * time.Second), "b": start.Add(time.Minute), "c": start.Add(10 * time.Second), "unexpected": start,
	}
	require.Equal(t, []string{"a", "b"}, Late(sent, arrived, 10*time.Second))
	require.Empty(t, Late(sent, arrived, time.Hour))
}

func TestReportMarshals(t *testing.T) {
	data, err := json.Marshal(Report{
		Freezes: 3,
		Invocations: []Invocation{
			{RequestID: "id", Number: 1, Payload: []byte(`{"a":1}`), Response: []byte("text"), Held: 2 * time.Millisecond},
		},
	})
	require.NoError(t, err)
	var got struct {
		Freezes     int `json:"freezes"`
		Invocations []struct {
			RequestID string         `json:"requestId"`
			Payload   map[string]int `json:"payload"`
			Response  string         `json:"response"`
			Held      time.Duration  `json:"heldNs"`
		} `json:"invocations"`
	}
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, 3, got.Freezes)
	require.Equal(t, "id", got.Invocations[0].RequestID)
	require.Equal(t, map[string]int{"a": 1}, got.Invocations[0].Payload)
	require.Equal(t, "text", got.Invocations[0].Response)
	require.Equal(t, 2*time.Millisecond, got.Invocations[0].Held)
}
