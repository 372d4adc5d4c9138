// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program lambdasim runs a Lambda layer and a function together on this machine, as AWS Lambda would, and shows what
// happened and which telemetry arrived.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
)

// spareProcs are enough for the processes whose end is waited for at the same time. Such a wait is a system call that
// keeps a P until the scheduler notices; when none is left, a request is noticed up to 10 ms late, which would be taken
// for the layer's time.
const spareProcs = 4

func main() {
	runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "lambdasim",
		Short:         "AWS Lambda on this machine: phases, freezes, and the Extensions, Runtime and Telemetry APIs",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRunCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lambdasim:", err)
		stop()
		os.Exit(1)
	}
}
