// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"net"
	"net/http"
	"sync"
)

// openConns counts the connections of an HTTP server by its ConnState hook. Server.Close does not wait for handlers,
// nor for connections on which the server lingers after refusing a body.
type openConns struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // not nil while somebody waits
}

func (c *openConns) track(_ net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.count++
	case http.StateClosed:
		c.count--
	default:
		return
	}
	if c.count == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
}

// wait returns when there are no connections. New ones must not come any more.
func (c *openConns) wait() {
	c.mu.Lock()
	if c.count == 0 {
		c.mu.Unlock()
		return
	}
	c.none = make(chan struct{})
	none := c.none
	c.mu.Unlock()
	<-none
}
