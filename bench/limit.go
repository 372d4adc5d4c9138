// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// limitPeriod is how often the kernel gives a cgroup its share of the CPU anew. Lambda's own is not documented; with
	// the kernel's default, 100 ms, a start would be over before the first share of 512 MB is used up.
	limitPeriod = 20 * time.Millisecond
	// leaveTime is how long the last process of a cgroup may take to be gone.
	leaveTime = 2 * time.Second
)

// limiter makes cgroups that limit the CPU.
type limiter struct {
	// dir is where they are made.
	dir string
	v2  bool
	// confine is the program that joins them.
	confine string
}

// newLimiter finds out whether there is a way to limit the CPU, by doing it. The error says why not.
func newLimiter(ctx context.Context, confine, scratch string) (limiter, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return limiter{}, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return limiter{}, err
	}
	errs := []error{errors.New("no cgroup can be made that limits the CPU, which usually takes root")}
	for _, l := range cgroupsOf(string(mounts), string(own)) {
		l.confine = confine
		err := l.try(ctx, scratch)
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return limiter{}, errors.Join(errs...)
}

// try runs a program that does nothing in a cgroup.
func (l limiter) try(ctx context.Context, scratch string) error {
	g, err := l.open(1, scratch)
	if err != nil {
		return err
	}
	nothing, err := exec.LookPath("true")
	if err == nil {
		var text []byte
		if text, err = exec.CommandContext(ctx, l.confine, g.command(nothing)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return errors.Join(err, g.close())
}

// cgroupsOf reads /proc/self/mountinfo and /proc/self/cgroup, and returns the cgroups that this process is in, of all
// hierarchies that may limit the CPU. After each comes the root of what is mounted: in version 2, a cgroup in which there
// are processes limits nothing below it, unless it is the root.
func cgroupsOf(mounts, own string) (list []limiter) {
	path := map[bool]string{}
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) != 3:
		case fields[0] == "0" && fields[1] == "":
			path[true] = fields[2]
		case contains(fields[1], "cpu"):
			path[false] = fields[2]
		}
	}
	for line := range strings.Lines(mounts) {
		left, right, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(left), strings.Fields(right)
		if len(place) < 5 || len(kind) < 3 {
			continue
		}
		v2 := kind[0] == "cgroup2"
		if !v2 && (kind[0] != "cgroup" || !contains(kind[2], "cpu")) {
			continue
		}
		own, ok := path[v2]
		if !ok {
			continue
		}
		// In a container the mount shows only what is below its root.
		below, err := filepath.Rel(place[3], own)
		if err != nil || below == ".." || strings.HasPrefix(below, "../") {
			below = "."
		}
		list = append(list, limiter{dir: filepath.Join(place[4], below), v2: v2})
		if below != "." {
			list = append(list, limiter{dir: place[4], v2: v2})
		}
	}
	return list
}

func contains(list, word string) bool {
	for each := range strings.SplitSeq(list, ",") {
		if each == word {
			return true
		}
	}
	return false
}

// cgroup limits the CPU of what joins it.
type cgroup struct {
	dir string
	// mark is where confine writes what it took itself.
	mark string
}

// open makes a cgroup with so much of one CPU.
func (l limiter) open(share float64, scratch string) (cgroup, error) {
	dir, err := os.MkdirTemp(l.dir, "otelcol-lambda-bench-")
	if err != nil {
		return cgroup{}, err
	}
	g := cgroup{dir: dir, mark: filepath.Join(scratch, "mark")}
	for name, value := range l.settings(share) {
		// Without O_CREATE: a cgroup without the controller has no such file.
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
		if err == nil {
			_, err = file.WriteString(value)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			return cgroup{}, errors.Join(err, g.close())
		}
	}
	return g, nil
}

// settings are the files to write, and what.
func (l limiter) settings(share float64) map[string]string {
	period := limitPeriod.Microseconds()
	quota := strconv.FormatInt(int64(share*float64(period)), 10)
	if l.v2 {
		return map[string]string{"cpu.max": quota + " " + strconv.FormatInt(period, 10)}
	}
	// In whatever order: no quota is too large for a period.
	return map[string]string{"cpu.cfs_period_us": strconv.FormatInt(period, 10), "cpu.cfs_quota_us": quota}
}

// command is what confine takes to become a program.
func (g cgroup) command(program string) []string {
	return []string{filepath.Join(g.dir, "cgroup.procs"), g.mark, program}
}

// close removes the cgroup, which works once everything in it has been reaped, orphans by init.
func (g cgroup) close() error {
	deadline := time.Now().Add(leaveTime)
	for {
		err := os.Remove(g.dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// ahead is what a process had taken when it became the program that is measured.
type ahead struct {
	at  time.Time
	cpu time.Duration
	// minor and major are page faults.
	minor, major float64
}

func parseMark(text string) (a ahead, err error) {
	var at, cpu int64
	if _, err := fmt.Sscan(text, &at, &cpu, &a.minor, &a.major); err != nil {
		return a, fmt.Errorf("confine wrote %q: %w", text, err)
	}
	a.at, a.cpu = time.Unix(0, at), time.Duration(cpu)
	return a, nil
}

// confined makes in dir a layer whose extension joins the cgroup and becomes that of the subject.
func (s subject) confined(l limiter, g cgroup, dir string) (layer string, err error) {
	layer = filepath.Join(dir, "confined-"+s.name)
	to := filepath.Join(layer, "extensions", filepath.Base(s.extension))
	if !exists(to) {
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return "", err
		}
		if err := linkOrCopy(l.confine, to); err != nil {
			return "", err
		}
	}
	extension, err := filepath.Abs(s.extension)
	if err != nil {
		return "", err
	}
	text := strings.Join(g.command(extension), "\n")
	return layer, os.WriteFile(filepath.Join(layer, "confine"), []byte(text), 0o600)
}
