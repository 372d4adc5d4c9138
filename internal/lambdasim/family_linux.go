// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// relative is a process of the environment.
type relative struct {
	// target is what kill(2) is given.
	target  int
	stopped bool
	// session is that of the process, 0 if unknown.
	session int
}

// processStat is what /proc/PID/stat says.
type processStat struct {
	pid, parent, session int
	state                byte
}

// seesStopped says that relative.stopped is true.
const seesStopped = true

// family finds the processes of the environment: those in the sessions that the leaders lead, and all descendants of
// such. A process that has become a session leader and lost its parent is not found. Going by the session, and not by
// the leader's process id, excludes a stranger that got the id of a leader that has ended.
func family(leaders []int) []relative {
	if len(leaders) == 0 {
		return nil
	}
	stats := allStats()
	belongs := map[int]bool{}
	for _, s := range stats {
		if slices.Contains(leaders, s.session) {
			belongs[s.pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, s := range stats {
			if !belongs[s.pid] && belongs[s.parent] {
				belongs[s.pid] = true
				grown = true
			}
		}
	}
	var members []relative
	for _, s := range stats {
		if belongs[s.pid] && !s.ended() {
			members = append(members, relative{
				target: s.pid, stopped: s.state == 'T' || s.state == 't', session: s.session,
			})
		}
	}
	return members
}

func allStats() []processStat {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = proc.Close() }()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var stats []processStat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, ok := readStat(pid); ok {
			stats = append(stats, s)
		}
	}
	return stats
}

func readStat(pid int) (processStat, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return processStat{}, false
	}
	return parseStat(pid, string(data))
}

// ended says that only the parent has not noticed yet.
func (s processStat) ended() bool { return s.state == 'Z' || s.state == 'X' }

// parseStat knows that the name of a program, in parentheses, can hold anything, parentheses included.
func parseStat(pid int, data string) (processStat, bool) {
	fields := strings.Fields(data[strings.LastIndexByte(data, ')')+1:])
	if len(fields) < 4 || len(fields[0]) != 1 {
		return processStat{}, false
	}
	s := processStat{pid: pid, state: fields[0][0]}
	var errParent, errSession error
	s.parent, errParent = strconv.Atoi(fields[1])
	s.session, errSession = strconv.Atoi(fields[3])
	return s, errParent == nil && errSession == nil
}

// peakMemory is the sum of the largest resident sizes of the processes, in bytes.
func peakMemory(members []relative) uint64 {
	var total uint64
	for _, p := range members {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(p.target) + "/status")
		if err == nil {
			total += parsePeak(string(data))
		}
	}
	return total
}

// parsePeak reads VmHWM of /proc/PID/status.
func parsePeak(status string) uint64 {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0
		}
		return kib << 10
	}
	return 0
}

// procAttr gives a process a session of its own, so that all it starts can be found, and lets the kernel kill it when
// the spawner's thread ends, and thus when this process ends in whatever way.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
