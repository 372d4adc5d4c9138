// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program stock is an extension around a Collector as it comes, which knows nothing of Lambda: it registers, starts
// otelcol-lambda/collector of its layer with collector-config/config.yaml, waits until that listens, asks for events
// until SHUTDOWN, and ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/bench/floors/wire"
)

const (
	// name has to be that of the file in the layer.
	name = "stock"
	api  = "/2020-01-01/extension"
	// startTime is how long the Collector may take until it listens, askEvery how often that is tried.
	startTime = 5 * time.Second
	askEvery  = 5 * time.Millisecond
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "stock:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context) error {
	conn, err := wire.Dial(os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		return err
	}
	head, _, err := conn.Exchange("POST "+api+"/register", "Lambda-Extension-Name: "+name+"\r\n",
		`{"events":["INVOKE","SHUTDOWN"]}`)
	if err != nil {
		return err
	}
	layer := filepath.Dir(filepath.Dir(os.Args[0]))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	collector := exec.CommandContext(ctx, filepath.Join(layer, "otelcol-lambda", "collector"),
		"--config", filepath.Join(layer, "collector-config", "config.yaml"))
	collector.Stdout, collector.Stderr = os.Stdout, os.Stderr
	// The first signal is the one after which it sends what it has.
	collector.Cancel = func() error { return collector.Process.Signal(syscall.SIGTERM) }
	if err := collector.Start(); err != nil {
		return err
	}
	served := serve(ctx, conn, "Lambda-Extension-Identifier: "+wire.Header(head, "Lambda-Extension-Identifier")+"\r\n")
	cancel()
	if err := collector.Wait(); !errors.Is(err, context.Canceled) {
		served = errors.Join(served, err)
	}
	return served
}

// serve asks for events, once the Collector listens.
func serve(ctx context.Context, conn *wire.Conn, identifier string) error {
	for _, address := range []string{"127.0.0.1:4317", "127.0.0.1:4318"} {
		if err := listening(ctx, address); err != nil {
			return err
		}
	}
	for {
		_, event, err := conn.Exchange("GET "+api+"/event/next", identifier, "")
		if err != nil || strings.Contains(event, `"SHUTDOWN"`) {
			return err
		}
	}
}

func listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Collector does not listen after %s: %w", startTime, err)
		case <-time.After(askEvery):
		}
	}
}
