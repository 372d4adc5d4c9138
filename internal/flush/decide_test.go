// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Unix(1_800_000_000, 0)

// invoked is an invocation some time after the first one, of which all deliveries succeed.
type invoked struct {
	at   time.Duration
	want string
	// tick is when it delivered while it ran, if it did.
	tick time.Duration
	// killed is the end that the function never came to.
	killed bool
}

// show is what the table writes: S for AtStart, E for AtEnd.
func show(p Plan) string {
	text := ""
	if p.AtStart {
		text += "S"
	}
	if p.AtEnd {
		text += "E"
	}
	return text
}

// steady are invocations with one gap between them.
func steady(from, gap time.Duration, want ...string) []invoked {
	var all []invoked
	for i, w := range want {
		all = append(all, invoked{at: from + time.Duration(i)*gap, want: w})
	}
	return all
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const s, m, h = time.Second, time.Minute, time.Hour
	learning := slices.Repeat([]string{"E"}, 10)
	tests := []struct {
		name     string
		settings Settings
		every    time.Duration
		history  []invoked
	}{
		{"end", Settings{Strategy: End}, 0, steady(0, s/100, "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E")},
		{"end leaves what a killed invocation left to its end", Settings{Strategy: End}, 0, []invoked{
			{want: "E", killed: true}, {at: h, want: "E"},
		}},
		{"end with an interval", Settings{Strategy: End, Interval: s}, s, steady(0, h, "E", "E")},
		{"end with a negative interval", Settings{Strategy: End, Interval: -s}, 0, steady(0, h, "E", "E")},

		{"periodic delivers first in the second invocation", Settings{Strategy: Periodic}, 10 * s, []invoked{
			{want: ""}, {at: s, want: "S"}, {at: 2 * s, want: ""}, {at: 10 * s, want: ""}, {at: 11*s - 1, want: ""},
			{at: 11 * s, want: "S"}, {at: h, want: "S"}, {at: h + 9*s, want: ""}, {at: h + 19*s, want: "S"},
		}},
		{"periodic counts milliseconds", Settings{Strategy: Periodic, Interval: 3 * s / 2}, 3 * s / 2, []invoked{
			{want: ""}, {at: s, want: "S"}, {at: 5*s/2 - time.Millisecond, want: ""}, {at: 5 * s / 2, want: "S"},
		}},
		{"periodic counts from what it delivered while an invocation ran", Settings{Strategy: Periodic}, 10 * s, []invoked{
			{want: "", tick: 10 * s}, {at: 15 * s, want: ""}, {at: 19 * s, want: ""}, {at: 20 * s, want: "S"},
		}},
		{"periodic, clock set back by a day", Settings{Strategy: Periodic}, 10 * s, []invoked{
			{want: ""}, {at: s, want: "S"},
			{at: 2*s - 24*h, want: "S"}, {at: 3*s - 24*h, want: ""}, {at: 12*s - 24*h, want: "S"},
		}},
		{"periodic, clock set back by less than has passed", Settings{Strategy: Periodic}, 10 * s, []invoked{
			{want: ""}, {at: s, want: "S"}, {at: 9 * s, want: ""}, {at: 2 * s, want: ""}, {at: 11 * s, want: "S"},
		}},
		{"periodic, clock set far forward", Settings{Strategy: Periodic}, 10 * s, []invoked{
			{want: ""}, {at: s, want: "S"},
			{at: 2*s + 24*h, want: "S"}, {at: 3*s + 24*h, want: ""}, {at: 12*s + 24*h, want: "S"},
		}},

		{"continuous", Settings{Strategy: Continuous}, s, steady(0, s/100, "S", "S", "S")},
		{"continuous with an interval", Settings{Strategy: Continuous, Interval: 5 * s}, 5 * s,
			steady(0, h, "S", "S", "S")},

		{"adaptive, one invocation a minute", Settings{Strategy: Adaptive}, 10 * s,
			steady(0, m, "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E")},
		{"adaptive, rarely", Settings{Strategy: Adaptive}, 10 * s,
			steady(0, 11*s, "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E", "E")},
		{"adaptive, just frequent", Settings{Strategy: Adaptive}, 10 * s,
			steady(0, 10*s, append(learning, "", "S", "S", "S")...)},
		{"adaptive, frequent", Settings{Strategy: Adaptive}, 10 * s,
			steady(0, 4*s, append(learning, "", "", "S", "", "", "S", "")...)},
		{"adaptive is the default", Settings{}, 10 * s, steady(0, 4*s, append(learning, "", "", "S", "", "", "S", "")...)},
		{"adaptive is what unknown strategies are", Settings{Strategy: "often"}, 10 * s, steady(0, h, "E", "E")},
		{"adaptive, busy traffic lasts before it is frequent", Settings{Strategy: Adaptive}, 10 * s,
			steady(0, s/2, append(append(learning, learning...), "", "")...)},
		{"adaptive, but not longer than the interval", Settings{Strategy: Adaptive, Interval: s / 10}, s / 10,
			steady(0, s/100, append(learning, "", "", "", "", "", "", "", "", "", "", "S")...)},
		{"adaptive, nor longer than 10 s", Settings{Strategy: Adaptive, Interval: h}, h,
			steady(0, s, append(learning, "", "", "")...)},
		{"adaptive, traffic slows down", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, 2*s, append(learning, "")...),
			// Mean gaps of up to 30 s: 59 s five times and 2 s five times are 30.5 s.
			steady(20*s+59*s, 59*s, "S", "S", "S", "S", "SE", "E", "E"),
		)},
		{"adaptive, traffic slows down, nothing is due", Settings{Strategy: Adaptive, Interval: h}, h, slices.Concat(
			steady(0, 2*s, append(learning, "")...), steady(20*s+59*s, 59*s, "", "", "", "", "E", "E"),
		)},
		{"adaptive, neither rare nor frequent", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, 10*s, append(learning, "")...), steady(130*s, 30*s, slices.Repeat([]string{"S"}, 20)...),
		)},
		{"adaptive, traffic dies", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, s, append(learning, "", "", "", "")...),
			steady(13*s+m, s, append([]string{"SE"}, append(learning[1:], "")...)...),
		)},
		{"adaptive, traffic dies for almost a minute", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, s, append(learning, "", "", "", "")...), steady(13*s+m-1, s, "S", "", ""),
		)},
		{"adaptive, old data leaves before the interval", Settings{Strategy: Adaptive, Interval: h}, h, slices.Concat(
			steady(0, s, append(learning, "", "")...), steady(11*s+2*m, s, "SE", "E"),
		)},
		{"adaptive, an invocation was killed", Settings{Strategy: Adaptive}, 10 * s, []invoked{
			{want: "E"}, {at: m, want: "E", killed: true}, {at: 2 * m, want: "SE"}, {at: 3 * m, want: "E"},
		}},
		{"adaptive, clock set back by a day", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, s, append(learning, "", "", "", "")...), steady(14*s-24*h, s, "S", "", "", ""),
		)},
		{"adaptive, clock set back while it learns", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, 2*s, "E", "E", "E", "E", "E"), steady(10*s-24*h, 2*s, "E", "E", "E", "E", "E", "E", ""),
		)},
		{"adaptive, clock set far forward", Settings{Strategy: Adaptive}, 10 * s, slices.Concat(
			steady(0, s, append(learning, "", "", "", "")...),
			steady(14*s+24*h, s, append([]string{"SE"}, append(learning[1:], "")...)...),
		)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var h History
			for i, inv := range test.history {
				var p Plan
				now := start.Add(inv.at)
				p, h = Decide(test.settings, h, now)
				require.Equal(t, inv.want, show(p), "invocation %d, at %v", i+1, inv.at)
				require.Equal(t, test.every, p.Every)
				if p.AtStart {
					h = h.Delivered(now)
				}
				if inv.tick > 0 {
					h = h.Delivered(now.Add(inv.tick))
				}
				if p.AtEnd && !inv.killed {
					h = h.Delivered(now.Add(time.Millisecond))
				}
			}
		})
	}
}

func TestMode(t *testing.T) {
	t.Parallel()
	var h History
	require.Equal(t, End, h.Mode())
	// What Adaptive would do is known when it comes to its turn.
	for i := range window + 1 {
		require.Equal(t, End, h.Mode())
		_, h = Decide(Settings{Strategy: Continuous}, h, start.Add(time.Duration(i)*time.Second))
	}
	require.Equal(t, Periodic, h.Mode())
	p, _ := Decide(Settings{Strategy: Adaptive}, h, start.Add(window*time.Second+quietGap))
	require.True(t, p.AtEnd)
	require.Equal(t, Periodic, h.Mode(), "the copy is a snapshot")
}

// TestWallTime: what is kept has no monotonic reading, which time.Time's methods would prefer.
func TestWallTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.NotEqual(t, now, now.Round(0))
	_, h := Decide(Settings{Strategy: Periodic}, History{}, now)
	require.Equal(t, History{arrived: now.Round(0)}, h)
	require.Equal(t, History{arrived: now.Round(0), delivered: now.Round(0), sent: true}, h.Delivered(now))
}

func TestNoAllocations(t *testing.T) { // AllocsPerRun is not for parallel tests
	settings, h, now := Settings{}, History{}, start
	var ends int
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		var p Plan
		now = now.Add(time.Second)
		p, h = Decide(settings, h, now)
		if p.AtStart || p.AtEnd {
			h = h.Delivered(now)
		}
		if p.AtEnd {
			ends++
		}
	}))
	require.Equal(t, window, ends, "all that is not learning is Periodic")
}

// BenchmarkDecide is what one invocation costs, with the delivery of each interval.
func BenchmarkDecide(b *testing.B) {
	for _, gap := range []time.Duration{20 * time.Millisecond, time.Minute} {
		b.Run(gap.String(), func(b *testing.B) {
			b.ReportAllocs()
			h, now, deliveries := History{}, start, 0
			for b.Loop() {
				var p Plan
				now = now.Add(gap)
				p, h = Decide(Settings{}, h, now)
				if p.AtStart || p.AtEnd {
					h = h.Delivered(now)
					deliveries++
				}
			}
			require.Positive(b, deliveries)
		})
	}
}
