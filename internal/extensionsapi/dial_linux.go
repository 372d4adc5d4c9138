// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"context"
	"net/netip"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// dial spares the addresses that there are on Lambda the way through package net: it looks for names and for several
// addresses to race, and has the kernel keep the connection alive. It is 0.7 % of the CPU of a start.
func dial(ctx context.Context, address string) (http1.Conn, error) {
	if ip, err := netip.ParseAddrPort(address); err != nil || !ip.Addr().Is4() {
		return dialAny(ctx, address)
	}
	conn, err := socket.DialContext(ctx, address)
	if err != nil {
		return nil, err
	}
	return conn, nil
}
