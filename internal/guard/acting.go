// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// acting carries out what the machine decides. Its methods are for the goroutine that decides.
type acting struct{ *Guard }

var _ effects = acting{}

func (a acting) poll() { a.askLambda() }

func (g *Guard) askLambda() {
	if !g.polling {
		g.polling = true
		g.polls <- struct{}{}
	}
}

func (a acting) setTimer(after time.Duration, sequence int) {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = time.AfterFunc(max(0, after), func() {
		a.do(input{act: func(now time.Time) { a.machine.timeUp(now, sequence) }})
	})
}

func (a acting) log(l level, message string, fields ...field) { a.say(l, message, fields...) }

func (a acting) exit(status int) { a.stopped, a.status = true, status }

func (a acting) terminate() { a.collector.signal(syscall.SIGTERM) }

func (a acting) kill() { a.collector.signal(syscall.SIGKILL) }

func (a acting) hand(e event) {
	if a.waiter != nil {
		a.waiter.event <- e
		a.waiter = nil
	}
}

// asks is the machine's, with who asks.
func (g *Guard) asks(now time.Time, generation int, w *waiter) (accepted bool) {
	before := g.waiter
	if before != nil {
		select {
		case <-before.done: // its end and this request came at the same time
			g.hangsUp(now, generation, before)
			before = nil
		default:
		}
	}
	// The machine may answer at once.
	g.waiter = w
	if !g.machine.asks(now, generation) {
		g.waiter = before
		return false
	}
	return true
}

// hangsUp is the machine's, with who hangs up.
func (g *Guard) hangsUp(now time.Time, generation int, w *waiter) {
	if g.waiter == w {
		g.waiter = nil
		g.machine.hangsUp(now, generation)
	}
}

// start starts a collector with an address of its own, so that nothing a dead one has left behind is taken for its.
func (a acting) start(path string, generation int) error {
	if a.polling {
		// There is one processor, and starting a program holds it: Lambda is asked first. Go now and then goes on at once with
		// who has given way, but not twice.
		runtime.Gosched()
		runtime.Gosched()
	}
	read := readAhead(path)
	if read != nil {
		a.background.Go(read)
	}
	a.openTelemetry()
	listener, err := socket.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	p := &proxy{guard: a.Guard, generation: generation}
	stderr, write, err := stderrPipe()
	if err != nil {
		listener.Close()
		return err
	}
	defer func() { _ = syscall.Close(write) }()
	prog := program{
		path:    path,
		argv:    a.settings.Args[:1],
		environ: collectorEnviron(a.settings.Environ, listener.Address(), a.telemetry != nil),
		files:   []uintptr{uintptr(a.settings.Stdin), uintptr(a.settings.Stdout), uintptr(write)},
	}
	if a.telemetry != nil {
		prog.files = append(prog.files, a.telemetry.FD())
	}
	prog.timerSlack = timerSlack(prog.environ)
	if read != nil {
		runtime.Gosched() // the disk begins before the processor is held
	}
	started, err := a.spawner.start(prog)
	if err != nil {
		listener.Close()
		stderr.Close()
		return err
	}
	a.waiter, a.collector = nil, started
	a.background.Go(func() { _ = p.server.Serve(acceptor{listener}, p.handle) })
	a.background.Go(func() { a.watch(generation, started, stderr, &p.server) })
	return nil
}

// openTelemetry opens the listener that collectors inherit. Lambda delivers to the environment's own address, which is
// documented only by name, so it is bound to all of them. Without a listener the collector opens one itself.
func (a acting) openTelemetry() {
	if a.telemetry != nil {
		return
	}
	bound, err := socket.Bind("0.0.0.0:0")
	if err != nil {
		a.say(levelWarn, "The guard cannot open the listener for Lambda's events, which the collector has to do itself: "+
			"it will not receive any after a restart", str("error", err.Error()))
		return
	}
	a.telemetry = bound
}

// maxDrained bounds a delivery that nobody wants.
const maxDrained = 4 << 20

// retire does in the place of the collector that will not come back what keeps others from waiting for it.
func (a acting) retire() {
	a.drainTelemetry()
	a.refuser.listen(a.settings.OTLP)
}

// drainTelemetry takes the deliveries of the Telemetry API and forgets them: Lambda would keep what is not taken in the
// function's memory, and try again and again.
func (a acting) drainTelemetry() {
	if a.telemetry == nil || a.drain != nil {
		return
	}
	a.drain = &http1.Server{MaxConns: 2, Limits: http1.Limits{BodyBytes: maxDrained}}
	listener := a.telemetry.Listener()
	a.background.Go(func() {
		_ = a.drain.Serve(acceptor{listener}, func(*http1.Request) *http1.Response {
			return &http1.Response{Status: statusOK}
		})
	})
}

// drainTime is how long the last words of a dead collector are waited for. A process that it has started may keep its
// stderr open.
const drainTime = 20 * time.Millisecond

// watch copies the collector's stderr, waits for its end, and tells of it.
func (g *Guard) watch(generation int, p *process, stderr *os.File, server *http1.Server) {
	copier := lineCopier{to: func(p []byte) { writeAll(g.settings.Stderr, p) }}
	copied := make(chan struct{})
	g.background.Go(func() {
		defer close(copied)
		g.survives("copying stderr", func() { copier.run(stderr.Read) })
	})
	x := p.wait()
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-copied:
	case <-timer.C:
	}
	last := copier.text()
	g.do(input{
		act:   func(now time.Time) { g.machine.died(now, generation, x, last) },
		plain: func() { g.refuser.listen(g.settings.OTLP) }, // where the dead one listened
	})
	_ = server.Close()
	select {
	case <-copied:
	case <-g.ended:
	}
	stderr.Close()
}
