// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func newListener(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// echo answers one connection with what it sends.
func echo(t *testing.T, l *Listener) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			t.Errorf("accept: %s", err)
			return
		}
		_, _ = io.Copy(conn, conn)
		conn.Close()
	})
	return &wg
}

func TestDialAndAccept(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "0.0.0.0:0"} {
		t.Run(address, func(t *testing.T) {
			l, err := Listen("127.0.0.1:0")
			if address == "[::1]:0" && err != nil {
				t.Skip("no IPv6 here")
			}
			require.NoError(t, err)
			defer l.Close()
			require.NotZero(t, l.Port())
			wg := echo(t, l)

			conn, err := Dial(strings.Replace(l.Address(), "0.0.0.0", "127.0.0.1", 1), time.Now().Add(patience))
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			// More than the socket's buffers hold, so that both sides have to wait for the poller.
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
			go func() { _, _ = conn.Write(sent) }()
			got := make([]byte, len(sent))
			_, err = io.ReadFull(conn, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, got))
			require.NoError(t, conn.Close())
			wg.Wait()
		})
	}
}

// Two writes are not mixed, whatever the number of pieces.
func TestWritesAreWhole(t *testing.T) {
	l := newListener(t)
	conn, err := Dial(l.Address(), time.Now().Add(patience))
	require.NoError(t, err)
	defer conn.Close()
	there, err := l.Accept()
	require.NoError(t, err)
	defer there.Close()
	const size = 8 << 20
	for _, b := range []byte("ab") {
		go func() { _, _ = conn.Write(bytes.Repeat([]byte{b}, size)) }()
	}
	got := make([]byte, 2*size)
	_, err = io.ReadFull(there, got)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat(got[:1], size), got[:size])
	require.Equal(t, bytes.Repeat(got[size:size+1], size), got[size:])
}

func TestStandardLibraryOnTheOtherSide(t *testing.T) {
	l := newListener(t)
	wg := echo(t, l)
	conn, err := net.Dial("tcp", l.Address())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	conn.Close()
	wg.Wait()
}

func TestDialIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	defer l.Close()
	conn, err := Dial(l.Addr().String(), time.Now().Add(patience))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = Listen("[::1]:0")
	require.ErrorIs(t, err, syscall.EAFNOSUPPORT)
}

func TestDialRefused(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = Dial(l.Address(), time.Now().Add(patience))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorContains(t, err, "connect to "+l.Address())
}

// silent is the address of a listener that answers nothing, like a host that is not there, since its backlog is full.
func silent(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Close(fd)) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	sa, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := text(sa.(*syscall.SockaddrInet4))
	for range 4 {
		conn, err := Dial(address, time.Now().Add(100*time.Millisecond))
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	require.Fail(t, "the backlog takes everything")
	return ""
}

func TestDialDeadline(t *testing.T) {
	_, err := Dial(silent(t), time.Now())
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestDialContext(t *testing.T) {
	l := newListener(t)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := DialContext(ctx, l.Address())
	require.NoError(t, err)
	address := silent(t)
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = DialContext(ctx, address)
	require.ErrorIs(t, err, context.Canceled)
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err, "what is connected outlives the context")
	require.NoError(t, conn.Close())
}

func TestReadDeadline(t *testing.T) {
	l := newListener(t)
	conn, err := Dial(l.Address(), time.Time{})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestCloseEndsRead(t *testing.T) {
	l := newListener(t)
	conn, err := Dial(l.Address(), time.Time{})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed)
}

func TestCloseEndsAccept(t *testing.T) {
	l := newListener(t)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed)
	_, err := l.Accept()
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestListenInUse(t *testing.T) {
	l := newListener(t)
	_, err := Listen(l.Address())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "listen on "+l.Address())
}

// polled says whether the poller knows a descriptor.
func polled(t *testing.T, fd uintptr) bool {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	found := false
	for _, link := range links {
		if target, _ := os.Readlink(link); target == "anon_inode:[eventpoll]" {
			info, err := os.ReadFile("/proc/self/fdinfo/" + filepath.Base(link))
			require.NoError(t, err)
			found = found || regexp.MustCompile(`(?m)^tfd:\s*`+strconv.Itoa(int(fd))+` `).Match(info)
		}
	}
	return found
}

// A process that is handed the descriptor accepts on the same port, and nobody here hears of it.
func TestBound(t *testing.T) {
	b, err := Bind("127.0.0.1:0")
	require.NoError(t, err)
	require.False(t, polled(t, b.FD()))
	duplicate, err := syscall.Dup(int(b.FD()))
	require.NoError(t, err)
	file := os.NewFile(uintptr(duplicate), "heir")
	heir, err := net.FileListener(file)
	require.NoError(t, err)
	file.Close()
	address := heir.Addr().String()
	conn, err := Dial(address, time.Now().Add(patience))
	require.NoError(t, err)
	defer conn.Close()
	accepted, err := heir.Accept()
	require.NoError(t, err)
	require.NoError(t, accepted.Close())
	require.NoError(t, heir.Close())

	// What waits when nobody has taken it is there for who does.
	waiting, err := Dial(address, time.Now().Add(patience))
	require.NoError(t, err)
	defer waiting.Close()
	fd := b.FD()
	l := b.Listener()
	defer l.Close()
	require.True(t, polled(t, fd))
	require.Equal(t, address, l.Address())
	b.Close() // it is the listener's now
	taken, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, taken.Close())
}

func TestBoundIsGivenBack(t *testing.T) {
	b, err := Bind("127.0.0.1:0")
	require.NoError(t, err)
	_, err = Bind(text(&b.address))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "listen on "+text(&b.address))
	b.Close()
	l, err := Listen(text(&b.address))
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// Whether calls wait is the socket's affair, not the descriptor's, so an heir may have changed it.
func TestBoundAfterAnHeirThatBlocks(t *testing.T) {
	b, err := Bind("127.0.0.1:0")
	require.NoError(t, err)
	duplicate, err := syscall.Dup(int(b.FD()))
	require.NoError(t, err)
	require.NoError(t, syscall.SetNonblock(duplicate, false))
	require.NoError(t, syscall.Close(duplicate))
	fd := b.FD()
	l := b.Listener()
	require.True(t, polled(t, fd))
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed)
}
