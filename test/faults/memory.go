// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memoryLimit is less than the collector needs in addition to what it has when it joins.
const memoryLimit = 32 << 20

// memoryGroup is a control group with little memory, below the one that this program is in.
type memoryGroup struct {
	dir string
	v2  bool
}

func newMemoryGroup() (*memoryGroup, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	home, v2, err := memoryController(string(mountinfo), string(own))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(home, "otelcol-lambda-faults-")
	if err != nil {
		return nil, fmt.Errorf("no control group of our own: %w", err)
	}
	g := &memoryGroup{dir: dir, v2: v2}
	limit := "memory.limit_in_bytes"
	if v2 {
		limit = "memory.max"
	}
	// Where version 2 does not delegate the controller, there is no such file, and there cannot be one.
	file, err := os.OpenFile(filepath.Join(dir, limit), os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(strconv.Itoa(memoryLimit))
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no limit on memory: %w", err), g.close())
	}
	return g, nil
}

// procs is the file that takes the ids of processes.
func (g *memoryGroup) procs() string { return filepath.Join(g.dir, "cgroup.procs") }

// killed says whether the kernel has killed a process of the group for its memory.
func (g *memoryGroup) killed() (bool, error) {
	file := "memory.oom_control"
	if g.v2 {
		file = "memory.events"
	}
	content, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(content)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return n != "0", nil
		}
	}
	return false, fmt.Errorf("%s does not count kills", file)
}

// close removes the group, which works when its processes have been reaped.
func (g *memoryGroup) close() error {
	for deadline := time.Now().Add(effectTime); ; time.Sleep(time.Millisecond) {
		err := os.Remove(g.dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// memoryController finds the group of this process that limits memory, given /proc/self/mountinfo and
// /proc/self/cgroup.
func memoryController(mountinfo, own string) (dir string, v2 bool, err error) {
	var pathV1, pathV2 string
	for line := range strings.Lines(own) {
		switch fields := strings.SplitN(strings.TrimSpace(line), ":", 3); {
		case len(fields) != 3:
		case fields[0] == "0" && fields[1] == "":
			pathV2 = fields[2]
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			pathV1 = fields[2]
		}
	}
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		mount, super := strings.Fields(left), strings.Fields(right)
		if !ok || len(mount) < 5 || len(super) < 3 {
			continue
		}
		// A machine with both versions has the controller in the first.
		switch {
		case super[0] == "cgroup" && pathV1 != "" && slices.Contains(strings.Split(super[2], ","), "memory"):
			return below(mount[4], mount[3], pathV1), false, nil
		case super[0] == "cgroup2" && pathV1 == "" && pathV2 != "":
			return below(mount[4], mount[3], pathV2), true, nil
		}
	}
	return "", false, errors.New("no control group for memory is mounted")
}

// below finds a path under a mount that shows only what is below root, as in containers.
func below(mount, root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return mount
	}
	return filepath.Join(mount, rel)
}
