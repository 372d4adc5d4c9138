// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func shell(script string) program {
	return program{
		path: "/bin/sh", argv: []string{"sh", "-c", script}, environ: os.Environ(),
		files: []uintptr{0, 1, 2},
	}
}

// Wherever a start comes from, it is on the first thread or on one that stays.
func TestSpawnerThread(t *testing.T) {
	t.Parallel()
	var s spawner
	defer s.close()
	threads := map[int]bool{}
	for range 20 {
		elsewhere := make(chan struct{})
		go func() {
			defer close(elsewhere)
			runtime.LockOSThread() // the thread ends with this goroutine
			s.do(func() { threads[syscall.Gettid()] = true })
		}()
		<-elsewhere
	}
	for thread := range threads {
		require.DirExists(t, "/proc/self/task/"+strconv.Itoa(thread))
	}
	delete(threads, syscall.Getpid())
	require.LessOrEqual(t, len(threads), 1)
}

func TestProcess(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]exit{
		"exit 0":            {},
		"exit 3":            {code: 3},
		"kill -9 $$":        {code: -1, signal: "killed", killed: true},
		"kill -15 $$":       {code: -1, signal: "terminated"},
		"sleep 0.05;exit 4": {code: 4},
	} {
		for kind, change := range map[string]func(*process){
			"poller": func(*process) {},
			"no descriptor": func(p *process) {
				p.end.Close()
				p.end = nil
			},
			"descriptor that cannot be polled": func(p *process) {
				p.end.Close()
				p.end, _ = os.Open(os.DevNull)
			},
			"descriptor that is closed": func(p *process) { p.end.Close() },
		} {
			t.Run(script+"/"+kind, func(t *testing.T) {
				t.Parallel()
				var s spawner
				defer s.close()
				p, err := s.start(shell(script))
				require.NoError(t, err)
				require.NotNil(t, p.end)
				change(p)
				require.Equal(t, want, p.wait())
				p.signal(syscall.SIGKILL) // whoever has its id now gets nothing
			})
		}
	}
}

func TestForkWithoutDescriptor(t *testing.T) {
	t.Parallel()
	pid, err := shell("exit 3").fork(nil)
	require.NoError(t, err)
	p := &process{pid: pid}
	require.Equal(t, exit{code: 3}, p.wait())
}

func TestProcessIsSignalled(t *testing.T) {
	t.Parallel()
	var s spawner
	defer s.close()
	p, err := s.start(shell("exec sleep 1000"))
	require.NoError(t, err)
	require.False(t, p.ended(waitNoHang))
	p.signal(syscall.SIGTERM)
	require.Equal(t, exit{code: -1, signal: "terminated"}, p.wait())
}

// Timers of the guard's own are as exact after a start as before, unless the kernel moves the goroutine meanwhile.
func TestTimerSlackIsTheProgramsAlone(t *testing.T) {
	t.Parallel()
	var s spawner
	defer s.close()
	slack := func() (ns uintptr) {
		const prGetTimerSlack = 30
		s.do(func() { ns, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prGetTimerSlack, 0, 0) })
		return ns
	}
	before := slack()
	p := shell("exit 0")
	p.timerSlack = 4_000_000
	started, err := s.start(p)
	require.NoError(t, err)
	require.Zero(t, started.wait().code)
	require.Equal(t, before, slack())
}
