// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// environment carries out plans. An invocation produces data when it begins, after each delivery and when it ends.
type environment struct {
	settings Settings
	history  History

	now    time.Duration // since the start, as it really is
	offset time.Duration // of the wall clock

	waits    bool
	oldest   time.Duration // what waits was produced then
	widest   time.Duration // gap since then
	switches []time.Duration
}

// delivery is one that carried something.
type delivery struct {
	start   bool
	elapsed time.Duration // of the invocation
	age     time.Duration
	widest  time.Duration
}

func (e *environment) wall() time.Time { return start.Add(e.now + e.offset) }

func (e *environment) produce() {
	if !e.waits {
		e.waits, e.oldest, e.widest = true, e.now, 0
	}
}

func (e *environment) deliver(elapsed time.Duration) delivery {
	e.history = e.history.Delivered(e.wall())
	d := delivery{elapsed: elapsed, widest: e.widest}
	if e.waits {
		d.age = e.now - e.oldest
	}
	e.waits = false
	return d
}

// invoke has an invocation arrive after a gap, and run.
func (e *environment) invoke(gap, duration time.Duration) (Plan, []delivery) {
	e.now += gap
	e.widest = max(e.widest, gap)
	mode := e.history.Mode()
	var p Plan
	p, e.history = Decide(e.settings, e.history, e.wall())
	if e.history.Mode() != mode {
		e.switches = append(e.switches, e.now)
	}
	var all []delivery
	if p.AtStart {
		d := e.deliver(0)
		d.start = true
		all = append(all, d)
	}
	e.produce()
	arrived := e.now
	if p.Every > 0 {
		for elapsed := p.Every; elapsed < duration; elapsed += p.Every {
			e.now = arrived + elapsed
			all = append(all, e.deliver(elapsed))
			e.produce()
		}
	}
	e.now = arrived + duration
	e.produce()
	if p.AtEnd {
		all = append(all, e.deliver(duration))
	}
	e.now = arrived // the next gap is from here
	return p, all
}

// traffic is the gap before the i-th invocation.
type traffic func(random *rand.Rand, i int) time.Duration

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func constant(mean float64) traffic {
	return func(*rand.Rand, int) time.Duration { return seconds(mean) }
}

func jittered(mean float64) traffic {
	return func(random *rand.Rand, _ int) time.Duration { return seconds(mean * (0.5 + random.Float64())) }
}

func poisson(mean float64) traffic {
	return func(random *rand.Rand, _ int) time.Duration { return seconds(mean * random.ExpFloat64()) }
}

// bursty are bursts at 10 to 20 ms with pauses between them.
func bursty(size int, pause float64) traffic {
	return func(random *rand.Rand, i int) time.Duration {
		if i%size == 0 {
			return jittered(pause)(random, i)
		}
		return seconds(0.01 + 0.01*random.Float64())
	}
}

// ramp goes from 20 ms to two minutes and back.
func ramp(length int) traffic {
	return func(random *rand.Rand, i int) time.Duration {
		up := math.Abs(1 - 2*float64(i%length)/float64(length))
		return jittered(0.02*math.Pow(6000, up))(random, i)
	}
}

// dayAndNight has random traffic with a mean gap from 0.1 s to five minutes in one day, which has shrunk to an hour.
func dayAndNight() traffic {
	var now time.Duration
	return func(random *rand.Rand, i int) time.Duration {
		height := (1 + math.Sin(2*math.Pi*now.Hours())) / 2
		gap := poisson(0.1*math.Pow(3000, height))(random, i)
		now += gap
		return gap
	}
}

func patterns() map[string]func() traffic {
	all := map[string]func() traffic{"day and night": dayAndNight}
	for _, mean := range []float64{0, 0.01, 0.02, 0.3, 1, 9.99, 10, 15, 20, 30, 31, 59.9, 60, 60.1, 600} {
		all[fmt.Sprint("constant ", mean)] = func() traffic { return constant(mean) }
		all[fmt.Sprint("jittered ", mean)] = func() traffic { return jittered(mean) }
		all[fmt.Sprint("poisson ", mean)] = func() traffic { return poisson(mean) }
	}
	for _, size := range []int{2, 5, 11, 12, 100, 1000} {
		for _, pause := range []float64{5, 30, 61, 300} {
			all[fmt.Sprint("bursts of ", size, " every ", pause)] = func() traffic { return bursty(size, pause) }
		}
	}
	for _, length := range []int{10, 50, 500} {
		all[fmt.Sprint("ramp of ", length)] = func() traffic { return ramp(length) }
	}
	return all
}

// forEachTraffic tests all patterns. Seeds are fixed, and part of the names, so that a failure is seen again.
func forEachTraffic(t *testing.T, test func(t *testing.T, next traffic, random *rand.Rand)) {
	t.Helper()
	for name, next := range patterns() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					test(t, next(), rand.New(rand.NewPCG(seed, 0)))
				})
			}
		})
	}
}

func everySetting() []Settings {
	var all []Settings
	for _, strategy := range []Strategy{End, Periodic, Continuous, Adaptive} {
		for _, interval := range []time.Duration{0, 100 * time.Millisecond, 7 * time.Second, 5 * time.Minute} {
			all = append(all, Settings{Strategy: strategy, Interval: interval})
		}
	}
	return all
}

// within is a duration that is over before the next invocation, and often just before. A dozen deliveries on the way
// tell as much as thousands.
func within(random *rand.Rand, gap, every time.Duration) time.Duration {
	if every > 0 {
		gap = min(gap, 12*every)
	}
	switch random.IntN(3) {
	case 0:
		return min(gap, 5*time.Millisecond)
	case 1:
		return gap
	default:
		return time.Duration(random.Int64N(int64(gap) + 1))
	}
}

// checkAge: at a start data is at most an interval and the last gap old; in an invocation that has run for a while, an
// interval and that while, or two intervals.
func checkAge(t *testing.T, s Settings, p Plan, gap time.Duration, deliveries []delivery) {
	t.Helper()
	limit := s.interval()
	if s.Strategy == End || s.Strategy == Continuous { // nothing waits for its interval to pass
		limit = 0
	}
	for i, d := range deliveries {
		most := limit + d.elapsed
		switch {
		case d.start:
			most = limit + gap
		case i > 0: // once the invocation has delivered, Every alone bounds the age
			most = p.Every
		case p.Every > 0:
			most = limit + min(d.elapsed, p.Every)
		}
		if d.age > most {
			require.LessOrEqual(t, d.age, most, "%v %+v", s, d)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	forEachTraffic(t, func(t *testing.T, next traffic, random *rand.Rand) {
		for _, s := range everySetting() {
			e := environment{settings: s}
			gap := time.Duration(0)
			for i := range 200 {
				following := next(random, i)
				waited := e.waits
				p, deliveries := e.invoke(gap, within(random, following, s.interval()))
				checkAge(t, s, p, gap, deliveries)
				if p.AtStart && !waited && s.Strategy != Continuous {
					require.Fail(t, "delivers nothing", "%v, at the start of invocation %d", s, i)
				}
				gap = following
			}
		}
	})
}

// TestSteppingClock has the clock set by hours, now and then. Data still leaves in bounded time, and a step costs a
// delivery at most.
func TestSteppingClock(t *testing.T) {
	t.Parallel()
	forEachTraffic(t, func(t *testing.T, next traffic, random *rand.Rand) {
		for _, s := range everySetting() {
			e := environment{settings: s}
			interval := s.interval()
			var gap, stepped time.Duration
			for i := range 200 {
				following := next(random, i)
				if e.now-stepped > 2*interval && random.IntN(10) == 0 {
					stepped = e.now
					e.offset = time.Duration(random.Int64N(int64(6*time.Hour))) - 3*time.Hour
				}
				_, deliveries := e.invoke(gap, within(random, following, s.interval()))
				for _, d := range deliveries {
					if most := 2*(interval+d.widest) + d.elapsed; d.age > most {
						require.LessOrEqual(t, d.age, most, "%v %+v", s, d)
					}
				}
				gap = following
			}
		}
	})
}

func TestStepCostsOneDelivery(t *testing.T) {
	t.Parallel()
	count := func(seed uint64, step time.Duration) int {
		random := rand.New(rand.NewPCG(seed, 0))
		e := environment{settings: Settings{Strategy: Periodic}}
		total := 0
		for i := range 2000 {
			if i == 1000 {
				e.offset = step
			}
			_, deliveries := e.invoke(poisson(0.3)(random, i), time.Millisecond)
			total += len(deliveries)
		}
		return total
	}
	for seed := range uint64(20) {
		steady := count(seed, 0)
		for _, step := range []time.Duration{
			-1e6 * time.Hour, -time.Hour, -5 * time.Second, -1, 1, 5 * time.Second, time.Hour, 1e6 * time.Hour,
		} {
			require.InDelta(t, steady, count(seed, step), 1, "seed %d, step %v", seed, step)
		}
	}
}

// TestAdaptiveIsRight compares with what a reader of the documentation would say.
func TestAdaptiveIsRight(t *testing.T) {
	t.Parallel()
	forEachTraffic(t, func(t *testing.T, next traffic, random *rand.Rand) {
		e := environment{settings: Settings{Strategy: Adaptive}}
		var gaps []time.Duration // since it was quiet
		var lasted time.Duration
		for i := range 2000 {
			gap := next(random, i)
			p, _ := e.invoke(gap, min(gap, time.Millisecond))
			switch {
			case i == 0:
				continue
			case gap >= time.Minute:
				gaps, lasted = nil, 0
			default:
				gaps, lasted = append(gaps, gap), lasted+gap
			}
			last := gaps[max(0, len(gaps)-10):]
			switch {
			case len(last) < 10 || lasted < 10*time.Second:
				if !p.AtEnd {
					require.Fail(t, "the rate is not known", "invocation %d", i)
				}
			case slices.Max(last) <= 10*time.Second && p.AtEnd:
				require.Fail(t, "this is frequent", "invocation %d: %v", i, last)
			case slices.Min(last) > 30*time.Second && !p.AtEnd:
				require.Fail(t, "this is rare", "invocation %d: %v", i, last)
			}
		}
	})
}

// TestOneSwitchForOneChange has rates with gaps that vary by ±50 %.
func TestOneSwitchForOneChange(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		e := environment{settings: Settings{Strategy: Adaptive}}
		frequent := false
		for range 20 {
			// On either side of the band between frequent and rare a change is one switch, or none if there is none to make.
			means := []float64{0.1, 0.5, 5, 60, 120, 900}
			mean := means[random.IntN(len(means))]
			before := len(e.switches)
			for i := range 300 {
				e.invoke(jittered(mean)(random, i), 0)
			}
			switched := 0
			if frequent != (mean < 10) {
				frequent, switched = !frequent, 1
			}
			require.Len(t, e.switches, before+switched, "seed %d, mean %v", seed, mean)
		}
		for range 20 {
			// Within the band, a window of the old and the new rate can be anything. After it, one switch at most is left.
			mean := math.Exp(random.Float64()*8 - 3) // 0.05 s to 148 s
			for i := range window {
				e.invoke(jittered(mean)(random, i), 0)
			}
			before := len(e.switches)
			for i := range 300 {
				e.invoke(jittered(mean)(random, i), 0)
			}
			require.LessOrEqual(t, len(e.switches), before+1, "seed %d, mean %v", seed, mean)
		}
	}
}

// TestRandomTrafficSwitchesRarely: random gaps with a mean of 16 s have means of ten on both sides, and one in 43
// (e³·⁷⁵) is a minute, after which Adaptive learns anew. There it switches 2.5 times in 100 invocations, which is half an hour,
// and either mode costs about the same. It is less for all other means: nearly never below 5 s and above 40 s.
func TestRandomTrafficSwitchesRarely(t *testing.T) {
	t.Parallel()
	const invocations = 30_000
	for mean, limit := range map[float64]int{
		0.02: 1, 1: 1, 3: 1, 5: 30, 8: 100, 10: 300, 13: 900, 16: 900, 19: 900, 22: 600, 30: 150, 40: 30, 60: 3, 600: 0,
	} {
		t.Run(fmt.Sprint(mean), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				random := rand.New(rand.NewPCG(seed, 0))
				e := environment{settings: Settings{Strategy: Adaptive}}
				for i := range invocations {
					e.invoke(poisson(mean)(random, i), 0)
				}
				require.LessOrEqual(t, len(e.switches), limit, "seed %d", seed)
				if mean <= 5 {
					require.NotEmpty(t, e.switches)
				}
			}
		})
	}
}

// checkSwitches: it takes a gap of a minute, or 200 s more in ten gaps, to end what has begun.
func checkSwitches(t *testing.T, e *environment) {
	t.Helper()
	for i, at := range e.switches {
		if i%2 == 1 { // from Periodic to End
			require.GreaterOrEqual(t, at-e.switches[i-1], quietGap)
		}
	}
}

func TestAtMostTwoSwitchesAMinute(t *testing.T) {
	t.Parallel()
	forEachTraffic(t, func(t *testing.T, next traffic, random *rand.Rand) {
		e := environment{settings: Settings{Strategy: Adaptive}}
		for i := range 2000 {
			e.invoke(next(random, i), 0)
		}
		checkSwitches(t, &e)
	})
}

// TestBurstsLeaveNothing: all that comes within settling leaves at the end of its invocation.
func TestBurstsLeaveNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 0))
	e := environment{settings: Settings{Strategy: Adaptive}}
	for i := range 5000 {
		p, _ := e.invoke(bursty(500, 300)(random, i), time.Millisecond) // up to 20 ms × 500
		require.True(t, p.AtEnd)
		require.False(t, e.waits)
	}
}

// FuzzDecide makes traffic of bytes: a gap and a duration each, up to eleven minutes.
func FuzzDecide(f *testing.F) {
	const unit = 10 * time.Millisecond
	busy := bytes.Repeat([]byte{0, 1, 0, 1}, 120)
	f.Add("adaptive,1000", slices.Concat(busy, []byte{50, 0, 0, 1}, busy))
	f.Add("periodic,2000", []byte{0, 1, 0, 0, 255, 255, 255, 0, 3, 0, 2, 255})
	f.Add("continuous", []byte{10, 1, 10, 0, 20, 255, 255, 0, 3, 0, 2, 255})
	f.Add("end", []byte{0, 0, 0, 0, 255, 255, 255, 0, 3, 0, 2, 255})
	f.Fuzz(func(t *testing.T, strategy string, traffic []byte) {
		s, interval, err := ParseStrategy(strategy)
		if err != nil || len(traffic) > 4*300 {
			return
		}
		e := environment{settings: Settings{Strategy: s, Interval: max(interval, time.Second)}}
		var gap time.Duration
		for pair := range slices.Chunk(traffic, 4) {
			if len(pair) < 4 {
				break
			}
			following := time.Duration(binary.BigEndian.Uint16(pair)) * unit
			duration := min(time.Duration(binary.BigEndian.Uint16(pair[2:]))*unit, following)
			p, deliveries := e.invoke(gap, duration)
			checkAge(t, e.settings, p, gap, deliveries)
			gap = following
		}
		checkSwitches(t, &e)
	})
}
