// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program function is the smallest function in Go. It answers every event with null and costs next to nothing, so that
// the extension beside it has the machine for itself. An event that is the address of an HTTP server, as a JSON string,
// is answered when that server has answered.
package main

import (
	"errors"
	"strings"
	"syscall"

	"github.com/otelcol-lambda/otelcol-lambda/bench/floors/wire"
)

const api = "/2018-06-01/runtime/invocation/"

func main() {
	if err := run(); err != nil {
		_, _ = syscall.Write(syscall.Stderr, []byte(err.Error()+"\n"))
		syscall.Exit(1)
	}
}

func run() error {
	address, _ := syscall.Getenv("AWS_LAMBDA_RUNTIME_API")
	conn, err := wire.Dial(address)
	if err != nil {
		return err
	}
	for {
		head, event, err := conn.Exchange("GET "+api+"next", "", "")
		if err != nil {
			return err
		}
		if address, ok := strings.CutPrefix(event, `"`); ok {
			if err := wait(strings.TrimSuffix(address, `"`)); err != nil {
				return err
			}
		}
		id := wire.Header(head, "Lambda-Runtime-Aws-Request-Id")
		if _, _, err := conn.Exchange("POST "+api+id+"/response", "", "null"); err != nil {
			return err
		}
	}
}

func wait(address string) error {
	conn, err := wire.Dial(address)
	if err != nil {
		return err
	}
	_, _, err = conn.Exchange("GET /", "", "")
	return errors.Join(err, conn.Close())
}
