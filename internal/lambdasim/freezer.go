// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// The names of the ways to freeze, as in Report.FreezeMode.
const (
	freezeCgroupV2 = "cgroup-v2"
	freezeCgroupV1 = "cgroup-v1"
	freezeSignal   = "signal"
	freezeNone     = "none"
)

// freezeTimeout bounds the wait for the kernel to stop everything; it takes well under a millisecond normally.
const freezeTimeout = 2 * time.Second

// freezer stops all processes of the environment and lets them go on.
type freezer interface {
	name() string
	// start runs the start of a process such that the process, and what it forks, belongs to the freezer. It is called
	// on the spawner's thread.
	start(attr *syscall.SysProcAttr, start func() error) error
	// freeze returns when all processes have stopped.
	freeze() error
	thaw() error
	// kill ends all processes that are left, with their descendants, and reports whether there were any. They must not
	// be frozen.
	kill() (found bool)
	close() error
}

// errNoCgroup says why there is no cgroup freezer.
var errNoCgroup = errors.New("no writable cgroup freezer")

// newFreezer makes the freezer for mode. leaders are the processes the simulator has started and not yet reaped.
func newFreezer(mode FreezeMode, sp *spawner, leaders func() []int) (freezer, error) {
	switch mode {
	case FreezeNone:
		return noFreezer{signalFreezer{leaders: leaders}}, nil
	case FreezeSignal:
		return signalFreezer{leaders: leaders}, nil
	}
	f, err := newCgroupFreezer(sp)
	if err == nil {
		return f, nil
	}
	if mode == FreezeCgroup {
		return nil, fmt.Errorf("cannot freeze with cgroups, use FreezeAuto or FreezeSignal: %w", err)
	}
	return signalFreezer{leaders: leaders}, nil
}

// signalFreezer stops with SIGSTOP. A process that was started while the others were being stopped is found in the next
// round.
type signalFreezer struct {
	leaders func() []int
}

func (signalFreezer) name() string { return freezeSignal }

func (signalFreezer) start(_ *syscall.SysProcAttr, start func() error) error { return start() }

func (f signalFreezer) freeze() error {
	deadline := time.Now().Add(freezeTimeout)
	for {
		running := 0
		for _, p := range family(f.leaders()) {
			if p.stopped {
				continue
			}
			running++
			_ = syscall.Kill(p.target, syscall.SIGSTOP)
		}
		if running == 0 || !seesStopped {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes did not stop within %s", running, freezeTimeout)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (f signalFreezer) thaw() error {
	var errs []error
	for _, p := range family(f.leaders()) {
		if err := syscall.Kill(p.target, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("cannot continue process %d: %w", p.target, err))
		}
	}
	return errors.Join(errs...)
}

func (f signalFreezer) kill() bool { return killFamily(f.leaders()) }

func (signalFreezer) close() error { return nil }

// noFreezer starts and kills like the signalFreezer.
type noFreezer struct{ signalFreezer }

func (noFreezer) name() string  { return freezeNone }
func (noFreezer) freeze() error { return nil }
func (noFreezer) thaw() error   { return nil }

// killFamily ends processes and their descendants, and reports whether there were any.
func killFamily(leaders []int) (found bool) {
	for _, p := range family(leaders) {
		if syscall.Kill(p.target, syscall.SIGKILL) == nil {
			found = true
		}
	}
	return found
}

// killAll kills until nothing is left. Whoever starts next must find files and ports free.
func killAll(f freezer) {
	deadline := time.Now().Add(reapTimeout)
	for f.kill() && time.Now().Before(deadline) {
		time.Sleep(200 * time.Microsecond)
	}
}
