// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program raw is the smallest extension in Go: it registers and asks for events until SHUTDOWN, with system calls and
// without net and net/http.
package main

import (
	"strings"
	"syscall"

	"github.com/otelcol-lambda/otelcol-lambda/bench/floors/wire"
)

const (
	// name has to be that of the file in the layer.
	name = "floor"
	api  = "/2020-01-01/extension"
)

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
	head, _, err := conn.Exchange("POST "+api+"/register", "Lambda-Extension-Name: "+name+"\r\n",
		`{"events":["INVOKE","SHUTDOWN"]}`)
	if err != nil {
		return err
	}
	identifier := "Lambda-Extension-Identifier: " + wire.Header(head, "Lambda-Extension-Identifier") + "\r\n"
	for {
		_, event, err := conn.Exchange("GET "+api+"/event/next", identifier, "")
		if err != nil || strings.Contains(event, `"SHUTDOWN"`) {
			return err
		}
	}
}
