// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/quiet"
)

// connection is one to Lambda, opened when it is first used and again when it is lost.
type connection struct {
	http1.Client
	giveUp context.CancelFunc // opening it
}

// newConnection has no proxy come in between: those that the customer sets are for the function.
func newConnection(address string) *connection {
	ctx, cancel := context.WithCancel(context.Background())
	return &connection{
		Client: http1.Client{
			Host: address,
			Dial: func() (http1.Conn, error) { return dial(ctx, address) },
		},
		giveUp: cancel,
	}
}

// dialAny is for every address, because without a guard it may be a name that only DNS knows.
func dialAny(ctx context.Context, address string) (http1.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return quiet.Over(conn), nil
}

func (c *connection) close() {
	c.giveUp()
	_ = c.Close()
}

// do sends a request and returns the answer, whatever its status. Only ctx bounds it.
func (c *Client) do(ctx context.Context, req *http1.Request) (*http1.Response, error) {
	conn := c.take() //nolint:contextcheck // the connection outlives ctx
	stop := context.AfterFunc(ctx, conn.close)
	resp, err := conn.exchange(ctx, req)
	if !stop() {
		conn.close()
	} else {
		c.put(conn)
	}
	return resp, err
}

// take returns the connection that no call uses, or a new one.
func (c *Client) take() *connection {
	if conn := c.idle.Swap(nil); conn != nil {
		return conn
	}
	return newConnection(c.address)
}

// put leaves a connection to the next call. There is one at most.
func (c *Client) put(conn *connection) {
	if !c.idle.CompareAndSwap(nil, conn) {
		conn.close()
	}
}

// exchange sends a request and returns the answer. Who has ctx end must close the connection then.
func (c *connection) exchange(ctx context.Context, req *http1.Request) (*http1.Response, error) {
	resp, err := c.Do(time.Time{}, req)
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, fmt.Errorf("%s %s: %w", req.Method, req.Target, err)
}

// close closes the connection, for which no call may be pending.
func (c *Client) close() {
	if conn := c.idle.Swap(nil); conn != nil {
		conn.close()
	}
}
