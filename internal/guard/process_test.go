// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

const (
	crashed     = "error: The collector has ended. The function is not affected; telemetry that was not delivered is lost. "
	killed      = "error: The collector was killed because it did not ask for events any more. The function is not affected; telemetry that was not delivered is lost. "
	onceMore    = "It is started once more before the first invocation."
	later       = "It is restarted at a later invocation."
	tooOften    = "It has ended too often and stays off: what the function sends is refused."
	back        = "info: The collector is back"
	invalid     = "error: The collector's configuration is wrong. " + uncollected
	lacks       = "error: The configuration needs a component that this layer does not have. " + uncollected + " "
	fullIsUsed  = "info: The configuration needs a component that the collector does not have: the full one is used."
	gaveUp      = "error: The collector reports that it cannot work."
	notReady    = "warn: The collector is not ready in the time that Init waits for it."
	holds       = "warn: The collector holds the environment up to the deadline"
	unclean     = "warn: The collector did not shut down cleanly"
	ignored     = "warn: The collector has not shut down in the time that Lambda allows, and was killed"
	invocations = 8
)

func TestCollectorWithoutFault(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.init()
	r.invoke(5)
	r.shutdown()
	require.Equal(t, []string{"1 INVOKE", "1 INVOKE", "1 INVOKE", "1 INVOKE", "1 INVOKE", "1 SHUTDOWN"}, r.lines("events"))
	require.Empty(t, r.output.messages(t))

	environ := r.lines("environ")
	require.Contains(t, environ, contract.EnvGuard+"=1")
	require.Contains(t, environ, contract.EnvTelemetryFD+"=3")
	require.Contains(t, environ, "GOMEMLIMIT=102MiB")
	require.Contains(t, environ, "GOMAXPROCS=1")
	require.Equal(t, []string{"4ms"}, r.lines("slack"))
	require.Contains(t, r.lines("starts")[0], " otelcol-lambda", "its name is the guard's, so that it could register itself")
	require.Contains(t, r.lines("calls")[0], `"accountId":"123456789012"`)
}

// Each of these faults happens in one process or in all, and no invocation notices.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		setup
		// starts is how many processes there have been in the end.
		starts int
		// says are the guard's lines, as their beginnings.
		says []string
		// shows is something that the log has in a field.
		shows string
		// recovers says that the telemetry of the last invocation arrives.
		recovers bool
	}{
		"exits before it registers, once": {
			setup{fault: "exit3@start", faulty: 1}, 2, []string{crashed + onceMore, back}, "something is wrong", true,
		},
		"exits before it registers, always": {
			setup{fault: "exit3@start", invocations: 20},
			5, []string{crashed + onceMore, crashed + later, crashed + later, crashed + later, crashed + tooOften},
			"something is wrong", false,
		},
		"exits after it has registered, once": {
			setup{fault: "exit0@registered", faulty: 1}, 2, []string{crashed + onceMore, back}, "exit status 0", true,
		},
		"exits during Init after it has subscribed, once": {
			setup{fault: "exit0@init", faulty: 1}, 2, []string{crashed + onceMore, back}, "exit status 0", true,
		},
		"is killed during Init, twice": {
			setup{fault: "kill@init", faulty: 2}, 3, []string{crashed + onceMore, crashed + later, back}, "signal: killed", true,
		},
		"exits with success in an invocation": {
			setup{fault: "exit0@invoke", at: 2, faulty: 1}, 2, []string{crashed + later, back}, "exit status 0", true,
		},
		"panics in an invocation": {
			setup{fault: "panic@invoke", at: 2, faulty: 1}, 2, []string{crashed + later, back}, "panic: a component's goroutine", true,
		},
		"is killed in an invocation": {
			setup{fault: "kill@invoke", at: 2, faulty: 1}, 2, []string{crashed + later, back}, "signal: killed", true,
		},
		"reports an error in Init": {
			setup{fault: "initerror@init", faulty: 1}, 2, []string{gaveUp, crashed + later, back}, `no \"good\"`, true,
		},
		"reports an error and stays": {
			setup{fault: "exiterror@invoke", at: 2, faulty: 1}, 2,
			[]string{gaveUp, "error: The collector was killed because it had reported an error and did not exit.", back},
			"Extension.Sick", true,
		},
		"floods stderr": {
			setup{fault: "flood@invoke", at: 2, faulty: 1}, 1, nil, "", true,
		},
		"ends in the middle of a line": {
			setup{fault: "nonewline@invoke", at: 2, faulty: 1}, 2, []string{crashed + later, back}, "it ends here", true,
		},
		"leaves a process that has its stderr": {
			setup{fault: "zombies@invoke", at: 2, faulty: 1}, 2, []string{crashed + later, back}, "exit status 5", true,
		},
		"speaks another protocol": {
			setup{fault: "garbage@invoke", at: 2}, 1, nil, "", true,
		},
		"asks for two events at once": {
			setup{fault: "nexttwice@invoke", at: 1, faulty: 1}, 1, nil, "", true,
		},
		"has a wrong configuration": {
			setup{fault: "config@start"}, 1, []string{invalid}, "receivers::otlp: unknown key `protokols`", false,
		},
		"lacks a component": {
			setup{fault: "missing@start"}, 1, []string{lacks + "Take the component out"}, "unknown processor `transform`", false,
		},
		"lacks a component that the full one has": {
			setup{fault: "missing@start", full: true}, 2, []string{fullIsUsed}, "unknown processor `transform`", true,
		},
		"lacks a component that the full one lacks too": {
			setup{fault: "missingeverywhere@start", full: true}, 2, []string{fullIsUsed, lacks + "Take the component out"},
			"unknown processor `transform`", false,
		},
		"is not there": {
			setup{bare: true}, 0, []string{"error: The collector cannot be started. " + uncollected}, "no such file or directory", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, test.setup)
			r.init()
			if test.invocations == 0 {
				test.invocations = invocations
			}
			for range test.invocations {
				// A collector that comes back does so while the function works.
				inv := r.invokeFor(100 * time.Millisecond)
				require.Less(t, inv.Held, patience/6, "not up to the function's timeout")
			}
			// A collector that is off leaves it to the guard to take the deliveries.
			report := r.shutdown()
			require.Len(t, r.lines("starts"), test.starts)
			requireMessages(t, test.says, r.output.messages(t))
			if test.shows != "" {
				require.Contains(t, strings.Join(fields(t, r.output), "\n"), test.shows)
			}
			if test.recovers {
				require.Contains(t, r.lines("telemetry"), "working on "+strconv.Itoa(r.sent))
				require.Equal(t, strconv.Itoa(test.starts)+" SHUTDOWN", r.lines("events")[len(r.lines("events"))-1])
			}
			require.LessOrEqual(t, len(report.Telemetry), 1)
		})
	}
}

// requireMessages compares beginnings.
func requireMessages(t *testing.T, want, got []string) {
	t.Helper()
	require.Len(t, got, len(want), strings.Join(got, "\n"))
	for i := range want {
		require.Truef(t, strings.HasPrefix(got[i], want[i]), "got %q, want %q", got[i], want[i])
	}
}

// fields are the texts of the guard's own lines.
func fields(t *testing.T, o *output) (texts []string) {
	t.Helper()
	for _, line := range o.logged(t) {
		for key, value := range line {
			if text, ok := value.(string); ok && key != "msg" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

func TestHangInInit(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{fault: "hang@init", env: map[string]string{contract.EnvInitTimeout: "300ms"}})
	start := time.Now()
	r.init()
	require.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)
	for range invocations {
		require.Less(t, r.invoke(1).Held, time.Second)
	}
	r.shutdown()
	requireMessages(t, []string{notReady}, r.output.messages(t)[:1])
}

// A collector that needs longer than Init waits for is there for later invocations.
func TestSlowInit(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{fault: "slow@init", env: map[string]string{contract.EnvInitTimeout: "100ms"}})
	r.init()
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		for !strings.Contains(r.output.String(), "working on 1\n") && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond) // the guard hears of the invocation when the function does, and tells nobody
		_ = os.WriteFile(filepath.Join(r.dir, goOn), nil, 0o600)
	}()
	r.invokeFor(3 * time.Second) // it begins without the collector, which is there before it ends
	<-ready
	r.invoke(2)
	r.shutdown()
	require.Equal(t, []string{"1 INVOKE", "1 INVOKE", "1 SHUTDOWN"}, r.lines("events"))
	requireMessages(t, []string{notReady, back}, r.output.messages(t))
}

// The tests that follow come close to time limits that others set. They do not share the processors with each other.

// A collector that hangs holds one invocation until shortly before its deadline, and none after that. It is replaced.
func TestHangInInvocation(t *testing.T) {
	for _, fault := range []string{"hang@invoke", "stop@invoke"} {
		t.Run(fault, func(t *testing.T) {
			const timeout = 3 * time.Second
			r := newRig(t, setup{fault: fault, at: 2, faulty: 1, options: func(o *lambdasim.Options) { o.Timeout = timeout }})
			r.init()
			require.Less(t, r.invoke(1).Held, time.Second)
			held := r.invoke(1)
			require.Greater(t, held.Duration, timeout/2)
			require.Less(t, held.Duration, timeout)
			for time.Since(held.Start) < timeout+lateTime+100*time.Millisecond {
				require.Less(t, r.invokeFor(50*time.Millisecond).Held, time.Second)
			}
			for range 4 {
				require.Less(t, r.invokeFor(300*time.Millisecond).Held, time.Second)
			}
			r.shutdown()
			requireMessages(t, []string{holds, killed + later, back}, r.output.messages(t))
			require.Len(t, r.lines("starts"), 2)
			require.Contains(t, r.lines("telemetry"), "working on "+strconv.Itoa(r.sent))
		})
	}
}

func TestShutdownOfCollectorsThatDoNot(t *testing.T) {
	for fault, want := range map[string]string{
		"hang@shutdown":  ignored,
		"deaf@shutdown":  ignored,
		"exit3@shutdown": unclean,
		"kill@shutdown":  unclean,
		"panic@shutdown": unclean,
	} {
		t.Run(fault, func(t *testing.T) {
			r := newRig(t, setup{fault: fault, options: func(o *lambdasim.Options) { o.ShutdownTimeout = 2 * time.Second }})
			r.init()
			r.invoke(1)
			r.shutdown()
			requireMessages(t, []string{want}, r.output.messages(t))
		})
	}
}

// A collector that is not waiting for an event when SHUTDOWN comes is told by a signal, or killed.
func TestShutdownOfCollectorThatHangs(t *testing.T) {
	for fault, want := range map[string]string{"hang@invoke": unclean, "deaf@invoke": ignored} {
		t.Run(fault, func(t *testing.T) {
			r := newRig(t, setup{fault: fault, at: 1, options: func(o *lambdasim.Options) {
				o.Timeout, o.ShutdownTimeout = 3*time.Second, 2*time.Second
			}})
			r.init()
			r.invoke(1)
			r.shutdown()
			requireMessages(t, []string{holds, want}, r.output.messages(t))
		})
	}
}

// The collector is killed from outside: as it comes, while an invocation runs, and while the environment is frozen.
func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	for _, freeze := range []lambdasim.FreezeMode{lambdasim.FreezeAuto, lambdasim.FreezeSignal, lambdasim.FreezeNone} {
		t.Run(strconv.Itoa(int(freeze)), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Freeze = freeze }})
			r.init()
			for n := range 20 {
				if n == 5 || n == 12 {
					require.NoError(t, syscall.Kill(r.pid(), syscall.SIGKILL))
				}
				require.Less(t, r.invokeFor(100*time.Millisecond).Held, time.Second)
			}
			r.shutdown()
			requireMessages(t, []string{crashed + later, back, crashed + later, back}, r.output.messages(t))
			telemetry := r.lines("telemetry")
			for _, n := range []int{1, 5, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20} {
				require.Contains(t, telemetry, "working on "+strconv.Itoa(n))
			}
			starts := r.lines("starts")
			require.Len(t, starts, 3)
		})
	}
}

// When the guard dies, so does the collector; Lambda starts both anew.
func TestGuardKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{})
	r.init()
	r.invoke(1)
	collector := r.pid()
	guard := parent(t, collector)
	require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
	requireGone(t, collector)
}

// requireGone waits until a process has ended, whether or not somebody has waited for it.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
		return err != nil
	}, patience, time.Millisecond)
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "PPid:"); ok {
			id, err := strconv.Atoi(strings.TrimSpace(text))
			require.NoError(t, err)
			return id
		}
	}
	require.Fail(t, "it has no parent")
	return 0
}

func TestOOMScoreAndNoZombies(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Freeze = lambdasim.FreezeNone }})
	r.init()
	first := r.pid()
	guard := parent(t, first)
	score, err := os.ReadFile("/proc/" + strconv.Itoa(first) + "/oom_score_adj")
	require.NoError(t, err)
	require.Equal(t, maxOOMScore, strings.TrimSpace(string(score)))
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(r.output.messages(t)) == 1 }, patience, time.Millisecond)
	_, err = os.Stat("/proc/" + strconv.Itoa(first))
	require.ErrorIs(t, err, os.ErrNotExist)
	r.invoke(1)
	r.await("events", 0)
	require.NotEqual(t, first, r.awaitStart(2))
	require.Equal(t, guard, parent(t, r.pid()))
	r.shutdown()
}

// awaitStart waits for a start and returns its process.
func (r *rig) awaitStart(n int) int {
	r.t.Helper()
	r.await("starts", n)
	return r.pid()
}

func TestUserSettingsAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{env: map[string]string{"GOMEMLIMIT": "77MiB", "GOMAXPROCS": "2"}})
	r.init()
	r.shutdown()
	environ := r.lines("environ")
	require.Contains(t, environ, "GOMEMLIMIT=77MiB")
	require.Contains(t, environ, "GOMAXPROCS=2")
	keys := []string{}
	for _, kv := range environ {
		key, _, _ := strings.Cut(kv, "=")
		keys = append(keys, key)
	}
	slices.Sort(keys)
	require.Len(t, slices.Compact(slices.Clone(keys)), len(keys), "no variable is there twice")
}

// Emulators of Lambda that have no Telemetry API say so, and so does the guard after a restart.
func TestSubscriptionIsRemembered(t *testing.T) {
	t.Parallel()
	for mode, want := range map[lambdasim.TelemetryMode]string{
		lambdasim.TelemetrySupported:    `200 OK "OK"`,
		lambdasim.TelemetryNotSupported: "202 Accepted",
		lambdasim.TelemetryRefused:      "403 Forbidden",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{fault: "exit0@invoke", at: 1, faulty: 1, options: func(o *lambdasim.Options) { o.Telemetry = mode }})
			r.init()
			for len(r.lines("calls")) < 4 {
				r.invokeFor(20 * time.Millisecond)
			}
			require.NoError(t, r.env.Shutdown(r.context()))
			calls := r.lines("calls")
			require.Contains(t, calls[1], "1 "+pathTelemetry+" "+want)
			require.Contains(t, calls[3], "2 "+pathTelemetry+" "+want)
			require.Equal(t, calls[1][1:], calls[3][1:])
		})
	}
}
