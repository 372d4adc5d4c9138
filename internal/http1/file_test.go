// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package http1

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// filePair returns a connected pair of sockets as a program without package net has them.
func filePair() (here, there *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		if err := syscall.SetNonblock(fd, true); err != nil {
			return nil, nil, err
		}
	}
	return os.NewFile(uintptr(fds[0]), "here"), os.NewFile(uintptr(fds[1]), "there"), nil
}

// Deadlines, the watch and Close must work on files as on package net's connections.
func TestConnectionsThatAreFiles(t *testing.T) {
	l, p, s := newPipeListener(), newPoll(), &Server{}
	served := make(chan error)
	go func() { served <- s.Serve(l, p.handle) }()
	dialed := 0
	c := &Client{Dial: func() (Conn, error) {
		dialed++
		here, there, err := filePair()
		if err != nil {
			return nil, err
		}
		l.conns <- there
		return here, nil
	}}
	for range 10 {
		resp, err := c.Do(time.Now().Add(time.Minute), &Request{Method: "POST", Target: "/", Body: []byte("abc")})
		require.NoError(t, err)
		require.Equal(t, "abc", string(resp.Body))
	}
	require.Equal(t, 1, dialed)

	_, err := c.Do(time.Now().Add(10*time.Millisecond), &Request{Method: "GET", Target: "/poll"})
	require.ErrorIs(t, err, ErrDeadline)
	<-p.gone

	// The server's Close ends the request for both sides.
	<-p.begun
	go func() {
		<-p.begun
		_ = s.Close()
	}()
	_, err = c.Do(time.Time{}, &Request{Method: "GET", Target: "/poll"})
	require.Error(t, err)
	<-p.gone
	require.ErrorIs(t, <-served, ErrClosed)

	require.NoError(t, c.Close())
}
