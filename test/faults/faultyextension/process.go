// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package faultyextension

import (
	"context"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// current is this process, nil where nobody has asked for a fault. It is made before main runs, which is the only way
// to be earlier than the registration.
var current = begin()

// process is a collector that is to break.
type process struct {
	dir    string
	fault  Fault
	moment Moment
	file   *os.File
	// broken says that this process has the fault: the first does, those that follow it do not.
	broken bool
	// stuck says that flushes do not return any more.
	stuck atomic.Bool
	// halves are connections with the beginning of a request.
	halves []net.Conn
}

// begin runs before main.
func begin() *process {
	dir := os.Getenv(EnvDir)
	if dir == "" {
		return nil
	}
	p := &process{dir: dir, fault: Fault(os.Getenv(EnvFault)), moment: Moment(os.Getenv(EnvMoment))}
	before, err := ReadTrace(dir)
	if err != nil {
		panic(err)
	}
	p.broken = len(before) == 0
	p.file, err = os.OpenFile(filepath.Join(dir, traceFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	p.trace(Started, "-")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		<-signals
		p.perform(context.Background())
	}()
	if p.is(BeforeRegister) {
		p.perform(context.Background())
	}
	return p
}

func (p *process) is(m Moment) bool { return p.broken && p.moment == m }

func (p *process) trace(what What, detail string) { writeTrace(p.file, what, detail) }

// early says that nothing follows by itself: a fault that keeps the collector from going on has to hold it here.
func (p *process) early() bool { return p.moment == BeforeRegister || p.moment == AfterRegister }

func forever() { time.Sleep(math.MaxInt64) }
