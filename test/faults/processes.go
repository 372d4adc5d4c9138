// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// state is that of /proc/PID/stat: R, S, T, Z, …; 0 when there is no such process.
func state(pid int) byte {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name before it is in parentheses and may hold any others.
	if fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:]); len(fields) > 0 {
		return fields[0][0]
	}
	return 0
}

func isAlive(pid int) bool   { s := state(pid); return s != 0 && s != 'Z' && s != 'X' }
func isStopped(pid int) bool { return state(pid) == 'T' }

// children are the processes that a process has started and not reaped.
func children(pid int) (pids []int) {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children") // the pattern is good
	for _, file := range files {
		content, _ := os.ReadFile(file) // the thread may have ended
		for field := range strings.FieldsSeq(string(content)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// zombies are the children of a process that have ended.
func zombies(pid int) []int {
	return slices.DeleteFunc(children(pid), func(child int) bool { return state(child) != 'Z' })
}

// reapTime is how long init may take to reap what has lost its parent.
const reapTime = 2 * time.Second

// leftovers waits until the given processes and all that have mark in their environment are gone, and returns those
// that stay.
func leftovers(pids []int, mark string) (left []string) {
	for deadline := time.Now().Add(reapTime); ; time.Sleep(10 * time.Millisecond) {
		left = nil
		for _, pid := range pids {
			// Another process may have got the id.
			if s := state(pid); s == 'Z' && strings.Contains(name(pid), "collector") {
				left = append(left, fmt.Sprintf("%d (zombie)", pid))
			}
		}
		environs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is good
		for _, file := range environs {
			if environ, err := os.ReadFile(file); err == nil && bytes.Contains(environ, []byte(mark)) {
				pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
				left = append(left, fmt.Sprintf("%d (%s)", pid, name(pid)))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func name(pid int) string {
	content, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return string(bytes.TrimSpace(content))
}
