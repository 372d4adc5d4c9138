// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStoppingCost(t *testing.T) {
	t.Parallel()
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	pids := []int{child.Process.Pid}
	require.True(t, runs(pids[0]))
	require.NoError(t, send(pids, unix.SIGSTOP))
	require.NoError(t, awaitStopped(pids))

	before, err := cpuTime(pids)
	require.NoError(t, err)
	cost, err := stoppingCost(pids)
	require.NoError(t, err)
	require.False(t, runs(pids[0]), "it is stopped again")
	after, err := cpuTime(pids)
	require.NoError(t, err)
	require.Positive(t, cost)
	require.LessOrEqual(t, cost*(stoppingRounds/2+1), after-before, "half of the rounds have cost as much or more")

	require.NoError(t, send(pids, unix.SIGCONT))
	require.NoError(t, stdin.Close())
	require.NoError(t, child.Wait())
	_, err = stoppingCost(pids)
	require.Error(t, err, "it has ended")
}
