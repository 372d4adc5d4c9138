// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package lambdasim

import "syscall"

// relative is a process group of the environment.
type relative struct {
	// target is what kill(2) is given.
	target  int
	stopped bool
	// session is unknown.
	session int
}

// seesStopped says that nobody knows relative.stopped.
const seesStopped = false

// family is the process groups of the leaders. Without /proc there is no telling who has left them, nor who has
// stopped, so they are taken to stop at once.
func family(leaders []int) []relative {
	members := make([]relative, 0, len(leaders))
	for _, pid := range leaders {
		members = append(members, relative{target: -pid})
	}
	return members
}

// peakMemory is unknown.
func peakMemory([]relative) uint64 { return 0 }

func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}
