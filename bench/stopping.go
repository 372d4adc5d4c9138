// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stoppingRounds are how often processes are continued and stopped to find out what that costs.
	stoppingRounds = 7
	// stoppingPause is for them to notice that they run, which all threads have to.
	stoppingPause = 2 * time.Millisecond
	// stoppingTime is for them to stop.
	stoppingTime = time.Second
)

// stoppingCost is the CPU that processes take to be continued and stopped, and for nothing else. They must be stopped, and
// are so again. The simulator does that to each thread, once for each invocation; Lambda stops the virtual machine.
func stoppingCost(pids []int) (time.Duration, error) {
	costs := make([]time.Duration, 0, stoppingRounds)
	for range stoppingRounds {
		before, err := cpuTime(pids)
		if err != nil {
			return 0, err
		}
		if err := send(pids, unix.SIGCONT); err != nil {
			return 0, err
		}
		time.Sleep(stoppingPause)
		if err := send(pids, unix.SIGSTOP); err != nil {
			return 0, err
		}
		if err := awaitStopped(pids); err != nil {
			return 0, err
		}
		after, err := cpuTime(pids)
		if err != nil {
			return 0, err
		}
		costs = append(costs, after-before)
	}
	slices.Sort(costs)
	return costs[len(costs)/2], nil
}

func send(pids []int, s unix.Signal) error {
	for _, pid := range pids {
		if err := unix.Kill(pid, s); err != nil {
			return fmt.Errorf("send a signal to process %d: %w", pid, err)
		}
	}
	return nil
}

func awaitStopped(pids []int) error {
	for deadline := time.Now().Add(stoppingTime); time.Now().Before(deadline); {
		if !slices.ContainsFunc(pids, runs) {
			return nil
		}
		time.Sleep(stoppingPause / 10)
	}
	return errors.New("a process does not stop")
}

// runs reports whether a thread of a process is not stopped.
func runs(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return slices.ContainsFunc(threads, func(path string) bool {
		text, err := os.ReadFile(path)
		// The state is behind the name, which is in parentheses and may have any characters.
		name := strings.LastIndexByte(string(text), ')')
		return err == nil && name >= 0 && !strings.HasPrefix(string(text[name:]), ") T")
	})
}
