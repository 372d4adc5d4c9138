// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Command distmod writes the Go module that the collector of a distribution is built from: the components of a builder
// manifest with the main program of this tree. It runs in the root of the tree.
//
//	distmod -manifest FILE -name NAME -o DIR [-lock|-check] -- BUILDER ...
//
// BUILDER is the command that runs the OpenTelemetry Collector Builder. DIR must not exist. It gets, besides the module,
// the file goflags: what GOFLAGS has to be when the module is built.
//
// The versions are those of go.mod and go.sum beside the manifest, if they are there. Otherwise they are resolved anew.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "distmod:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	d := distribution{root: ".", stderr: stderr}
	flags := flag.NewFlagSet("distmod", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: distmod -manifest FILE -name NAME -o DIR [-lock|-check] -- BUILDER ...")
		flags.PrintDefaults()
	}
	flags.StringVar(&d.file, "manifest", "", "the builder manifest, a `file`")
	flags.StringVar(&d.name, "name", "", "the distribution's `name`, the last element of its module's path")
	flags.StringVar(&d.dir, "o", "", "the `folder` to write")
	lock := flags.Bool("lock", false, "resolve the versions anew and write go.mod and go.sum beside the manifest")
	check := flags.Bool("check", false, "resolve the versions anew and fail if go.mod and go.sum beside the manifest differ")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d.builder = flags.Args()
	switch {
	case d.file == "", d.name == "", d.dir == "":
		return errors.New("-manifest, -name and -o are needed")
	case len(d.builder) == 0:
		return errors.New("the builder's command is missing: give it after --")
	case *lock && *check:
		return errors.New("-lock and -check exclude each other")
	}
	return d.write(ctx, *lock, *check)
}
