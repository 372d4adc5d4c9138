// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package quiet

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const envBusy = "OTELCOL_LAMBDA_TEST_BUSY"

// TestMain runs the tests, or what one of them needs a process of its own for.
func TestMain(m *testing.M) {
	if os.Getenv(envBusy) != "" {
		compute()
		return
	}
	verify(m)
}

// compute waits for a byte and computes until a timer has run out, or for far too long, on the only processor.
func compute() {
	runtime.GOMAXPROCS(1)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	c, err := l.Accept()
	if err != nil {
		return
	}
	if _, err = Over(c).Read(make([]byte, 1)); err != nil {
		return
	}
	Busy()
	var over atomic.Bool
	time.AfterFunc(30*time.Millisecond, func() { over.Store(true) })
	for began := time.Now(); !over.Load() && time.Since(began) < 20*time.Second; {
		continue
	}
	fmt.Println(over.Load())
}

// Whoever computes for long lets timers run out, also in a process that was idle until now.
func TestBusy(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envBusy+"=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp4", strings.TrimSpace(lines.Text()))
	require.NoError(t, err)
	defer conn.Close()
	// Until its monitor sleeps, which nobody tells.
	time.Sleep(300 * time.Millisecond)
	_, err = conn.Write([]byte{1})
	require.NoError(t, err)
	require.True(t, lines.Scan())
	require.Equal(t, "true", lines.Text())
	require.NoError(t, cmd.Wait())
}
