// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// dialTimeout bounds a connection to Lambda's APIs, which are on the same machine.
const dialTimeout = 2 * time.Second

// newClient returns a client of Lambda's APIs with a connection of its own. written, if set, is called when the first
// request has been sent.
func newClient(address string, written func()) *http1.Client {
	return &http1.Client{
		Host: address,
		Dial: func() (http1.Conn, error) {
			conn, err := socket.Dial(address, time.Now().Add(dialTimeout))
			if err != nil {
				return nil, err
			}
			if written == nil {
				return conn, nil
			}
			return &announced{Conn: conn, written: written}, nil
		},
	}
}

// announced is a connection that tells of its first write.
type announced struct {
	*socket.Conn
	written func()
	once    sync.Once
}

func (c *announced) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.once.Do(c.written)
	return n, err
}

// acceptor is a listener as the server has it.
type acceptor struct{ *socket.Listener }

func (a acceptor) Accept() (http1.Conn, error) {
	conn, err := a.Listener.Accept()
	if err != nil {
		return nil, err // not a connection that is nil
	}
	return conn, nil
}
