// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package quiet

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func verify(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	here, err = new(net.Dialer).DialContext(t.Context(), "tcp4", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = here.Close() })
	there, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = there.Close() })
	return here, there
}

// Everything that package net's own connections do.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		here, there := pair(t)
		return Over(here), Over(there), func() {
			_ = here.Close()
			_ = there.Close()
		}, nil
	})
}

// What fails says so in the words of package net, which its users know.
func TestErrors(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, conn, peer net.Conn) error{
		"deadline": func(t *testing.T, conn, _ net.Conn) error {
			t.Helper()
			require.NoError(t, conn.SetDeadline(time.Unix(1, 0)))
			_, err := conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			_, err = conn.Write(make([]byte, 1))
			return err
		},
		"closed": func(t *testing.T, conn, _ net.Conn) error {
			t.Helper()
			require.NoError(t, conn.Close())
			_, err := conn.Write(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			_, err = conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			return err
		},
		"reset": func(t *testing.T, conn, peer net.Conn) error {
			t.Helper()
			tcp, ok := peer.(*net.TCPConn)
			require.True(t, ok)
			require.NoError(t, tcp.SetLinger(0))
			require.NoError(t, peer.Close())
			_, err := conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			want := fail(t, here, there)
			here, there = pair(t)
			got := fail(t, Over(here), there)
			var wantNet, gotNet *net.OpError
			require.ErrorAs(t, want, &wantNet)
			require.ErrorAs(t, got, &gotNet)
			require.Equal(t, wantNet.Timeout(), gotNet.Timeout())
			require.Equal(t, wantNet.Err.Error(), gotNet.Err.Error())
			require.Equal(t, wantNet.Op, gotNet.Op)
			require.Equal(t, here.LocalAddr(), gotNet.Source)
			require.Equal(t, here.RemoteAddr(), gotNet.Addr)
		})
	}
}

func TestIdle(t *testing.T) {
	here, there := pair(t)
	quiet, ok := Over(here).(*conn)
	require.True(t, ok)
	require.True(t, quiet.Idle())
	_, err := there.Write([]byte("a"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !quiet.Idle() }, 10*time.Second, time.Millisecond)
	_, err = io.ReadFull(quiet, make([]byte, 1))
	require.NoError(t, err)
	require.True(t, quiet.Idle())
	require.NoError(t, there.Close())
	require.Eventually(t, func() bool { return !quiet.Idle() }, 10*time.Second, time.Millisecond)
	require.NoError(t, quiet.Close())
	require.False(t, quiet.Idle())
}

// io.Copy must not find the methods of the connection beneath.
func TestCopy(t *testing.T) {
	here, there := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = io.Copy(Over(here), bytes.NewReader(sent))
		_ = here.Close()
	}()
	var got bytes.Buffer
	_, err := io.Copy(&got, Over(there))
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got.Bytes()))
}

func TestOtherConnections(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	require.Equal(t, here, Over(here))
	require.NoError(t, here.Close())
}
