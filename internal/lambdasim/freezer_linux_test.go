// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// cgroupsWritable says whether the cgroup freezer can be tested here.
func cgroupsWritable(t *testing.T) bool {
	t.Helper()
	sp := newSpawner()
	defer sp.close()
	f, err := newCgroupFreezer(sp)
	if err != nil {
		t.Log(err)
		return false
	}
	require.NoError(t, f.close())
	return true
}

// ticker starts the test binary as a process that ticks.
func ticker(t *testing.T, sp *spawner, f freezer) (p *process, ticks func() int64) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	base := filepath.Join(t.TempDir(), "ticks")
	c := command{
		argv: []string{"forked"}, dir: "/", emit: func(string) {},
		env: []string{"AWS_LAMBDA_RUNTIME_API=unused", tickVariable + "=" + base},
	}
	link := filepath.Join(t.TempDir(), "forked")
	require.NoError(t, os.Symlink(program, link))
	c.argv = []string{link}
	p, err = c.start(sp, f, func(p *process) { p.end() })
	require.NoError(t, err)
	return p, func() int64 {
		info, err := os.Stat(base + ".forked")
		if err != nil {
			return 0
		}
		return info.Size()
	}
}

func movedFrom(ticks func() int64, from int64) func() bool {
	return func() bool { return ticks() > from }
}

// Each way to freeze that this machine allows stops a process, lets it go on and leaves nothing behind.
func TestFreezers(t *testing.T) {
	paths, err := cgroupDirs()
	require.NoError(t, err)
	for _, tt := range []struct {
		name, home string
		v2         bool
	}{
		{name: freezeCgroupV2, home: paths.v2, v2: true},
		{name: freezeCgroupV1, home: paths.v1},
		{name: freezeSignal},
		{name: freezeNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sp := newSpawner()
			defer sp.close()
			var pid int
			leaders := func() []int { return []int{pid} }
			var f freezer = signalFreezer{leaders: leaders}
			switch tt.name {
			case freezeSignal:
			case freezeNone:
				f = noFreezer{signalFreezer{leaders: leaders}}
			default:
				if tt.home == "" {
					t.Skip("there is no such cgroup hierarchy")
				}
				cgroup, err := makeCgroupFreezer(tt.home, tt.v2, sp)
				if err != nil {
					t.Skip(err)
				}
				f = cgroup
			}
			require.Equal(t, tt.name, f.name())
			p, ticks := ticker(t, sp, f)
			pid = p.pid
			require.Eventually(t, func() bool { return ticks() > 3 }, testTimeout, time.Millisecond)
			for range 3 {
				require.NoError(t, f.freeze())
				frozen := ticks()
				moved := movedFrom(ticks, frozen)
				if tt.name == freezeNone {
					require.Eventually(t, moved, testTimeout, time.Millisecond)
				} else {
					require.Never(t, moved, 50*time.Millisecond, 5*time.Millisecond)
				}
				require.NoError(t, f.thaw())
				require.Eventually(t, movedFrom(ticks, ticks()), testTimeout, time.Millisecond)
			}
			require.True(t, f.kill())
			require.True(t, p.wait(testTimeout))
			p.output.close()
			require.NoError(t, f.close())
			if cgroup, ok := f.(*cgroupFreezer); ok {
				require.NoDirExists(t, cgroup.dir)
			}
		})
	}
}

// A whole life with each version of cgroups.
func TestCgroupVersions(t *testing.T) {
	paths, err := cgroupDirs()
	require.NoError(t, err)
	for name, home := range map[string]string{freezeCgroupV2: paths.v2, freezeCgroupV1: paths.v1} {
		t.Run(name, func(t *testing.T) {
			if home == "" {
				t.Skip("there is no such cgroup hierarchy")
			}
			base := filepath.Join(t.TempDir(), "ticks")
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, "ticking", "forking"), Freeze: FreezeSignal, Env: map[string]string{tickVariable: base},
			})
			require.NoError(t, e.open())
			f, err := makeCgroupFreezer(home, name == freezeCgroupV2, e.spawner)
			if err != nil {
				t.Skip(err)
			}
			e.freezer = f
			total := func() int64 {
				return ticks(t, base+".function") + ticks(t, base+".extension") + ticks(t, base+".forked")
			}
			for range 3 {
				before := total()
				require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
				frozen := total()
				require.Greater(t, frozen, before)
				require.Never(t, func() bool { return total() > frozen }, 50*time.Millisecond, 5*time.Millisecond)
			}
			require.NoError(t, e.Shutdown(testContext(t)))
			require.Empty(t, f.members())
			report := e.Report()
			require.Equal(t, 3, report.Freezes)
			require.Empty(t, report.FreezeErrors)
			require.Empty(t, report.Violations)
			require.NoError(t, e.Close())
			require.NoDirExists(t, f.dir)
		})
	}
}

// When the simulator is killed, so is everything it has started, even what is frozen at the time.
func TestNothingSurvivesTheSimulator(t *testing.T) {
	for name, cgroup := range map[string]bool{"signal": false, "cgroup": true} {
		t.Run(name, func(t *testing.T) {
			if cgroup && !cgroupsWritable(t) {
				t.Skip("no writable cgroup freezer")
			}
			program, err := os.Executable()
			require.NoError(t, err)
			base := filepath.Join(t.TempDir(), "ticks")
			cmd := exec.Command(program)
			cmd.Env = append(os.Environ(), simulatorVariable+"="+newLayer(t, "ticking"), tickVariable+"="+base)
			if cgroup {
				cmd.Env = append(cmd.Env, "TEST_FREEZE=cgroup")
			}
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, "settled")
			children := descendants(cmd.Process.Pid)
			require.GreaterOrEqual(t, len(children), 2)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			require.Eventually(t, func() bool {
				return !slices.ContainsFunc(children, running)
			}, testTimeout, 5*time.Millisecond)
			dirs, err := cgroupDirs()
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				// The watcher removes the group that we were in.
				for _, dir := range []string{dirs.v1, dirs.v2} {
					left, err := filepath.Glob(filepath.Join(dir, "lambdasim-*", "cgroup.procs"))
					if err != nil {
						return false
					}
					for _, procs := range left {
						data, _ := os.ReadFile(procs)
						for _, pid := range children {
							if strings.Contains(string(data), strconv.Itoa(pid)) {
								return false
							}
						}
					}
				}
				return true
			}, testTimeout, 5*time.Millisecond)
		})
	}
}

func descendants(root int) []int {
	var list []int
	stats := allStats()
	for i := 0; i < len(list)+1; i++ {
		parent := root
		if i > 0 {
			parent = list[i-1]
		}
		for _, s := range stats {
			if s.parent == parent {
				list = append(list, s.pid)
			}
		}
	}
	return list
}

func running(pid int) bool {
	s, ok := readStat(pid)
	return ok && !s.ended()
}

func TestNewFreezerModes(t *testing.T) {
	sp := newSpawner()
	defer sp.close()
	writable := cgroupsWritable(t)
	for mode, want := range map[FreezeMode]string{FreezeSignal: freezeSignal, FreezeNone: freezeNone} {
		f, err := newFreezer(mode, sp, func() []int { return nil })
		require.NoError(t, err)
		require.Equal(t, want, f.name())
		require.NoError(t, f.close())
	}
	f, err := newFreezer(FreezeAuto, sp, func() []int { return nil })
	require.NoError(t, err)
	if !writable {
		require.Equal(t, freezeSignal, f.name())
	} else {
		require.Contains(t, []string{freezeCgroupV1, freezeCgroupV2}, f.name())
	}
	require.NoError(t, f.close())
	if !writable {
		_, err = newFreezer(FreezeCgroup, sp, nil)
		require.ErrorIs(t, err, errNoCgroup)
	}
}

// Without the right to write there is no cgroup freezer, and no remains of one.
func TestCgroupNotUsable(t *testing.T) {
	sp := newSpawner()
	defer sp.close()
	home := t.TempDir()
	for _, v2 := range []bool{true, false} {
		_, err := makeCgroupFreezer(home, v2, sp)
		require.ErrorIs(t, err, unix.ENOENT)
	}
	entries, err := os.ReadDir(home)
	require.NoError(t, err)
	require.Empty(t, entries)
	_, err = makeCgroupFreezer(filepath.Join(home, "nowhere"), true, sp)
	require.ErrorIs(t, err, unix.ENOENT)
}

func TestParseCgroups(t *testing.T) {
	for name, tt := range map[string]struct {
		mountinfo, own string
		want           cgroupPaths
	}{
		"only version 2": {
			mountinfo: "29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			own:       "0::/user.slice/session-1.scope\n",
			want:      cgroupPaths{v2: "/sys/fs/cgroup/user.slice/session-1.scope"},
		},
		"both": {
			mountinfo: "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n" +
				"38 31 0:35 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
			own:  "9:name=systemd:/\n6:cpuacct,freezer:/a\n2:cpu:/b\n0::/\n",
			want: cgroupPaths{v1: "/sys/fs/cgroup/freezer/a", v2: "/sys/fs/cgroup/unified"},
		},
		"container": {
			mountinfo: "37 31 0:34 /docker/id /sys/fs/cgroup/freezer ro - cgroup cgroup rw,freezer\n" +
				"41 31 0:38 /docker/id /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n",
			own:  "6:freezer:/docker/id/sub\n0::/elsewhere\n",
			want: cgroupPaths{v1: "/sys/fs/cgroup/freezer/sub", v2: "/sys/fs/cgroup"},
		},
		"none":    {mountinfo: "22 1 0:20 / /proc rw - proc proc rw\n", own: "0::/\n"},
		"garbage": {mountinfo: "- \n x - cgroup2\n\n", own: "\n:\n0:\nfreezer\n"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, parseCgroups(tt.mountinfo, tt.own))
		})
	}
}

func TestParseStat(t *testing.T) {
	for data, want := range map[string]processStat{
		"42 (bash) S 1 43 44 34816 42":         {pid: 42, state: 'S', parent: 1, session: 44},
		"42 (evil) R 7 8 9 (x) T 1 2 3 0 -1":   {pid: 42, state: 'T', parent: 1, session: 3},
		"42 (with space) Z 2147483647 1 5 0":   {pid: 42, state: 'Z', parent: 2147483647, session: 5},
		"42 (with\nnewline\n) t 0 0 0 0 -1 69": {pid: 42, state: 't'},
	} {
		got, ok := parseStat(42, data)
		require.True(t, ok, data)
		require.Equal(t, want, got)
	}
	for _, data := range []string{
		"", "42 (bash", "42 (bash) S 1", "42 (bash) SS 1 2 3", "42 (bash) S x 2 3", "42 (a) S 1 2 x",
	} {
		_, ok := parseStat(42, data)
		require.False(t, ok, data)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (bash) S 1 43 44 34816 42")
	f.Add("42 ) ) ) S 1 2 3")
	f.Fuzz(func(t *testing.T, data string) {
		s, ok := parseStat(7, data)
		if ok {
			require.Equal(t, 7, s.pid)
			require.Contains(t, data, string([]byte{s.state}))
		}
	})
}

func FuzzParseCgroups(f *testing.F) {
	f.Add("29 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/a\n6:freezer:/b\n")
	f.Fuzz(func(_ *testing.T, mountinfo, own string) {
		parseCgroups(mountinfo, own)
	})
}

func TestMemory(t *testing.T) {
	require.Equal(t, uint64(123<<10), parsePeak("Name:\tx\nVmPeak:\t 999 kB\nVmHWM:\t   123 kB\nVmRSS:\t 1 kB\n"))
	require.Zero(t, parsePeak("VmHWM:\t many\n"))
	require.Zero(t, parsePeak(""))
	own := relative{target: syscall.Getpid()}
	require.Greater(t, peakMemory([]relative{own}), uint64(1<<20))
	// One that has gone counts for nothing.
	require.GreaterOrEqual(t, peakMemory([]relative{own, own, {target: -1}}), 2*peakMemory([]relative{own})-8<<20)
}
