// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCgroupsOf(t *testing.T) {
	t.Parallel()
	const v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
	for name, c := range map[string]struct {
		mounts, own string
		want        []limiter
	}{
		"version 2": {
			"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/user.slice/a.scope\n",
			[]limiter{{dir: "/sys/fs/cgroup/user.slice/a.scope", v2: true}, {dir: "/sys/fs/cgroup", v2: true}},
		},
		"version 1": {
			v1 + "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/m\n1:cpu,cpuacct:/c\n",
			[]limiter{{dir: "/sys/fs/cgroup/cpu/c"}, {dir: "/sys/fs/cgroup/cpu"}},
		},
		"both": {
			v1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "1:cpu,cpuacct:/\n0::/\n",
			[]limiter{{dir: "/sys/fs/cgroup/cpu"}, {dir: "/sys/fs/cgroup/unified", v2: true}},
		},
		"a container sees its own part": {
			"32 31 0:29 /docker/x /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n", "0::/docker/x/y\n",
			[]limiter{{dir: "/sys/fs/cgroup/y", v2: true}, {dir: "/sys/fs/cgroup", v2: true}},
		},
		"or is somewhere else": {
			"32 31 0:29 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/z\n",
			[]limiter{{dir: "/sys/fs/cgroup", v2: true}},
		},
		"no controller":  {"33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/m\n", nil},
		"not in any":     {v1, "4:memory:/m\n", nil},
		"nothing at all": {"", "", nil},
		"not to be read": {"what is this\n - cgroup\n", "one:two\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, cgroupsOf(c.mounts, c.own))
		})
	}
}

func TestLimitSettings(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{"cpu.max": "5788 20000"}, limiter{v2: true}.settings(512.0/1769))
	require.Equal(t, map[string]string{"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "1447"},
		limiter{}.settings(128.0/1769))
}

func TestParseMark(t *testing.T) {
	t.Parallel()
	a, err := parseMark("1800000000000000007 1500000 12 3\n")
	require.NoError(t, err)
	require.Equal(t, ahead{at: time.Unix(1_800_000_000, 7), cpu: 1500 * time.Microsecond, minor: 12, major: 3}, a)

	_, err = parseMark("1800000000000000007 15")
	require.ErrorContains(t, err, "confine wrote")
}

// TestConfine puts a program into a cgroup for real, where that is allowed.
func TestConfine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there are no cgroups")
	}
	t.Parallel()
	dir := t.TempDir()
	confine := filepath.Join(dir, "confine")
	text, err := exec.CommandContext(t.Context(), "go", "build", "-o", confine, "./confine").CombinedOutput()
	require.NoError(t, err, "%s", text)

	text, err = exec.CommandContext(t.Context(), confine, "too", "few").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(text), "usage: ")
	text, err = exec.CommandContext(t.Context(), confine).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(text), filepath.Join(filepath.Dir(dir), "confine"), "it looks for its arguments there")

	l, err := newLimiter(t.Context(), confine, dir)
	if err != nil {
		require.ErrorContains(t, err, "no cgroup can be made")
		t.Skip(err)
	}
	g, err := l.open(0.5, dir)
	require.NoError(t, err)
	cat, err := exec.LookPath("cat")
	require.NoError(t, err)

	// As an extension, which has no arguments.
	layer, err := subject{name: "x", extension: cat}.confined(l, g, dir)
	require.NoError(t, err)
	again, err := subject{name: "x", extension: cat}.confined(l, g, dir)
	require.NoError(t, err)
	require.Equal(t, layer, again)
	extension := exec.CommandContext(t.Context(), filepath.Join(layer, "extensions", "cat"))
	extension.Stdin = strings.NewReader("it has become cat")
	text, err = extension.CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Equal(t, "it has become cat", string(text))

	before := time.Now()
	text, err = exec.CommandContext(t.Context(), confine, append(g.command(cat), "/proc/self/cgroup")...).CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Contains(t, string(text), "/"+filepath.Base(g.dir)+"\n", "cat was in the cgroup")
	mark, err := os.ReadFile(g.mark)
	require.NoError(t, err)
	a, err := parseMark(string(mark))
	require.NoError(t, err)
	require.False(t, a.at.Before(before.Round(0)))
	require.Positive(t, a.cpu)
	require.Positive(t, a.minor)

	require.NoError(t, g.close())
	require.NoDirExists(t, g.dir)
}

func TestNoLimiter(t *testing.T) {
	t.Parallel()
	_, err := limiter{dir: filepath.Join(t.TempDir(), "absent")}.open(1, t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	// A folder that is no cgroup has nothing to limit the CPU with, and is not left behind.
	dir := t.TempDir()
	_, err = limiter{dir: dir, v2: true}.open(1, t.TempDir())
	require.ErrorContains(t, err, "cpu.max")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
