// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// beat is how often somebody looks at the clock, and stallFrom the delay from which on that is no matter of a busy
	// machine.
	beat      = 20 * time.Millisecond
	stallFrom = 500 * time.Millisecond
)

// stall is a time in which the machine let nobody run. Lambda's time limits go on in it: invocations time out that
// nobody is to blame for, and the rules do not excuse that. The report tells it, for whoever looks for the reason.
type stall struct {
	begin  time.Time
	length time.Duration
}

func (s stall) String() string {
	return fmt.Sprintf("%s for %s", s.begin.UTC().Format("15:04:05.000"), s.length.Round(time.Millisecond))
}

// watchStalls looks for stalls until it is stopped, and returns those it saw.
func watchStalls() (stop func() []stall) {
	var stalls []stall
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-ticker.C:
			case <-over:
				return
			}
			now := time.Now()
			if late := now.Sub(last); late >= stallFrom {
				stalls = append(stalls, stall{begin: last, length: late})
			}
			last = now
		}
	})
	return func() []stall {
		close(over)
		watching.Wait()
		return stalls
	}
}

// describe lists stalls in a line.
func describe(stalls []stall) string {
	if len(stalls) == 0 {
		return "none"
	}
	parts := make([]string, len(stalls))
	for i, s := range stalls {
		parts[i] = s.String()
	}
	return strings.Join(parts, ", ")
}
