// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Program confine puts itself into a cgroup and then becomes another program, so that this one is limited from its
// first instruction. What it took itself it writes into a file before, to be subtracted:
//
//	confine CGROUP.PROCS MARK PROGRAM [ARGUMENT…]
//
// Lambda gives extensions no arguments. Without any it takes them, one a line, from the file `confine` in the folder
// above its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	fmt.Fprintln(os.Stderr, "confine:", run(os.Args))
	os.Exit(1) //nolint:forbidigo // this is main
}

// run returns only if it fails.
func run(args []string) error {
	if len(args) == 1 {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(args[0])), "confine"))
		if err != nil {
			return err
		}
		args = append(args, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	}
	if len(args) < 4 {
		return errors.New("usage: confine CGROUP.PROCS MARK PROGRAM [ARGUMENT…]")
	}
	procs, mark, program := args[1], args[2], args[3:]
	// 0 is the process that writes.
	if err := os.WriteFile(procs, []byte("0"), 0); err != nil {
		return err
	}
	file, err := os.Create(mark)
	if err != nil {
		return err
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &used); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(file, time.Now().UnixNano(), used.Nano(), usage.Minflt, usage.Majflt); err != nil {
		return err
	}
	return syscall.Exec(program[0], program, os.Environ())
}
