// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// step is something that happens on a Managed Instance, and when the next delivery is due then.
type step struct {
	at time.Duration
	// what is `start ID`, `report ID` or `deliver`.
	what string
	next time.Duration
	idle bool
}

func TestManaged(t *testing.T) {
	t.Parallel()
	const ms, s, m = time.Millisecond, time.Second, time.Minute
	for name, test := range map[string]struct {
		settings Settings
		steps    []step
	}{
		"nothing is heard": {steps: []step{
			{s, "deliver", 2 * s, false}, {2 * s, "deliver", 3 * s, false}, {9 * s, "deliver", 10 * s, false},
		}},
		"the interval is the user's, whatever the strategy": {Settings{Strategy: End, Interval: 10 * s}, []step{
			{10 * s, "deliver", 20 * s, false}, {11 * s, "start 1", 20 * s, false}, {12 * s, "report 1", 12500 * ms, true},
		}},
		"no strategy has another default": {Settings{Strategy: Periodic}, []step{{s, "deliver", 2 * s, false}}},
		"a negative interval is none":     {Settings{Interval: -s}, []step{{s, "deliver", 2 * s, false}}},
		"an interval without a unit":      {Settings{Interval: 10}, []step{{s, "deliver", s + shortestInterval, false}}},

		"an invocation ends after a while": {steps: []step{
			{5 * s, "deliver", 6 * s, false},
			{5100 * ms, "start 1", 6 * s, false},
			{5900 * ms, "report 1", 5250 * ms, true}, // which is now
			{5900 * ms, "deliver", 6900 * ms, true},
			{6900 * ms, "deliver", 7900 * ms, true},
		}},
		"an invocation ends soon after a delivery": {steps: []step{
			{5 * s, "deliver", 6 * s, false},
			{5010 * ms, "start 1", 6 * s, false},
			{5020 * ms, "report 1", 5250 * ms, true},
			{5250 * ms, "deliver", 6250 * ms, true},
		}},
		"one begins before it was delivered": {steps: []step{
			{5 * s, "deliver", 6 * s, false},
			{5010 * ms, "start 1", 6 * s, false},
			{5020 * ms, "report 1", 5250 * ms, true},
			{5030 * ms, "start 2", 6 * s, false},
			{5040 * ms, "report 2", 5250 * ms, true},
		}},
		"the last of several counts": {steps: []step{
			{0, "start 1", s, false}, {0, "start 2", s, false}, {0, "start 3", s, false},
			{500 * ms, "report 2", s, false}, {600 * ms, "report 1", s, false}, {700 * ms, "report 3", 0, true},
		}},
		"idle without news": {steps: []step{
			{0, "start 1", s, false}, {300 * ms, "report 1", 0, true},
			{300 * ms, "deliver", 1300 * ms, true},
			{400 * ms, "start 2", 1300 * ms, false},
			{1300 * ms, "deliver", 2300 * ms, false}, // the end of the first has been delivered before
			{1400 * ms, "report 2", 1550 * ms, true},
		}},

		"the report comes before the start": {steps: []step{
			{0, "report 1", 0, true}, {10 * ms, "start 1", 0, true}, {20 * ms, "start 2", s, false},
		}},
		"the report comes before the start while another runs": {steps: []step{
			{0, "start 0", s, false}, {0, "report 1", s, false}, {0, "start 1", s, false}, {0, "report 0", 0, true},
		}},
		"both come twice": {steps: []step{
			{0, "start 1", s, false}, {0, "start 1", s, false}, {0, "report 1", 0, true}, {0, "report 1", 0, true},
		}},
		"the start was lost": {steps: []step{
			{0, "start 0", s, false}, {0, "report 1", s, false}, {0, "report 0", 0, true},
		}},
		"tried again under the same id": {steps: []step{
			{0, "start 1", s, false}, {s, "report 1", 0, true},
			{m, "start 1", s, false}, {m + s, "report 1", 0, true},
		}},
		"tried again under the same id, the first start was lost": {steps: []step{
			{s, "report 1", 0, true}, {m, "start 1", s, false}, {m + s, "report 1", 0, true},
		}},
		"tried again under the same id, the first report was lost": {steps: []step{
			{0, "start 1", s, false}, {m, "start 1", s, false}, {m + s, "report 1", 0, true},
		}},
		"a report was lost": {steps: []step{
			{0, "start 1", s, false},
			{m, "start 2", s, false}, {2 * m, "report 2", s, false},
			{15*m - 1, "start 3", s, false}, {16 * m, "report 3", s, false}, // it may still run
			{31 * m, "start 4", s, false}, {31*m + s, "report 4", 0, true}, // but not for that long
		}},
		"a report was lost long ago": {steps: []step{
			{0, "start 1", s, false}, {30 * m, "start 2", s, false}, {30*m + s, "report 2", 0, true},
		}},
		"events of no invocation": {steps: []step{
			{0, "start ", s, false}, {0, "report ", s, false},
			{0, "start 1", s, false}, {0, "start ", s, false}, {0, "report 1", 0, true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			managed := NewManaged(test.settings, start)
			for i, step := range test.steps {
				now := start.Add(step.at)
				switch what, id, _ := strings.Cut(step.what, " "); what {
				case "start":
					managed.Started(id, now)
				case "report":
					managed.Reported(id, now)
				default:
					managed.Delivered(now)
				}
				where := fmt.Sprintf("step %d: %s", i, step.what)
				require.Equal(t, step.next, managed.Next().Sub(start), where)
				require.Equal(t, step.idle, managed.Idle(), where)
			}
		})
	}
}

func TestManagedInterval(t *testing.T) {
	t.Parallel()
	require.Equal(t, time.Second, NewManaged(Settings{Strategy: End}, start).Interval())
	require.Equal(t, time.Minute, NewManaged(Settings{Interval: time.Minute}, start).Interval())
}

// news is an event about an invocation, at the time when it is heard of.
type news struct {
	at     time.Duration
	report bool
	id     string
}

// instance is the traffic of a Managed Instance, and how its events travel.
type instance struct {
	invocations, inFlight int
	longest, pause        time.Duration
	late                  time.Duration // how long events may take
	lost, twice           float64       // shares of the events
}

func (i instance) events(random *rand.Rand) []news {
	var all []news
	send := func(n news) {
		if random.Float64() < i.lost {
			return
		}
		copies := 1
		if random.Float64() < i.twice {
			copies++
		}
		for range copies {
			late := n
			late.at += time.Duration(random.Int64N(int64(i.late) + 1))
			all = append(all, late)
		}
	}
	free := make([]time.Duration, i.inFlight)
	for n := range i.invocations {
		slot := n % i.inFlight
		begin := free[slot] + time.Duration(random.Int64N(int64(i.pause)+1))
		free[slot] = begin + 1 + time.Duration(random.Int64N(int64(i.longest)))
		send(news{begin, false, strconv.Itoa(n)})
		send(news{free[slot], true, strconv.Itoa(n)})
	}
	slices.SortStableFunc(all, func(a, b news) int { return cmp.Compare(a.at, b.at) })
	return all
}

// run delivers whenever it is due, and returns when.
func run(m *Managed, events []news, until time.Duration, check func(now time.Duration)) (deliveries []time.Duration) {
	deliver := func(now time.Duration) {
		m.Delivered(start.Add(now))
		deliveries = append(deliveries, now)
	}
	now := time.Duration(0)
	advance := func(to time.Duration) {
		for due := max(now, m.Next().Sub(start)); due <= to; due = max(now, m.Next().Sub(start)) {
			now = due
			deliver(now)
			check(now)
		}
		now = to
	}
	for _, e := range events {
		advance(e.at)
		if e.report {
			m.Reported(e.id, start.Add(now))
		} else {
			m.Started(e.id, start.Add(now))
		}
		check(now)
	}
	advance(until)
	return deliveries
}

// Whatever the traffic, and whatever becomes of its events.
func TestManagedProperties(t *testing.T) {
	t.Parallel()
	const interval, spacing = time.Second, time.Second / spacings
	for name, i := range map[string]instance{
		"quiet":            {invocations: 50, inFlight: 1, longest: time.Second, pause: time.Minute},
		"busy":             {invocations: 3000, inFlight: 16, longest: 50 * time.Millisecond},
		"flipping":         {invocations: 5000, inFlight: 1, longest: time.Millisecond, pause: time.Millisecond},
		"reordered":        {invocations: 1000, inFlight: 4, longest: 100 * time.Millisecond, pause: time.Second, late: 5 * time.Second},
		"twice":            {invocations: 1000, inFlight: 4, longest: 100 * time.Millisecond, pause: time.Second, twice: 0.3},
		"losing":           {invocations: 3000, inFlight: 8, longest: time.Second, pause: time.Second, lost: 0.2},
		"losing almost":    {invocations: 3000, inFlight: 8, longest: time.Second, lost: 0.95},
		"losing for hours": {invocations: 300, inFlight: 2, longest: time.Minute, pause: time.Minute, lost: 0.3},
		"all of it": {
			invocations: 3000, inFlight: 32, longest: time.Second, pause: 2 * time.Second,
			late: time.Second, lost: 0.1, twice: 0.1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible
				events := i.events(random)
				require.NotEmpty(t, events)
				last := events[len(events)-1].at
				m := NewManaged(Settings{Interval: interval}, start)
				kept := 0
				deliveries := run(m, events, last+time.Minute, func(time.Duration) {
					kept = max(kept, len(m.running.young)+len(m.running.old)+len(m.early.young)+len(m.early.old))
				})

				previous := time.Duration(0)
				for n, at := range deliveries {
					if n > 0 { // nothing is before the first
						require.GreaterOrEqual(t, at-previous, spacing, "seed %d: at %s", seed, at)
					}
					require.LessOrEqual(t, at-previous, interval, "seed %d: at %s", seed, at)
					previous = at
				}
				require.LessOrEqual(t, kept, 4*mostInvocations)

				if i.lost == 0 && i.twice == 0 {
					require.True(t, m.Idle(), "seed %d", seed)
					end := last
					for _, e := range slices.Backward(events) {
						if e.report {
							end = e.at
							break
						}
					}
					n, _ := slices.BinarySearch(deliveries, end)
					require.LessOrEqual(t, deliveries[n]-end, spacing, "seed %d: the end does not wait for the interval", seed)
				}
				// What was lost is not missed for ever.
				later := start.Add(last + 2*longestInvocation)
				m.Started("later", later)
				m.Reported("later", later)
				require.True(t, m.Idle(), "seed %d", seed)
			}
		})
	}
}

// As long as all events come in order, what is known is what is.
func TestManagedKnowsWhatRuns(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // reproducible
		m := NewManaged(Settings{}, start)
		running := map[string]bool{}
		for n, e := range (instance{invocations: 2000, inFlight: 64, longest: 14 * time.Minute, pause: time.Hour}).events(random) {
			if e.report {
				m.Reported(e.id, start.Add(e.at))
				delete(running, e.id)
			} else {
				m.Started(e.id, start.Add(e.at))
				running[e.id] = true
			}
			require.Equal(t, len(running) > 0, m.Running(), "seed %d, event %d", seed, n)
		}
	}
}

// Reports that never come cost a bounded amount of memory, and so do those whose starts never come. As many invocations
// as can run at once are remembered.
func TestManagedForgets(t *testing.T) {
	t.Parallel()
	size := func(r recent) int { return len(r.young) + len(r.old) }
	m := NewManaged(Settings{}, start)
	for n := range 20 * mostInvocations {
		m.Started(strconv.Itoa(n), start)
		m.Reported("other "+strconv.Itoa(n), start)
		require.LessOrEqual(t, size(m.running), 2*mostInvocations)
		require.LessOrEqual(t, size(m.early), 2*mostInvocations)
	}
	for n := range mostInvocations {
		id := strconv.Itoa(20*mostInvocations - 1 - n)
		require.True(t, m.running.remove(id), id)
	}
}
