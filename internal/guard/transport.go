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

// newClient returns a client of Lambda's APIs with a connection of its own.
func newClient(address string) *http1.Client {
	return &http1.Client{
		Host: address,
		Dial: func() (http1.Conn, error) {
			conn, err := socket.Dial(address, time.Now().Add(dialTimeout))
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
	}
}

// connection is the guard's own to Lambda: the registration goes over it, then the collector's subscription while it is idle,
// and from the first request for an event on nothing else, for which nothing is waited for.
type connection struct {
	address string

	mu sync.Mutex
	// client is nil when there is none that is still good.
	client             *http1.Client
	idle, lent, closed bool
}

// open returns the client for the registration.
func (c *connection) open() *http1.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client = newClient(c.address)
	return c.client
}

// rest tells that the registration has been answered.
func (c *connection) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = true
}

// borrow returns the client if it is idle, nil otherwise. It has to be put back.
func (c *connection) borrow() *http1.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idle {
		return nil
	}
	c.idle, c.lent = false, true
	return c.client
}

// putBack takes the client back unless it is not good any more or has been replaced.
func (c *connection) putBack(client *http1.Client, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lent && good {
		c.idle, c.lent = true, false
		return
	}
	if c.lent {
		c.client, c.lent = nil, false
	}
	client.Close()
}

// claim returns the client for good. One that is lent is left to who has it.
func (c *connection) claim() *http1.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil || c.lent {
		c.client = newClient(c.address)
		if c.closed {
			c.client.Close()
		}
	}
	c.idle, c.lent = false, false
	return c.client
}

// close ends what is under way, for good.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.client != nil {
		c.client.Close()
	}
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
