// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// spawner starts processes from one thread that lives as long as the environment: the kernel sends the signal for a
// parent's death when the thread that forked ends, and Go ends threads when it likes.
type spawner struct {
	jobs chan func()
	done chan struct{}
	once sync.Once
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		// Never unlocked: the thread ends with the goroutine, and takes with it what it started.
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) do(job func() error) error {
	result := make(chan error, 1)
	s.jobs <- func() { result <- job() }
	return <-result
}

// close must be the last call.
func (s *spawner) close() {
	s.once.Do(func() { close(s.jobs) })
	<-s.done
}

// command is what to start.
type command struct {
	argv []string
	dir  string
	env  []string
	emit func(line string)
}

// process is one that has been started.
type process struct {
	pid     int
	started time.Time
	output  *lineReader
	exited  chan struct{} // closed when it has been reaped

	// status belongs to whoever has seen exited closed.
	status  *os.ProcessState
	command *exec.Cmd
}

// textBusyRetries is how often a program that is just being written is tried again. Another thread of this process that
// forked while the file was open for writing has it open until its exec.
const textBusyRetries = 20

// start starts a process and calls reaped once it has ended and all it had written is read. reaped has to call end.
func (c command) start(sp *spawner, f freezer, reaped func(*process)) (*process, error) {
	var p *process
	var err error
	for range textBusyRetries {
		p, err = c.startOnce(sp, f, reaped)
		if !errors.Is(err, syscall.ETXTBSY) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return p, err
}

func (c command) startOnce(sp *spawner, f freezer, reaped func(*process)) (*process, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	defer func() { _ = write.Close() }()
	output, err := newLineReader(read, c.emit)
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}

	attr := procAttr()
	// Stdout and stderr are one pipe, so that lines stay in order.
	cmd := &exec.Cmd{
		Path: c.argv[0], Args: c.argv, Dir: c.dir, Env: c.env,
		Stdout: write, Stderr: write, SysProcAttr: attr,
	}
	p := &process{output: output, exited: make(chan struct{}), command: cmd}
	err = sp.do(func() error {
		p.started = time.Now()
		return f.start(attr, cmd.Start)
	})
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	p.pid = cmd.Process.Pid
	go output.run()
	go func() {
		// The state says all that the error does.
		_ = cmd.Wait()
		output.drain()
		reaped(p)
	}()
	return p, nil
}

// end marks the process as reaped. It is called under the lock that guards what is known about the process, so that
// the two never differ.
func (p *process) end() {
	p.status = p.command.ProcessState
	close(p.exited)
}

// alive reports whether the process has not been reaped.
func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// wait returns whether the process ended within d.
func (p *process) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// terminate asks the process's group to end, as Lambda asks the runtime.
func (p *process) terminate() { _ = syscall.Kill(-p.pid, syscall.SIGTERM) }
