// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

// bench is a machine whose effects are written down, and a clock.
type bench struct {
	*machine
	t      *testing.T
	now    time.Time
	did    []string
	logged []string
	// fails is what the next start fails with.
	fails error
	// timer is when it runs out, zero if it does not.
	timer time.Time
	seq   int
}

func newBench(t *testing.T, s settings) *bench {
	t.Helper()
	if s.program == "" {
		s.program = "collector"
	}
	if s.initTimeout == 0 {
		s.initTimeout = defaultInitTimeout
	}
	b := &bench{t: t, now: time.UnixMilli(1_800_000_000_000)}
	b.machine = newMachine(s, b)
	b.begin(b.now)
	b.registration(b.now, true)
	return b
}

func (b *bench) poll()      { b.did = append(b.did, "poll") }
func (b *bench) terminate() { b.did = append(b.did, "terminate") }
func (b *bench) kill()      { b.did = append(b.did, "kill") }
func (b *bench) retire()    { b.did = append(b.did, "retire") }

func (b *bench) hand(e event) {
	if e.response != nil {
		require.Equal(b.t, b.counters.Text(), e.response.Header.Get(contract.HeaderCounters))
	}
	b.did = append(b.did, "hand "+e.kind)
}

func (b *bench) exit(status int) { b.did = append(b.did, "exit "+strconv.Itoa(status)) }

func (b *bench) start(path string, generation int) error {
	if b.fails != nil {
		err := b.fails
		b.fails = nil
		return err
	}
	b.did = append(b.did, "start "+path+" "+strconv.Itoa(generation))
	return nil
}

func (b *bench) setTimer(after time.Duration, sequence int) {
	b.timer, b.seq = b.now.Add(after), sequence
}

func (b *bench) log(l level, message string, fields ...field) {
	words := []string{string(l), message}
	for _, f := range fields {
		if !f.isText {
			f.text = strconv.FormatInt(f.number, 10)
		}
		words = append(words, f.key+"="+f.text)
	}
	b.logged = append(b.logged, strings.Join(words, " "))
}

// does checks what has been done since the last call.
func (b *bench) does(want ...string) {
	b.t.Helper()
	require.Equal(b.t, want, append([]string(nil), b.did...))
	b.did = nil
}

// says checks what has been logged since the last call, as a part of each line.
func (b *bench) says(want ...string) {
	b.t.Helper()
	require.Len(b.t, b.logged, len(want), strings.Join(b.logged, "\n"))
	for i := range want {
		require.Contains(b.t, b.logged[i], want[i])
	}
	b.logged = nil
}

// pass lets time pass, and the timer run out if it is due.
func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	if !b.timer.IsZero() && !b.now.Before(b.timer) {
		b.timer = time.Time{}
		b.timeUp(b.now, b.seq)
	}
}

func (b *bench) asks() bool { return b.machine.asks(b.now, b.generation) }

func (b *bench) invoke(left time.Duration) {
	b.arrives(b.now, event{kind: eventInvoke, deadlineMs: b.now.Add(left).UnixMilli(), response: &http1.Response{}})
}

func (b *bench) shutdownEvent(left time.Duration) {
	b.arrives(b.now, event{kind: eventShutdown, deadlineMs: b.now.Add(left).UnixMilli(), response: &http1.Response{}})
}

func (b *bench) dies(x exit) { b.died(b.now, b.generation, x, "last words") }

var (
	failed  = exit{code: 1}
	clean   = exit{}
	sigkill = exit{code: -1, signal: "killed", killed: true}
)

// ready is a bench whose collector has asked for its first event.
func ready(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, settings{})
	require.True(t, b.asks())
	b.does("start collector 1", "poll")
	b.says()
	return b
}

func TestMachineLife(t *testing.T) {
	b := newBench(t, settings{})
	b.does("start collector 1")
	require.True(t, b.asks())
	b.does("poll")
	for range 3 {
		b.invoke(3 * time.Second)
		b.does("hand INVOKE")
		b.pass(time.Second)
		require.True(t, b.asks())
		b.does("poll")
		b.pass(time.Hour) // the bound has gone with the invocation
		b.does()
	}
	b.shutdownEvent(2 * time.Second)
	b.does("hand SHUTDOWN")
	b.dies(clean)
	b.does("exit 0")
	b.says()
}

func TestMachineRegistersLate(t *testing.T) {
	b := &bench{t: t, now: time.Now()}
	b.machine = newMachine(settings{program: "collector", initTimeout: time.Second}, b)
	b.begin(b.now)
	require.True(t, b.asks())
	b.does("start collector 1")
	b.registration(b.now, true)
	b.does("poll")
}

func TestMachineUnregistered(t *testing.T) {
	b := &bench{t: t, now: time.Now()}
	b.machine = newMachine(settings{program: "collector", initTimeout: time.Second}, b)
	b.begin(b.now)
	b.registration(b.now, false)
	b.does("start collector 1")
	b.dies(failed)
	b.does("start collector 2")
	b.dies(failed)
	b.pass(time.Hour)
	b.does() // no event is ever asked for
	b.signalled()
	b.does("exit 0")
}

func TestMachineInitBound(t *testing.T) {
	b := newBench(t, settings{})
	b.does("start collector 1")
	b.pass(defaultInitTimeout - time.Millisecond)
	b.does()
	b.pass(time.Millisecond)
	b.does("poll")
	b.says("The collector is not ready in the time that Init waits")
	// Nobody waits for it, and it gets no event that is over.
	b.invoke(3 * time.Second)
	b.does("poll")
	require.True(t, b.asks())
	b.does()
	b.says("The collector is back")
	b.invoke(3 * time.Second)
	b.does("hand INVOKE")
}

func TestMachineInvocationBound(t *testing.T) {
	for left, hold := range map[time.Duration]time.Duration{
		3 * time.Second:        2900 * time.Millisecond,
		time.Second:            950 * time.Millisecond,
		100 * time.Millisecond: 95 * time.Millisecond,
		15 * time.Minute:       15*time.Minute - 100*time.Millisecond,
	} {
		b := ready(t)
		b.invoke(left)
		b.does("hand INVOKE")
		b.pass(hold - time.Millisecond)
		b.does()
		b.pass(time.Millisecond)
		b.does("poll")
		b.says("holds the environment up to the deadline")
	}
	b := ready(t)
	b.arrives(b.now, event{kind: "NEW"})
	b.does("hand NEW")
	b.pass(defaultHold)
	b.does("poll")
	// A deadline that has passed is no reason to wait.
	b = ready(t)
	b.invoke(-time.Minute)
	b.pass(0)
	b.does("hand INVOKE", "poll")
}

func TestMachineEventThatMakesNoSense(t *testing.T) {
	b := ready(t)
	for range 2 {
		b.arrives(b.now, event{})
		b.does("poll")
	}
	b.says("cannot be understood")
}

// The log has one line for a run of invocations that a collector overran.
func TestMachineSaysOverrunsOnce(t *testing.T) {
	b := ready(t)
	for range 3 {
		b.invoke(time.Second)
		b.pass(time.Second)
		require.True(t, b.asks())
	}
	b.says("holds the environment", "is back")
	b.invoke(time.Second)
	require.True(t, b.asks())
	b.invoke(time.Second)
	b.pass(time.Second)
	b.says("holds the environment")
	require.EqualValues(t, 4, b.counters.InvokeOverruns)
}

func TestMachineKillsWhatHangs(t *testing.T) {
	b := ready(t)
	b.invoke(time.Second)
	b.pass(time.Second)
	b.does("hand INVOKE", "poll")
	b.says("holds the environment")
	for range lateEvents {
		b.invoke(time.Second)
		b.does("poll")
	}
	b.pass(lateTime)
	b.invoke(time.Second)
	b.does("poll", "kill")
	b.invoke(time.Second)
	b.does("poll") // it has been sent already
	b.dies(sigkill)
	b.says("was killed because it did not ask for events any more")
	b.does()
	b.invoke(time.Second)
	b.does("poll", "start collector 2")
	require.True(t, b.asks())
	b.says("is back")
	require.Equal(t, contract.Counters{
		Since: b.counters.Since, Deaths: 1, Kills: 1, Restarts: 1, InvokeOverruns: 1, Skipped: lateEvents + 3,
	}, b.counters)
}

func TestMachineIsPatientWithASlowStart(t *testing.T) {
	b := newBench(t, settings{})
	b.pass(defaultInitTimeout)
	for range 10 {
		b.pass(lateStartTime / 11)
		b.invoke(time.Second)
	}
	require.NotContains(t, b.did, "kill")
	b.pass(lateStartTime)
	b.invoke(time.Second)
	require.Contains(t, b.did, "kill")
}

func TestMachineRestarts(t *testing.T) {
	b := ready(t)
	b.invoke(time.Second)
	b.does("hand INVOKE")
	b.dies(failed)
	b.does("poll")
	b.says("It is restarted at a later invocation. status=exit status 1 deaths=1 stderr=last words")
	for n, wait := range []int{1, 2, 4, 8} {
		for range wait - 1 {
			b.invoke(time.Second)
			b.does("poll")
		}
		b.invoke(time.Second)
		b.does("poll", "start collector "+strconv.Itoa(n+2))
		// Its start is nothing that an invocation waits for.
		b.dies(failed)
		if n < 3 {
			b.does()
			b.says("It is restarted at a later invocation")
		}
	}
	b.does("retire")
	b.says("It has ended too often and stays off")
	for range 50 {
		b.pass(time.Minute)
		b.invoke(time.Second)
		b.does("poll")
	}
	b.shutdownEvent(time.Second)
	b.does("exit 0")
	require.True(t, b.off)
	require.EqualValues(t, maxDeaths, b.counters.Deaths)
}

// Where invocations are rare, time counts instead.
func TestMachineRestartsByTime(t *testing.T) {
	b := ready(t)
	b.dies(failed)
	b.invoke(time.Second)
	b.does("poll", "start collector 2")
	b.dies(failed)
	b.pass(2 * backoffUnit)
	b.invoke(time.Second)
	b.does("poll", "start collector 3")
	b.dies(failed)
	b.pass(4*backoffUnit - time.Millisecond)
	b.invoke(time.Second)
	b.does("poll")
	b.pass(time.Millisecond)
	b.invoke(time.Second)
	b.does("poll", "start collector 4")
}

// On Lambda Managed Instances no invocation comes along that could bring the collector back.
func TestMachineRestartsOnManagedInstances(t *testing.T) {
	b := newBench(t, settings{managed: true})
	require.True(t, b.asks())
	b.does("start collector 1", "poll")
	b.dies(failed)
	b.pass(backoffUnit)
	b.does("start collector 2")
	b.dies(failed)
	b.pass(backoffUnit)
	b.does()
	b.pass(backoffUnit)
	b.does("start collector 3")
	require.True(t, b.asks())
	b.does()
}

func TestMachineStartsOnceMoreInInit(t *testing.T) {
	b := newBench(t, settings{})
	b.does("start collector 1")
	b.pass(time.Second)
	b.dies(failed)
	b.does("start collector 2")
	b.says("It is started once more before the first invocation")
	// The bound is Init's, not the process's.
	b.pass(defaultInitTimeout - time.Second)
	b.does("poll")
	b.says("not ready")

	b = newBench(t, settings{})
	b.pass(defaultInitTimeout / 2)
	b.dies(failed)
	b.does("start collector 1", "poll") // too late for another one
}

// A collector that is late is not a collector that is dead.
func TestMachineHangsUp(t *testing.T) {
	b := ready(t)
	b.hangsUp(b.now, b.generation)
	b.invoke(time.Second)
	b.does("poll")
	require.True(t, b.asks())
	b.says()
	b.invoke(time.Second)
	b.does("hand INVOKE")
}

func TestMachineRefusesASecondRequest(t *testing.T) {
	b := ready(t)
	require.False(t, b.asks())
	b.invoke(time.Second)
	b.does("hand INVOKE")
	require.True(t, b.asks())
	require.False(t, b.asks())
	b.does("poll")
}

func TestMachineIgnoresTheDead(t *testing.T) {
	b := ready(t)
	b.dies(failed)
	b.logged = nil
	require.False(t, b.asks(), "there is no collector")
	b.givesUp(b.now, 1, "", "", "")
	b.invoke(time.Second)
	b.does("poll", "start collector 2")
	require.False(t, b.machine.asks(b.now, 1))
	b.died(b.now, 1, failed, "")
	b.hangsUp(b.now, 1)
	b.wants(1, false, false)
	b.says()
	require.True(t, b.asks())
	b.invoke(time.Second)
	b.does("hand INVOKE")
}

func TestMachineGivesUp(t *testing.T) {
	b := newBench(t, settings{})
	b.givesUp(b.now, 1, "/init/error", "Extension.X", "text")
	b.does("start collector 1", "poll")
	b.says("call=/init/error error_type=Extension.X error=text")
	require.False(t, b.asks(), "its session is over")
	b.invoke(time.Second)
	b.does("poll")
	b.invoke(time.Second)
	b.does("poll", "kill")
	b.invoke(time.Second)
	b.does("poll")
	b.dies(sigkill)
	b.says("was killed because it had reported an error and did not exit")
}

func TestMachineConfigInvalid(t *testing.T) {
	b := newBench(t, settings{fuller: "fuller"})
	b.dies(exit{code: contract.ExitConfigInvalid})
	b.does("start collector 1", "retire", "poll")
	b.says("configuration is wrong")
	b.invoke(time.Second)
	b.does("poll")
}

func TestMachineMissingComponent(t *testing.T) {
	missing := exit{code: contract.ExitMissingComponent}
	b := newBench(t, settings{fuller: "fuller"})
	b.dies(missing)
	b.does("start collector 1", "start fuller 2")
	b.says("the full one is used. A configuration without it starts faster. error=last words")
	require.True(t, b.asks())
	b.does("poll")
	// It stays with the one that works.
	b.dies(failed)
	b.invoke(time.Second)
	b.does("poll", "start fuller 3")
	b.dies(missing)
	b.does("retire")

	b = newBench(t, settings{})
	b.dies(missing)
	b.does("start collector 1", "retire", "poll")
	b.says("Take the component out, or use a layer that has it")
}

func TestMachineCannotStart(t *testing.T) {
	b := &bench{t: t, now: time.Now(), fails: &os.PathError{Op: "start", Path: "collector", Err: os.ErrNotExist}}
	b.machine = newMachine(settings{program: "collector", initTimeout: time.Second}, b)
	b.begin(b.now)
	b.registration(b.now, true)
	b.does("retire", "poll")
	b.says("cannot be started")

	// What is short now may not be later.
	b = &bench{t: t, now: time.Now(), fails: errors.New("no processes left")}
	b.machine = newMachine(settings{program: "collector", initTimeout: time.Second}, b)
	b.begin(b.now)
	b.registration(b.now, true)
	b.does("start collector 2")
	b.says("no processes left")
}

func TestMachineShutdown(t *testing.T) {
	const left = 2 * time.Second
	t.Run("it exits", func(t *testing.T) {
		b := ready(t)
		b.shutdownEvent(left)
		b.dies(failed)
		b.does("hand SHUTDOWN", "exit 0")
		b.says("did not shut down cleanly status=exit status 1 stderr=last words")
	})
	t.Run("it does not", func(t *testing.T) {
		b := ready(t)
		b.shutdownEvent(left)
		b.pass(left - shutdownMargin)
		b.does("hand SHUTDOWN", "kill")
		b.dies(sigkill)
		b.does("exit 0")
		b.says("has not shut down in the time")
	})
	t.Run("it cannot be killed", func(t *testing.T) {
		b := ready(t)
		b.shutdownEvent(left)
		b.pass(left - shutdownMargin)
		b.pass(reapTime)
		b.does("hand SHUTDOWN", "kill", "exit 0")
	})
	t.Run("it is busy and asks", func(t *testing.T) {
		b := ready(t)
		b.invoke(time.Second)
		b.pass(time.Second)
		b.shutdownEvent(left)
		b.does("hand INVOKE", "poll")
		require.True(t, b.asks())
		b.does("hand SHUTDOWN")
		b.pass(left / 2)
		b.does()
		b.pass(left)
		b.does("kill")
	})
	t.Run("it is busy", func(t *testing.T) {
		b := ready(t)
		b.invoke(time.Second)
		b.pass(time.Second)
		b.shutdownEvent(left)
		b.pass((left - shutdownMargin) / 2)
		b.pass((left - shutdownMargin) / 2)
		b.does("hand INVOKE", "poll", "terminate", "kill")
	})
	t.Run("it does not want to know", func(t *testing.T) {
		b := newBench(t, settings{})
		b.wants(1, false, false)
		require.True(t, b.asks())
		b.invoke(time.Second)
		b.does("start collector 1", "poll", "poll")
		b.shutdownEvent(left)
		b.does("kill")
		b.dies(sigkill)
		b.does("exit 0")
		b.says()
	})
	t.Run("no deadline", func(t *testing.T) {
		b := ready(t)
		b.arrives(b.now, event{kind: eventShutdown})
		b.pass(defaultShutdown - shutdownMargin)
		b.does("hand SHUTDOWN", "kill")
	})
	t.Run("before it was ready", func(t *testing.T) {
		b := newBench(t, settings{})
		b.pass(defaultInitTimeout)
		b.shutdownEvent(left)
		require.True(t, b.asks())
		b.does("start collector 1", "poll", "hand SHUTDOWN")
	})
	t.Run("nothing happens afterwards", func(t *testing.T) {
		b := ready(t)
		b.shutdownEvent(left)
		b.does("hand SHUTDOWN")
		b.invoke(time.Second)
		b.shutdownEvent(left)
		b.signalled()
		b.lambdaGone(errors.New("gone"))
		b.does()
	})
}

func TestMachineSignal(t *testing.T) {
	b := ready(t)
	b.signalled()
	b.does("terminate")
	b.dies(clean)
	b.does("exit 0")

	b = ready(t)
	b.signalled()
	b.pass(signalShutdown)
	b.pass(reapTime)
	b.does("terminate", "kill", "exit 0")
}

func TestMachineLambdaGone(t *testing.T) {
	b := ready(t)
	b.lambdaGone(errors.New("status 500"))
	b.does("terminate")
	b.says("status 500")
	b.dies(clean)
	b.does("exit 1")
}

// An older timer that runs out at the same moment as something else happens is not taken for the current one.
func TestMachineTimerOfThePast(t *testing.T) {
	b := ready(t)
	b.invoke(time.Second)
	old := b.seq
	require.True(t, b.asks())
	b.invoke(time.Minute)
	b.does("hand INVOKE", "poll", "hand INVOKE")
	b.timeUp(b.now, old)
	b.does()
}

// FuzzMachine plays anything in any order. Whatever happens, the guard owes Lambda a request for the next event only
// while it waits for the collector within a bound, never makes two at a time, and hands out events only when asked.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{3, 0, 3, 0, 9})
	f.Add([]byte{1, 0, 2, 0, 5, 0, 6, 3, 8, 9})
	f.Fuzz(func(t *testing.T, moves []byte) {
		b := newBench(t, settings{fuller: "fuller"})
		polling, waiting, alive, exited := 0, false, false, false
		check := func() {
			for _, did := range b.did {
				require.False(t, exited, "something was done after the exit")
				switch {
				case did == "poll":
					polling++
				case strings.HasPrefix(did, "hand"):
					require.True(t, waiting)
					waiting = false
				case strings.HasPrefix(did, "start"):
					require.False(t, alive)
					alive, waiting = true, false
				case strings.HasPrefix(did, "exit"):
					exited = true
				}
			}
			b.did = nil
			require.LessOrEqual(t, polling, 1)
			if b.phase != phaseShutdown && polling == 0 {
				require.True(t, b.awaited)
				require.True(t, alive)
				require.NotNil(t, b.onTime)
			}
			if b.phase == phaseShutdown && !exited {
				require.NotNil(t, b.onTime)
			}
		}
		check()
		for _, move := range moves {
			if exited {
				return
			}
			switch move % 10 {
			case 0:
				if polling == 1 {
					polling = 0
					b.invoke(time.Second)
				}
			case 1:
				b.pass(time.Duration(move) * 20 * time.Millisecond)
			case 2:
				b.pass(time.Duration(move) * time.Second)
			case 3:
				before := waiting
				waiting = true
				if !b.asks() {
					waiting = before
				}
			case 4:
				if alive {
					alive, waiting = false, false
					b.dies(failed)
				}
			case 5:
				if alive {
					alive, waiting = false, false
					b.dies(exit{code: contract.ExitMissingComponent})
				}
			case 6:
				b.givesUp(b.now, b.generation, "", "", "")
			case 7:
				if waiting {
					waiting = false
					b.hangsUp(b.now, b.generation)
				}
			case 8:
				if move == 248 {
					b.signalled()
				}
			case 9:
				if polling == 1 {
					polling = 0
					b.shutdownEvent(time.Second)
				}
			}
			check()
		}
	})
}

// Registering may take as long as it takes: what comes after it has its own time.
func TestLateRegistration(t *testing.T) {
	b := &bench{t: t, now: time.UnixMilli(1_800_000_000_000)}
	b.machine = newMachine(settings{program: "collector", initTimeout: time.Second}, b)
	b.begin(b.now)
	b.pass(900 * time.Millisecond)
	b.registration(b.now, true)
	b.pass(900 * time.Millisecond)
	b.says()
	require.True(t, b.asks())
	b.does("start collector 1", "poll")
}

// How long the collector was gone counts from when the log said so, whatever happened since.
func TestMachineSaysHowLongItWasGone(t *testing.T) {
	b := newBench(t, settings{})
	b.dies(failed)
	b.says("It is started once more")
	b.pass(250 * time.Millisecond)
	require.True(t, b.asks())
	b.says("is back after_ms=250")

	b.dies(failed)
	b.says("It is restarted at a later invocation")
	b.pass(3 * time.Second)
	b.invoke(time.Second)
	b.pass(200 * time.Millisecond)
	b.dies(failed)
	b.says("It is restarted at a later invocation")
	b.pass(5 * time.Second)
	b.invoke(time.Second)
	require.True(t, b.asks())
	b.says("is back after_ms=8200")
}
