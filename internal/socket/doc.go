// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package socket is TCP without package net, which would double the size of a program that needs nothing else of it.
//
// A Conn is an os.File around a non-blocking socket, so that the runtime's poller serves it: goroutines wait, not
// threads, and deadlines work. Addresses are literals or names in /etc/hosts; there is no DNS.
package socket
