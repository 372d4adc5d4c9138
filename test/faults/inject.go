// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"
)

// notHereError says that a fault cannot be made on this machine.
type notHereError struct{ reason string }

func (e *notHereError) Error() string { return e.reason }

// prepareFault does what has to be done before the processes start.
func (r *rig) prepareFault(ctx context.Context, p programs, opts *lambdasim.Options) (err error) {
	switch r.fault.name {
	case faultyextension.OutOfMemory:
		if r.memory, err = newMemoryGroup(); err != nil {
			return &notHereError{err.Error()}
		}
		opts.Env[faultyextension.EnvCgroup] = r.memory.procs()
	case faultyextension.DiskFull:
		if p.noFullTmp != "" {
			return &notHereError{p.noFullTmp}
		}
		opts.LayerDir = p.fullTmp
	case faultyextension.PortTaken:
		if r.moment == faultyextension.BeforeRegister {
			return r.thief.take(ctx, r.httpPort)
		}
	}
	return nil
}

// strike makes the fault happen. Most are made by the collector itself, when it gets a signal; while it is frozen, that
// waits for the thaw.
func (r *rig) strike(ctx context.Context) error {
	pids := collectors(r.trace())
	if len(pids) != 1 {
		return fmt.Errorf("the fault is for the first collector, but %d have been started", len(pids))
	}
	signal := syscall.SIGUSR1
	switch r.fault.name {
	case faultyextension.Kill:
		signal = syscall.SIGKILL
	case faultyextension.Stop:
		signal = syscall.SIGSTOP
	case faultyextension.PortTaken:
		signal = syscall.SIGKILL
		defer r.thief.want(ctx, r.httpPort)
	}
	r.mu.Lock()
	r.struck = time.Now()
	r.mu.Unlock()
	return syscall.Kill(pids[0], signal)
}

// effectTime bounds the wait for a fault to have happened.
const effectTime = 5 * time.Second

// awaitEffect returns when the fault has happened as far as can be seen from here.
func (r *rig) awaitEffect() error {
	const settle = 100 * time.Millisecond // for what follows from it
	defer time.Sleep(settle)
	for deadline := time.Now().Add(effectTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		entries := r.trace()
		_, begun := first(entries, faultyextension.Begun, 0)
		if pids := collectors(entries); begun || len(pids) > 0 && (isStopped(pids[0]) || !isAlive(pids[0])) {
			return nil
		}
	}
	return errors.New("the fault did not happen")
}

// awaitAsked has a fault happen that the collector waits for at its start, and takes the port away from it.
func (r *rig) awaitAsked(ctx context.Context) error {
	for deadline := time.Now().Add(effectTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if asked, ok := first(r.trace(), faultyextension.Asked, 0); ok {
			return errors.Join(r.thief.take(ctx, r.httpPort), syscall.Kill(asked.PID, syscall.SIGKILL))
		}
	}
	return errors.New("the collector did not get as far as its fault")
}

// happened checks that the fault was what it should be: a cell whose fault does nothing must not look well.
func (r *rig) happened() error {
	entries := r.trace()
	log := r.log.String()
	done, _ := first(entries, faultyextension.Done, 0)
	want := func(text, in string) error {
		if strings.Contains(in, text) {
			return nil
		}
		return fmt.Errorf("the fault did not happen: no %q", text)
	}
	switch r.fault.name {
	case faultyextension.Kill:
		return want("signal: killed", log)
	case faultyextension.Stop:
		if r.moment == faultyextension.Shutdown {
			return want("The collector has not shut down in the time that Lambda allows", log)
		}
		return want("it did not ask for events any more", log)
	case faultyextension.Panic:
		return want("panic: a fault in a goroutine of a component", log)
	case faultyextension.OutOfMemory:
		killed, err := r.memory.killed()
		if err == nil && !killed {
			err = errors.New("the fault did not happen: the kernel has killed nobody: " + done.Detail)
		}
		return err
	case faultyextension.Exit0:
		return want(string(faultyextension.Exit0), begun(entries))
	case faultyextension.Exit1:
		return want("exit status 1", log)
	case faultyextension.PortTaken:
		return errors.Join(r.thief.err(), want("Another process listens on a port of this collector", log))
	case faultyextension.DiskFull:
		return want("no space left on device", done.Detail)
	case faultyextension.NoDescriptors:
		return want("too many open files", done.Detail)
	case faultyextension.NextNever:
		if r.early() {
			return want("hangs", done.Detail)
		}
		return want("a drain does not return", done.Detail)
	case faultyextension.NextTwice:
		if r.moment == faultyextension.Shutdown {
			// The process ends before anything can answer.
			return want(string(faultyextension.NextTwice), begun(entries))
		}
		return r.nextTwiceHappened(entries)
	case faultyextension.Garbage:
		return want("400", done.Detail)
	default:
		return fmt.Errorf("there is no such fault: %s", r.fault.name)
	}
}

func begun(entries []faultyextension.Entry) string {
	entry, _ := first(entries, faultyextension.Begun, 0)
	return entry.Detail
}

// nextTwiceHappened looks for the answers: of two at a time one is refused, and it need not be the one too many.
func (r *rig) nextTwiceHappened(entries []faultyextension.Entry) error {
	for _, e := range entries {
		if e.What == faultyextension.Done && (strings.HasPrefix(e.Detail, "200 ") || strings.HasPrefix(e.Detail, "403 ")) {
			return nil
		}
	}
	return errors.New("the fault did not happen: nobody answered")
}

// thief is another program on a port: it takes connections and hangs up. The zero value has no port.
type thief struct {
	mu       sync.Mutex
	listener net.Listener
	failed   error
	wanting  sync.WaitGroup
}

// take listens on a port.
func (t *thief) take(ctx context.Context, port string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:"+port)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed = err; err != nil {
		return err
	}
	t.listener = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return nil
}

// want takes a port in the background as soon as it is free.
func (t *thief) want(ctx context.Context, port string) {
	t.wanting.Go(func() {
		for deadline := time.Now().Add(effectTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if t.take(ctx, port) == nil {
				return
			}
		}
	})
}

// err says why there is no port.
func (t *thief) err() error {
	t.wanting.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener == nil && t.failed == nil {
		return errors.New("nobody has taken the port")
	}
	return t.failed
}

func (t *thief) close() {
	t.wanting.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener != nil {
		t.listener.Close()
	}
}
