// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package loopback tells hosts that are this machine whatever its network: what is sent there need not be small.
package loopback

import (
	"net/netip"
	"strings"
)

// localhost is the name, and the end of all names, that are nothing but loopback (RFC 6761, section 6.3).
const localhost = "localhost"

// Is reports whether a host, without port and brackets, is a loopback address or one of the names for it. It asks no DNS
// server: a name that happens to lead to a loopback address is not one.
func Is(host string) bool {
	if strings.HasPrefix(host, "127.") || strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Unmap().IsLoopback()
	}
	host = strings.TrimSuffix(host, ".")
	above := len(host) - len(localhost)
	if above < 0 || !strings.EqualFold(host[above:], localhost) {
		return false
	}
	return above == 0 || host[above-1] == '.'
}
