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

// spawner starts processes from threads that live as long as the guard: the kernel sends the signal for a parent's death
// when the thread that forked ends, and Go ends threads when it likes, except the process's first one. It is for one
// goroutine.
type spawner struct {
	// jobs are for a thread of its own, which there is once a start did not come from the first one.
	jobs chan func()
}

// do calls job on a thread that stays.
func (s *spawner) do(job func()) {
	// The collector's first start usually comes from the first thread, which spares the guard another one and the one that
	// Go starts with it. Up to the fork a job waits for nothing, so it is not moved to another thread meanwhile. Where it
	// is all the same, that one is as good as long as Go ends no threads but those that goroutines are locked to.
	if syscall.Gettid() == syscall.Getpid() {
		job()
		return
	}
	if s.jobs == nil {
		s.jobs = make(chan func())
		go serveLocked(s.jobs)
	}
	done := make(chan struct{})
	s.jobs <- func() {
		defer close(done)
		job()
	}
	<-done
}

func serveLocked(jobs <-chan func()) {
	// Never unlocked: the thread ends with the goroutine, and takes with it what it started.
	runtime.LockOSThread()
	for job := range jobs {
		job()
	}
}

func (s *spawner) close() {
	if s.jobs != nil {
		close(s.jobs)
	}
}

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

// fork starts the program. pidFD, if not nil, gets a descriptor of it, or -1.
func (p program) fork(pidFD *int) (pid int, err error) {
	return syscall.ForkExec(p.path, p.argv, &syscall.ProcAttr{
		Env:   p.environ,
		Files: p.files,
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, PidFD: pidFD},
	})
}

// process is one that has been started. It must be waited for, once.
type process struct {
	pid int
	// end can be read when the process has ended. It is nil where the kernel has no such descriptors.
	end *os.File

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
	pidFD := -1
	s.do(func() {
		// Inherited by what is started here. Where the kernel does not allow it, timers are as exact as ever.
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, p.timerSlack, 0)
		pid, err = p.fork(&pidFD)
		if err == syscall.EINVAL { //nolint:errorlint // what a system call returns is never wrapped
			pid, err = p.fork(nil) // emulators of other processors know no such descriptors
		}
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 0, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: p.path, Err: err}
	}
	started := &process{pid: pid}
	if pidFD >= 0 {
		_ = syscall.SetNonblock(pidFD, true) // so that the poller takes it
		started.end = os.NewFile(uintptr(pidFD), "end of the collector")
	}
	started.beFirstToGo()
	return started, nil
}

// beFirstToGo has the kernel take the process before others when memory is short. Where that is not allowed, everybody has
// the same chance as without it. It is os.WriteFile without what that does to have the poller watch the file.
func (p *process) beFirstToGo() {
	fd, err := syscall.Open("/proc/"+strconv.Itoa(p.pid)+"/oom_score_adj", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err == nil {
		writeAll(fd, []byte(maxOOMScore))
		_ = syscall.Close(fd)
	}
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
	waitNoHang = 0x00000001 // WNOHANG
	waitExited = 0x00000004 // WEXITED
	waitNoReap = 0x01000000 // WNOWAIT
)

// awaitEnd returns when the process has ended.
func (p *process) awaitEnd() {
	if p.end != nil {
		defer p.end.Close()
		// The poller waits. A system call would take a thread, and hold up the guard until Go notices that it blocks.
		raw, err := p.end.SyscallConn()
		if err == nil && raw.Read(func(uintptr) bool { return p.ended(waitNoHang) }) == nil {
			return
		}
	}
	p.ended(0)
}

// ended says whether the process has ended. Without waitNoHang it waits for that.
func (p *process) ended(options uintptr) bool {
	// siginfo_t, of which the first number is not 0 if there is news.
	var info [32]int32
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, waitByPID, uintptr(p.pid),
			uintptr(unsafe.Pointer(&info)), waitExited|waitNoReap|options, 0, 0)
		if errno != syscall.EINTR {
			return errno != 0 || info[0] != 0
		}
	}
}

// wait returns when the process has ended, and reaps it.
func (p *process) wait() exit {
	// Waiting and reaping are two steps, so that the id stays ours until the lock is held.
	p.awaitEnd()
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
