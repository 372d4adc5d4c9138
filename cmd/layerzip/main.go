// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Command layerzip writes the zip file of a Lambda layer. The same input gives the same bytes, on any machine and at any
// time: entries are sorted, dated 1980-01-01, and executable (0755) or not (0644).
//
//	layerzip -o OUT.zip PATH_IN_ZIP=FILE[:MODE] ...
//	layerzip -o OUT.zip -C DIR
//
// Without MODE, an octal number, a file is executable if it is so on disk.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "layerzip:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("layerzip", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: layerzip -o OUT.zip PATH_IN_ZIP=FILE[:MODE] ...\n       layerzip -o OUT.zip -C DIR")
		flags.PrintDefaults()
	}
	out := flags.String("o", "", "the `file` to write")
	dir := flags.String("C", "", "pack everything under this `directory`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("-o is missing: say which file to write")
	}

	var entries []entry
	var err error
	switch {
	case *dir != "" && flags.NArg() > 0:
		return errors.New("-C and PATH_IN_ZIP=FILE exclude each other")
	case *dir != "":
		entries, err = entriesOfDir(*dir)
	case flags.NArg() > 0:
		entries, err = entriesOfArgs(flags.Args())
	default:
		return errors.New("nothing to pack: give -C DIR, or PATH_IN_ZIP=FILE arguments")
	}
	if err != nil {
		return err
	}
	sizes, total, err := writeFile(*out, entries)
	if err != nil {
		return err
	}
	return report(stdout, *out, sizes, total)
}

func report(w io.Writer, out string, sizes []size, total int64) error {
	var unzipped uint64
	for _, s := range sizes {
		unzipped += s.unzipped
		if _, err := fmt.Fprintf(w, "%12d %12d  %s\n", s.zipped, s.unzipped, s.name); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%12d %12d  total, %s\n", total, unzipped, out)
	return err
}
