// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

// spawner starts processes from one thread that lives as long as the guard: the kernel sends the signal for a parent's
// death when the thread that forked ends, and Go ends threads when it likes.
type spawner struct {
	jobs chan func()
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		// Never unlocked: the thread ends with the goroutine, and takes with it what it started.
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) close() { close(s.jobs) }

// program is what to start.
type program struct {
	path    string
	argv    []string
	environ []string
	// files are the descriptors from 0 on.
	files []uintptr
	// timerSlack is by how many nanoseconds the kernel may delay what waits for a time in the program; 0 is the usual 50 µs.
	timerSlack uintptr
}

// process is one that has been started. It must be waited for, once.
type process struct {
	pid int

	mu     sync.Mutex
	reaped bool
}

// prSetTimerSlack is PR_SET_TIMERSLACK of prctl(2).
const prSetTimerSlack = 29

// maxOOMScore has the kernel kill the process before any other when memory is short.
const maxOOMScore = "1000"

// start starts a program that dies with this process and before the function when memory is short.
func (s *spawner) start(p program) (*process, error) {
	var pid int
	var err error
	done := make(chan struct{})
	s.jobs <- func() {
		defer close(done)
		// Inherited by what is started here. Where the kernel does not allow it, timers are as exact as ever.
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, p.timerSlack, 0)
		pid, err = syscall.ForkExec(p.path, p.argv, &syscall.ProcAttr{
			Env:   p.environ,
			Files: p.files,
			Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		})
	}
	<-done
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: p.path, Err: err}
	}
	// Where the kernel does not allow it, everybody has the same chance as without it.
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(maxOOMScore), 0)
	return &process{pid: pid}, nil
}

// signal sends a signal, unless the process has been reaped and its id may be another's.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(p.pid, s)
	}
}

const (
	waitByPID  = 1          // P_PID
	waitExited = 0x00000004 // WEXITED
	waitNoReap = 0x01000000 // WNOWAIT
)

// wait returns when the process has ended, and reaps it.
func (p *process) wait() exit {
	// Waiting and reaping are two steps, so that the id stays ours until the lock is held.
	var info [128]byte // siginfo_t, which nobody reads
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, waitByPID, uintptr(p.pid),
			uintptr(unsafe.Pointer(&info)), waitExited|waitNoReap, 0, 0)
		if errno != syscall.EINTR {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return exit{code: -1, signal: "unknown (" + err.Error() + ")"}
		}
		return exitOf(status)
	}
}

func exitOf(status syscall.WaitStatus) exit {
	if status.Signaled() {
		return exit{code: -1, signal: status.Signal().String(), killed: status.Signal() == syscall.SIGKILL}
	}
	return exit{code: status.ExitStatus()}
}

// stderrPipe returns the ends of a pipe. The one to read from does not block, the other does, as a program expects of
// its stderr.
func stderrPipe() (read *os.File, write int, err error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return nil, 0, err
	}
	if err := syscall.SetNonblock(p[0], true); err != nil {
		_ = syscall.Close(p[0])
		_ = syscall.Close(p[1])
		return nil, 0, err
	}
	return os.NewFile(uintptr(p[0]), "stderr of the collector"), p[1], nil
}
