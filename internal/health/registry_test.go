// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	since   = time.Unix(1_800_000_000, 0)
	earlier = since.Add(-time.Minute)
)

func TestRegistry(t *testing.T) {
	r := NewRegistry(since)
	var got []Count
	take := func(counts []Count) error { got = counts; return nil }
	require.False(t, r.Report(since, false, take))
	require.Nil(t, got)

	spans, logs := Attribute{AttrSignal, "spans"}, Attribute{AttrSignal, "log records"}
	r.Add(DroppedItems, 2, spans)
	r.Add(DroppedItems, 3, logs)
	r.Add(DroppedItems, 4, spans)
	r.Set(GuardDeaths, 1, earlier)
	r.Set(GuardKills, 0, earlier)
	all := []Count{
		{DroppedItems, []Attribute{logs}, 3, since},
		{DroppedItems, []Attribute{spans}, 6, since},
		{GuardDeaths, nil, 1, earlier},
	}
	require.Equal(t, all, r.Counts())

	require.False(t, r.Report(since, false, func([]Count) error { return errors.New("no room") }))
	require.True(t, r.Report(since, false, take))
	require.Equal(t, all, got, "what was not taken is reported again")
	require.False(t, r.Report(since, false, take))

	r.Set(GuardDeaths, 1, earlier)
	require.False(t, r.Report(since, false, take), "nothing has changed")
	r.Add(DroppedItems, 1, logs)
	require.True(t, r.Report(since, false, take))
	require.Equal(t, []Count{{DroppedItems, []Attribute{logs}, 4, since}}, got)
}

func TestDrop(t *testing.T) {
	r := NewRegistry(since)
	require.Zero(t, r.Dropped(SignalLogs, "late"))
	require.Empty(t, r.Counts(), "asking counts nothing")
	r.Drop(SignalLogs, "late", 2)
	r.Drop("traces", "late", 4)
	r.Drop(SignalLogs, "late", 1)
	require.EqualValues(t, 3, r.Dropped(SignalLogs, "late"))
	require.Equal(t, []Count{
		{DroppedItems, []Attribute{{AttrSignal, "logs"}, {AttrReason, "late"}}, 3, since},
		{DroppedItems, []Attribute{{AttrSignal, "traces"}, {AttrReason, "late"}}, 4, since},
	}, r.Counts())
}

// What is counted while a report is under way is part of the next one.
func TestCountingWhileReporting(t *testing.T) {
	r := NewRegistry(since)
	r.Add(GuardRestarts, 1)
	require.True(t, r.Report(since, false, func([]Count) error { r.Add(GuardRestarts, 1); return nil }))
	require.True(t, r.Report(since, false, func(counts []Count) error {
		require.Equal(t, int64(2), counts[0].Total)
		return nil
	}))
}

// What is of interest in the long run comes once in a while, with the levels of that moment, or at the last opportunity.
func TestRegularReports(t *testing.T) {
	r := NewRegistry(since)
	size := int64(7)
	forget := r.Watch(QueueSize, func() int64 { return size })
	r.Add(SentItems, 3)
	var got []Count
	take := func(counts []Count) error { got = counts; return nil }
	require.False(t, r.Report(since.Add(Interval-1), false, take))
	require.True(t, r.Report(since.Add(Interval), false, take))
	require.Equal(t, []Count{{QueueSize, nil, 7, since}, {SentItems, nil, 3, since}}, got)

	r.Add(SentItems, 1)
	require.False(t, r.Report(since.Add(2*Interval-1), false, take))
	r.Add(GuardDeaths, 1)
	require.True(t, r.Report(since.Add(2*Interval-1), false, take), "trouble does not wait")
	require.Equal(t, []Count{{GuardDeaths, nil, 1, since}}, got)
	require.True(t, r.Report(since.Add(2*Interval), false, take), "nor does it put off the rest")
	require.Len(t, got, 2)
	require.False(t, r.Report(since.Add(time.Hour), true, take), "levels alone are no news")

	forget()
	r.Add(SentItems, 1)
	require.True(t, r.Report(since.Add(2*Interval), true, take))
	require.Equal(t, []Count{{SentItems, nil, 5, since}}, got)
	r.Add(SentItems, 1)
	require.False(t, r.Report(since.Add(2*Interval), true, take), "the last report is the last")
	require.True(t, r.Report(since.Add(-time.Hour), false, take), "the clock was set back")
}

// Users find every metric in the docs, with its unit and meaning.
func TestDocs(t *testing.T) {
	docs, err := os.ReadFile("../../docs/health.md")
	require.NoError(t, err)
	for _, m := range Metrics() {
		require.NotEmpty(t, m.Description())
		require.Contains(t, string(docs), "| `"+string(m)+"` | `"+m.Unit()+"` |")
	}
}
