// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryController(t *testing.T) {
	const (
		v1 = "31 24 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		v2 = "25 24 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
		// As in a container: the mount shows what is below root.
		inside = "25 24 0:22 /docker/1 /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
	)
	for name, test := range map[string]struct {
		mountinfo, own, dir string
		v2                  bool
	}{
		"version 2":      {v2, "0::/user.slice\n", "/sys/fs/cgroup/user.slice", true},
		"version 1":      {v1, "8:pids:/\n4:cpu,memory:/group\n", "/sys/fs/cgroup/memory/group", false},
		"both":           {v2 + v1, "4:memory:/\n0::/user.slice\n", "/sys/fs/cgroup/memory", false},
		"in a container": {inside, "0::/docker/1/job\n", "/sys/fs/cgroup/job", true},
		"outside of it":  {inside, "0::/../2\n", "/sys/fs/cgroup", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, isV2, err := memoryController(test.mountinfo, test.own)
			require.NoError(t, err)
			require.Equal(t, test.dir, dir)
			require.Equal(t, test.v2, isV2)
		})
	}
	for name, test := range map[string][2]string{
		"nothing":          {"", ""},
		"not mounted":      {"", "4:memory:/\n"},
		"other controller": {"1 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "4:cpu:/\n"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := memoryController(test[0], test[1])
			require.Error(t, err)
		})
	}
}
