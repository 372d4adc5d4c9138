// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// phase is where Lambda has the environment, as far as the guard knows.
type phase int

const (
	// phaseInit lasts from the start until the guard first asks for an event.
	phaseInit phase = iota
	// phaseIdle is while the guard's request for the next event is pending. The environment may be frozen.
	phaseIdle
	// phaseInvoke is while an event is in the guard's hands. The function may have finished already.
	phaseInvoke
	// phaseShutdown is after SHUTDOWN, after a signal, or when Lambda is gone.
	phaseShutdown
)

// stance is what the collector is doing.
type stance int

const (
	// absent: there is no process.
	absent stance = iota
	// starting: it has not asked for an event yet.
	starting
	// busy: it has an event and has not asked for the next one.
	busy
	// waiting: its request for the next event is pending.
	waiting
	// leaving: it has reported an error that it says it cannot survive.
	leaving
)

// effects are what the machine can do to the world. None of them waits.
type effects interface {
	// poll asks Lambda for the next event, which ends the current phase.
	poll()
	// start starts a program as the collector of a generation. Its end will be told to died.
	start(path string, generation int) error
	// hand answers the pending request for an event. It is ignored when there is none any more.
	hand(event)
	// retire is called when no collector will be started any more.
	retire()
	// terminate and kill send the collector SIGTERM and SIGKILL.
	terminate()
	kill()
	// setTimer has timeUp called with the sequence number, unless another call comes first. It replaces the timer.
	setTimer(after time.Duration, sequence int)
	log(level level, message string, fields ...field)
	// exit ends the process. Nothing is called afterwards.
	exit(status int)
}

// settings are the machine's constants. Zero values are not usable.
type settings struct {
	// program is the collector, fuller the one to turn to when it lacks a component, or empty.
	program, fuller string
	// initTimeout bounds how long Init waits for the collector.
	initTimeout time.Duration
	// managed says that the environment runs many invocations at once and never sees an INVOKE.
	managed bool
}

const (
	// maxDeaths is after how many deaths the collector stays off for the rest of the environment. What kills it five
	// times will do so again, and each start costs the function CPU.
	maxDeaths = 5

	// backoffUnit is the wall time that counts as much as one invocation towards the next restart. Counting either
	// brings the collector back soon where invocations are rare, and spares a busy function a start at each of them.
	backoffUnit = time.Second

	// lateEvents and lateTime say when a collector that has gone past a bound is taken for hung and is killed: after
	// that many more events, and not before the time has passed. One that is only slow, because it gets the CPU of a
	// small function, must have had a chance.
	lateEvents = 3
	lateTime   = 2 * time.Second
	// leavingEvents is how many events a collector may take to exit after it has reported an error.
	leavingEvents = 2
	// lateStartTime is the same for a collector that has not asked for its first event. It may be fetching secrets.
	lateStartTime = 15 * time.Second

	// deadlineMargin is how long before the deadline the environment is given back to Lambda, or the share of the time
	// that the event leaves. The collector's own margin is twice as large, so it is normally first.
	deadlineMargin      = 100 * time.Millisecond
	deadlineMarginShare = 20

	// defaultHold bounds an event whose deadline cannot be read. It is well below Lambda's default timeout of 3 seconds.
	defaultHold = time.Second

	// shutdownMargin is what killing the collector and exiting takes, on a small share of a CPU.
	shutdownMargin      = 160 * time.Millisecond
	shutdownMarginShare = 12
	// defaultShutdown is assumed where SHUTDOWN has no deadline; Lambda gives external extensions two seconds.
	defaultShutdown = 2 * time.Second
	// signalShutdown is how long a collector may take after a signal, which happens on developers' machines only.
	signalShutdown = 5 * time.Second
	// reapTime is how long the guard waits for the end of a collector that it has killed.
	reapTime = 20 * time.Millisecond
)

// machine decides. It is for one goroutine.
type machine struct {
	settings
	effects

	phase phase
	// registered says that Lambda will answer polls.
	registered bool
	// initOver says that the guard has asked for an event. Lambda refuses subscriptions from then on.
	initOver  bool
	initBegan time.Time
	// pending is the event that the collector has not been handed yet. Only SHUTDOWN is kept.
	pending *event
	status  int  // to exit with
	oddSaid bool // about events that cannot be understood

	// The collector.
	stance stance
	// awaited says that the current phase is not over before the collector asks for the next event.
	awaited    bool
	generation int
	program    string
	invoked    bool // it wants INVOKE
	shutDown   bool // it wants SHUTDOWN
	killedFor  string
	off        bool
	deaths     int
	diedAt     time.Time
	sinceDeath int // events
	// late says that the collector went on without being waited for, since lateSince and for sinceLate events.
	late      bool
	lateSince time.Time
	sinceLate int
	// missed says that the log has it that the collector is not there, overrunSaid that it has it in particular that it
	// holds invocations, and did not keep to a bound since.
	missed      bool
	missedSince time.Time
	overrunSaid bool

	// The timer. sequence tells apart the one that is meant from an older one that has run out just now.
	sequence int
	onTime   func(now time.Time)

	counters contract.Counters
}

func newMachine(s settings, e effects) *machine {
	return &machine{settings: s, effects: e, program: s.program, invoked: true, shutDown: true}
}

// begin is called once, at the start of the process.
func (m *machine) begin(now time.Time) {
	m.initBegan = now
	m.counters.Since = now
	m.startCollector(now, true)
}

// registration tells how Lambda answered. Without a registration Lambda gives us no events, and will end the environment
// when Init's time is over; there is nothing to do but to wait for that.
func (m *machine) registration(now time.Time, ok bool) {
	m.registered = ok
	if m.awaited {
		// The collector could not be ready before, so its time begins here.
		m.initBegan = now
		m.setTimeout(m.initTimeout, m.initTimeUp)
	}
	m.proceed()
}

// wants tells which events the collector has registered for.
func (m *machine) wants(generation int, invoke, shutdown bool) {
	if generation == m.generation {
		m.invoked, m.shutDown = invoke, shutdown
	}
}

// asks tells that the collector asks for the next event. It is refused when it asks for two at once, or has no right to.
func (m *machine) asks(now time.Time, generation int) (accepted bool) {
	if generation != m.generation || m.stance == absent || m.stance == waiting || m.stance == leaving {
		return false
	}
	if m.missed {
		m.log(levelInfo, "The collector is back", num("after_ms", now.Round(0).Sub(m.missedSince).Milliseconds()))
	}
	if !m.late {
		m.overrunSaid = false
	}
	m.stance, m.late, m.missed = waiting, false, false
	m.releaseCollector()
	if m.pending != nil && m.shutDown {
		e := *m.pending
		m.pending = nil
		m.give(e)
	}
	m.proceed()
	return true
}

// hangsUp tells that the collector has given up its request for the next event without an answer. Nobody waits for it
// until it asks again.
func (m *machine) hangsUp(now time.Time, generation int) {
	if generation == m.generation && m.stance == waiting {
		m.stance = busy
		m.beLate(now)
	}
}

// givesUp tells of a call to /init/error or /exit/error, which would fail the environment if Lambda heard of it.
func (m *machine) givesUp(now time.Time, generation int, call, errorType, text string) {
	if generation != m.generation || m.stance == absent {
		return
	}
	m.log(levelError, "The collector reports that it cannot work. The function is not affected, but its telemetry is "+
		"not collected until the collector has been restarted.",
		str("call", call), str("error_type", errorType), str("error", text))
	m.stance = leaving
	m.miss(now)
	m.releaseCollector()
	m.beLate(now)
	m.proceed()
}

// arrives tells of an event from Lambda.
func (m *machine) arrives(now time.Time, e event) {
	if m.phase == phaseShutdown {
		return
	}
	if e.kind == eventShutdown {
		m.shutdown(now, e)
		return
	}
	m.phase = phaseInvoke
	m.sinceDeath++
	m.sinceLate++
	if e.kind == "" && !m.oddSaid {
		m.oddSaid = true
		m.log(levelWarn, "Lambda sent an event that cannot be understood")
	}
	if m.stance == waiting && m.invoked && e.kind != "" {
		m.give(e)
		m.awaited = true
		m.setTimeout(holdTime(now, e), m.invokeTimeUp)
		return
	}
	if m.invoked {
		m.counters.Skipped++
	}
	// Lambda hears from us first: nothing of what follows is worth a moment of the function's time.
	m.proceed()
	m.recover(now)
}

// holdTime is how long the collector may hold the environment after an event.
func holdTime(now time.Time, e event) time.Duration {
	deadline := e.deadline(now)
	if deadline.IsZero() {
		return defaultHold
	}
	left := deadline.Sub(now)
	return left - min(deadlineMargin, left/deadlineMarginShare)
}

// recover brings back a collector that has died or hangs.
func (m *machine) recover(now time.Time) {
	switch {
	case m.stance == absent:
		if m.restartDue(now) {
			m.startCollector(now, false)
		}
	case m.stance == leaving && m.sinceLate >= leavingEvents && m.killedFor == "":
		m.killedFor = "it had reported an error and did not exit"
		m.kill()
	case m.late && m.hung(now) && m.killedFor == "":
		m.killedFor = "it did not ask for events any more"
		m.counters.Kills++
		m.kill()
	}
}

func (m *machine) hung(now time.Time) bool {
	patience := lateTime
	if m.stance == starting {
		patience = lateStartTime
	}
	// Wall time, because it may or may not be that monotonic time stands still in a freeze.
	return m.sinceLate >= lateEvents && now.Round(0).Sub(m.lateSince) >= patience
}

// restartDue doubles the wait with every death: the first restart comes with the next event.
func (m *machine) restartDue(now time.Time) bool {
	if m.off {
		return false
	}
	wait := 1 << max(0, m.deaths-1)
	return m.sinceDeath >= wait || now.Round(0).Sub(m.diedAt) >= time.Duration(wait)*backoffUnit
}

// died tells of the collector's end. last is what it wrote last to stderr.
func (m *machine) died(now time.Time, generation int, x exit, last string) {
	if generation != m.generation || m.stance == absent {
		return
	}
	before := m.stance
	m.stance, m.late = absent, false
	m.releaseCollector()
	m.diedAt, m.sinceDeath = now.Round(0), 0
	switch {
	case m.phase == phaseShutdown:
		if !x.clean() && (m.killedFor == "" || !x.killed) {
			m.log(levelWarn, "The collector did not shut down cleanly", str("status", x.String()), str("stderr", last))
		}
		m.exit(m.status)
		return
	case x.code == contract.ExitConfigInvalid:
		m.turnOff("The collector's configuration is wrong. "+uncollected, str("error", last))
	case x.code == contract.ExitMissingComponent && m.fuller != "" && m.program != m.fuller:
		m.log(levelInfo, "The configuration needs a component that the collector does not have: the full one is used. "+
			"A configuration without it starts faster.", str("error", last))
		m.program = m.fuller
		m.startCollector(now, !m.initOver)
	case x.code == contract.ExitMissingComponent:
		m.turnOff("The configuration needs a component that this layer does not have. "+uncollected+" Take the "+
			"component out, or use a layer that has it: one that is built with it in `builder-config.yaml`.",
			str("error", last))
	default:
		m.crashed(now, before, x, last)
	}
	m.proceed()
}

func (m *machine) crashed(now time.Time, before stance, x exit, last string) {
	m.deaths++
	m.counters.Deaths++
	m.miss(now)
	fields := []field{str("status", x.String()), num("deaths", int64(m.deaths)), str("stderr", last)}
	cause := "The collector has ended"
	if m.killedFor != "" && x.killed {
		cause = "The collector was killed because " + m.killedFor
	}
	const consequence = ". The function is not affected; telemetry that was not delivered is lost. "
	switch {
	case m.deaths >= maxDeaths:
		m.turnOff(cause+consequence+"It has ended too often and stays off: what the function sends is "+
			"refused.", fields...)
	case m.deaths == 1 && !m.initOver && before != leaving && now.Sub(m.initBegan) < m.initTimeout/2:
		// Once Init is over Lambda takes no subscription, so an early death would cost all events of the environment.
		m.log(levelError, cause+consequence+"It is started once more before the first invocation.", fields...)
		m.startCollector(now, true)
	default:
		m.log(levelError, cause+consequence+"It is restarted at a later invocation.", fields...)
		if m.managed {
			m.setTimeout(backoffUnit<<(m.deaths-1), func(now time.Time) { m.startCollector(now, false) })
		}
	}
}

// uncollected is what it means for the function that there will be no collector.
const uncollected = "The function is not affected, but its telemetry is not collected: what it sends is refused."

func (m *machine) turnOff(message string, fields ...field) {
	m.off = true
	m.log(levelError, message, fields...)
	m.retire()
}

// startCollector starts a process. Only Init waits for it.
func (m *machine) startCollector(now time.Time, awaited bool) {
	m.generation++
	m.killedFor = ""
	m.invoked, m.shutDown = true, true
	err := m.start(m.program, m.generation)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		m.turnOff("The collector cannot be started. "+uncollected, str("program", m.program), str("error", err.Error()))
		return
	case err != nil:
		// The environment is short of memory, processes or descriptors, which may pass.
		m.diedAt, m.sinceDeath = now.Round(0), 0
		m.crashed(now, starting, exit{code: -1, signal: err.Error()}, "")
		return
	}
	if m.counters.Deaths > 0 {
		m.counters.Restarts++
	}
	m.stance, m.awaited = starting, awaited
	if !awaited {
		m.beLate(now)
		return
	}
	m.setTimeout(m.initTimeout-now.Sub(m.initBegan), m.initTimeUp)
}

// miss notes that the log says, from now on, that the collector is not there.
func (m *machine) miss(now time.Time) {
	if !m.missed {
		m.missed, m.missedSince = true, now.Round(0)
	}
}

// beLate notes that nobody waits for the collector any more, until it asks for an event.
func (m *machine) beLate(now time.Time) {
	m.late, m.lateSince, m.sinceLate = true, now.Round(0), 0
	m.awaited = false
}

// releaseCollector ends the wait for the collector, and the bound on it.
func (m *machine) releaseCollector() {
	m.awaited = false
	if m.phase != phaseShutdown {
		m.stopTimer()
	}
}

// proceed asks for the next event as soon as nothing speaks against it.
func (m *machine) proceed() {
	if !m.registered || m.awaited || (m.phase != phaseInit && m.phase != phaseInvoke) {
		return
	}
	m.phase = phaseIdle
	m.initOver = true
	m.poll()
}

// give hands an event to the collector, which is waiting.
func (m *machine) give(e event) {
	m.stance = busy
	m.hand(e.with(m.counters))
}

func (m *machine) initTimeUp(now time.Time) {
	if !m.awaited {
		return
	}
	m.counters.InitOverruns++
	m.miss(now)
	m.log(levelWarn, "The collector is not ready in the time that Init waits for it. Invocations begin without it. "+
		contract.EnvInitTimeout+" sets the time.", num("timeout_ms", m.initTimeout.Milliseconds()))
	m.beLate(now)
	m.proceed()
}

func (m *machine) invokeTimeUp(now time.Time) {
	if !m.awaited {
		return
	}
	m.counters.InvokeOverruns++
	if !m.overrunSaid {
		m.overrunSaid = true
		m.miss(now)
		m.log(levelWarn, "The collector holds the environment up to the deadline of the invocation. "+
			"Invocations go on without waiting for it.")
	}
	m.beLate(now)
	m.proceed()
}

// shutdown gives the collector the time that Lambda allows.
func (m *machine) shutdown(now time.Time, e event) {
	m.phase = phaseShutdown
	deadline := e.deadline(now)
	if deadline.IsZero() {
		deadline = now.Add(defaultShutdown)
	}
	left := deadline.Sub(now)
	left -= min(shutdownMargin, left/shutdownMarginShare)
	switch {
	case m.stance == absent:
		m.exit(m.status)
		return
	case m.stance == leaving, !m.shutDown:
		// What has not asked to hear of SHUTDOWN is killed, by Lambda as well.
		m.killedFor = "the environment ends"
		m.killAndExit()
		return
	case m.stance == waiting:
		m.give(e)
		m.setTimeout(left, m.shutdownTimeUp)
		return
	}
	// It gets SHUTDOWN if it asks for an event. If not, a signal may reach it where the event does not.
	m.pending = &e
	m.setTimeout(left/2, func(time.Time) {
		if m.pending != nil {
			m.terminate()
		}
		m.setTimeout(left-left/2, m.shutdownTimeUp)
	})
}

func (m *machine) shutdownTimeUp(time.Time) {
	m.killedFor = "its time to shut down is over"
	m.log(levelWarn, "The collector has not shut down in the time that Lambda allows, and was killed")
	m.killAndExit()
}

func (m *machine) killAndExit() {
	m.kill()
	m.setTimeout(reapTime, func(time.Time) { m.exit(m.status) })
}

// leave ends the guard for another reason than SHUTDOWN.
func (m *machine) leave(status int) {
	if m.phase == phaseShutdown {
		return
	}
	m.phase, m.status = phaseShutdown, status
	if m.stance == absent {
		m.exit(status)
		return
	}
	m.terminate()
	m.setTimeout(signalShutdown, m.shutdownTimeUp)
}

// signalled tells of a signal that asks the process to end.
func (m *machine) signalled() { m.leave(0) }

// lambdaGone tells that there will be no more events. AWS Lambda Extensions API: after a status of 500 the extension
// should exit.
func (m *machine) lambdaGone(err error) {
	if m.phase == phaseShutdown {
		return
	}
	m.log(levelError, "Lambda's Extensions API is gone; the extension ends", str("error", err.Error()))
	m.leave(1)
}

func (m *machine) setTimeout(after time.Duration, f func(now time.Time)) {
	m.sequence++
	m.onTime = f
	m.setTimer(after, m.sequence)
}

func (m *machine) stopTimer() { m.onTime = nil }

// timeUp tells that a timer has run out.
func (m *machine) timeUp(now time.Time, sequence int) {
	f := m.onTime
	if sequence != m.sequence || f == nil {
		return
	}
	m.onTime = nil
	f(now)
}

// exit is how a process ended.
type exit struct {
	// code is -1 after a signal.
	code   int
	signal string
	killed bool // by SIGKILL
}

func (x exit) clean() bool { return x.code == 0 }

func (x exit) String() string {
	if x.code >= 0 {
		return "exit status " + strconv.Itoa(x.code)
	}
	return "signal: " + x.signal
}
