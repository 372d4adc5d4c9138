// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// Settings are what a Guard needs to know of its process.
type Settings struct {
	// Args is the command line. The base name of the first is what the extension registers as.
	Args []string
	// Environ are the variables, of which the collector gets its own.
	Environ []string
	// Program is the collector, Fuller one with more components or empty.
	Program, Fuller string
	// Stdin, Stdout and Stderr are descriptors for the collector. The guard's own lines go to Stdout.
	Stdin, Stdout, Stderr int
	// OTLP are the addresses that the function sends telemetry to, which is refused there when there will be no collector.
	OTLP []string
	// AfterStart, if set, is called once, when the first invocation is over, or none will ever be known of: until then, what
	// takes CPU takes it from an answer that somebody waits for.
	AfterStart func()

	// prevent unkeyed literal initialization
	_ struct{}
}

// Guard is one environment's guard. It runs once.
type Guard struct {
	settings Settings
	address  string
	managed  bool
	debug    bool
	log      *writer
	spawner  spawner
	machine  *machine

	registration registration
	subscription subscription
	// initOver is the machine's, for other goroutines.
	initOver atomic.Bool

	inputs  chan input
	signals chan struct{}
	polls   chan struct{}
	// ended is closed when the goroutine that decides has ended.
	ended  chan struct{}
	lambda connection

	// What follows belongs to the goroutine that decides.
	stopped   bool
	status    int
	polling   bool
	panicked  bool
	timer     *time.Timer
	waiter    *waiter
	collector *process
	telemetry *socket.Bound
	drain     *http1.Server
	refuser   *refuser

	background sync.WaitGroup
}

// input is something that has happened.
type input struct {
	act func(now time.Time)
	// plain is what is left of act when the machine has failed, nil for nothing.
	plain func()
}

// waiter is a collector's pending request for an event.
type waiter struct {
	event chan event // takes one
	done  <-chan struct{}
}

// New prepares a guard.
func New(s Settings) *Guard {
	address, _ := lookup(s.Environ, envRuntimeAPI)
	initType, _ := lookup(s.Environ, envInitType)
	logLevel, _ := lookup(s.Environ, envLogLevel)
	g := &Guard{
		settings:     s,
		address:      address,
		lambda:       connection{address: address},
		managed:      initType == managedInstances,
		debug:        strings.EqualFold(logLevel, string(levelDebug)),
		registration: registration{done: make(chan struct{})},
		inputs:       make(chan input, 16),
		signals:      make(chan struct{}, 1),
		polls:        make(chan struct{}, 1),
		ended:        make(chan struct{}),
	}
	g.refuser = newRefuser(g.say)
	return g
}

// headStart bounds how long the start of the collector waits for the registration to be on its way.
const headStart = 50 * time.Millisecond

// Run guards until Lambda ends the environment, and returns the status to exit with.
func (g *Guard) Run() int {
	// Lambda starts the function's runtime only after every extension has registered, so nothing comes before this.
	g.log = newWriter(g.settings.Stdout)
	written := make(chan struct{})
	var once sync.Once
	sent := func() { once.Do(func() { close(written) }) }
	client := g.lambda.open()
	g.goSafely("registration", func() { g.register(client, sent) })
	head := time.NewTimer(headStart)
	defer head.Stop()
	select {
	case <-written:
	case <-head.C:
	}

	timeout, warning := initTimeout(g.settings.Environ)
	if warning != "" {
		g.say(levelWarn, warning)
	}
	g.machine = newMachine(settings{
		program: g.settings.Program, fuller: g.settings.Fuller, initTimeout: timeout, managed: g.managed,
	}, acting{g})
	g.goSafely("polling", g.poll)
	g.decide()
	return g.end()
}

// Signal asks the guard to end, as a user does who runs it locally.
func (g *Guard) Signal() {
	select {
	case g.signals <- struct{}{}:
	default:
	}
}

// do passes something on to the goroutine that decides.
func (g *Guard) do(i input) {
	select {
	case g.inputs <- i:
	case <-g.ended:
	}
}

// decide takes what happens, one after the other, until the machine says that it is over.
func (g *Guard) decide() {
	defer close(g.ended)
	g.take(input{act: func(now time.Time) { g.machine.begin(now) }})
	for !g.stopped {
		select {
		case i := <-g.inputs:
			g.take(i)
		case <-g.signals:
			g.take(input{act: func(time.Time) { g.machine.signalled() }, plain: func() { g.stopped = true }})
		}
	}
}

// take acts on an input. After a panic the guard goes on without a collector and does only what Lambda needs.
func (g *Guard) take(i input) {
	defer func() {
		if r := recover(); r != nil {
			g.degrade(r)
		}
	}()
	if !g.panicked {
		i.act(time.Now())
		g.initOver.Store(g.machine.initOver)
	} else if i.plain != nil {
		i.plain()
	}
}

func (g *Guard) degrade(reason any) {
	if g.panicked {
		return
	}
	g.panicked = true
	g.initOver.Store(true)
	g.say(levelError, "The guard of the collector has failed and stops the collector. "+uncollected,
		str("panic", panicText(reason)))
	if g.collector != nil {
		g.collector.signal(syscall.SIGKILL) // and when it has ended, another attempt is made
	}
	g.survives("refusing", func() { g.refuser.listen(g.settings.OTLP) })
	select {
	case <-g.registration.done:
		g.askLambda()
	default: // it asks when it is registered
	}
}

func panicText(reason any) string {
	switch reason := reason.(type) {
	case error:
		return reason.Error()
	case string:
		return reason
	default:
		return "of another type than error and string"
	}
}

// goSafely runs something that the guard cannot do without, again when it panics.
func (g *Guard) goSafely(name string, run func()) {
	const attempts = 3
	g.background.Go(func() {
		for range attempts {
			if g.survives(name, run) {
				return
			}
		}
	})
}

func (g *Guard) survives(name string, run func()) (returned bool) {
	defer func() {
		if r := recover(); r != nil {
			g.say(levelError, "The guard of the collector has a fault", str("in", name), str("panic", panicText(r)))
		}
	}()
	run()
	return true
}

// say logs a line.
func (g *Guard) say(l level, message string, fields ...field) {
	if l == levelDebug && !g.debug {
		return
	}
	g.log.put(appendLine(nil, time.Now(), l, message, fields))
}

// register announces the extension and tells everybody how Lambda answered.
func (g *Guard) register(client *http1.Client, sent func()) {
	request := registerRequest(base(g.settings.Args[0]), g.managed)
	request.Written = sent
	var response *http1.Response
	for failed := new(failures); ; {
		var err error
		// No deadline: how long Init may take is Lambda's affair, and a second registration would be refused.
		response, err = client.Do(time.Time{}, request)
		sent()
		if err = errorOf(response, err); err == nil {
			break
		}
		delay, again := failed.retryAfter(err)
		if response != nil || !again || !g.pause(delay) {
			g.say(levelError, "Lambda did not register the extension", str("error", err.Error()))
			break
		}
	}
	g.registration.response = response
	ok := g.registration.identifier() != ""
	if ok {
		g.lambda.rest()
	}
	close(g.registration.done)
	if !ok {
		g.afterStart()
	}
	g.do(input{act: func(now time.Time) { g.machine.registration(now, ok) }, plain: func() {
		if ok {
			g.askLambda()
		}
	}})
}

// afterStart calls AfterStart when this goroutine waits.
func (g *Guard) afterStart() {
	if g.settings.AfterStart != nil {
		g.background.Go(g.settings.AfterStart)
	}
}

// pause returns false if the guard ends first.
func (g *Guard) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.ended:
		return false
	}
}

// tidyEvery is after how many events the guard collects its garbage. Go would wait until there are 4 MB of it, which is
// four times what the guard needs, in the function's memory.
const tidyEvery = 100

// poll asks Lambda for events, one at a time and for as long as it takes.
func (g *Guard) poll() {
	for n := 1; ; n++ {
		select {
		case <-g.polls:
		case <-g.ended:
			return
		}
		if n == 2 || n == 1 && g.managed {
			g.afterStart()
		}
		e, err := g.nextEvent()
		if err != nil {
			g.do(input{
				act:   func(time.Time) { g.polling = false; g.machine.lambdaGone(err) },
				plain: func() { g.stopped, g.status = true, 1 },
			})
			continue
		}
		g.do(input{
			act: func(now time.Time) { g.polling = false; g.machine.arrives(now, e) },
			plain: func() {
				g.polling = false
				if e.kind == eventShutdown {
					g.stopped = true
					return
				}
				g.askLambda()
			},
		})
		if n%tidyEvery == 0 {
			g.background.Go(runtime.GC) // while the handler runs
		}
	}
}

func (g *Guard) nextEvent() (event, error) {
	request := &http1.Request{
		Method:     "GET",
		Target:     pathNext,
		Header:     http1.Header{{Name: headerIdentifier, Value: g.registration.identifier()}},
		Replayable: true,
	}
	client := g.lambda.claim()
	for failed := new(failures); ; {
		// No deadline: the environment may be frozen for hours before the answer comes.
		response, err := client.Do(time.Time{}, request)
		if err = errorOf(response, err); err == nil {
			return parseEvent(response), nil
		}
		delay, again := failed.retryAfter(err)
		if !again || !g.pause(delay) {
			return event{}, err
		}
	}
}

// end takes everything down and returns the status to exit with.
func (g *Guard) end() int {
	g.lambda.close()
	if g.timer != nil {
		g.timer.Stop()
	}
	if g.collector != nil {
		g.collector.signal(syscall.SIGKILL)
	}
	if g.telemetry != nil {
		g.telemetry.Close()
	}
	if g.drain != nil {
		_ = g.drain.Close()
	}
	g.spawner.close()
	g.refuser.close()
	if requests := g.refuser.requests.Load(); requests > 0 {
		g.say(levelWarn, "The function sent telemetry when no collector ran: it was refused and is lost",
			num("requests", requests))
	}
	g.log.close()
	return g.status
}
