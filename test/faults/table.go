// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// verdict is the last column.
func (r *result) verdict() string {
	switch {
	case r.skipped != "":
		return "n/a"
	case len(r.broken) > 0:
		return "BROKEN"
	case r.notHere != "":
		return "not here: " + r.notHere
	default:
		return "ok"
	}
}

// ran says that there is something in the columns.
func (r *result) ran() bool { return r.skipped == "" && r.notHere == "" }

// writeTable writes a line for each cell, then why some make no sense, then what is broken.
func writeTable(w io.Writer, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "fault\tmoment\tinvocations\tfailed\tlongest hold (ms)\trestarts\tdelivered after\tverdict")
	for _, r := range results {
		columns := []string{"–", "–", "–", "–", "–"}
		if r.ran() {
			columns = []string{
				strconv.Itoa(r.invocations), strconv.Itoa(r.failed), strconv.FormatInt(r.hold.Milliseconds(), 10),
				strconv.Itoa(r.restarts), "–",
			}
			if r.outcome() != over {
				columns[4] = fmt.Sprintf("%d/%d", r.arrived, r.sent)
			}
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.what, r.moment, strings.Join(columns, "\t"), r.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.skipped != "" {
			_, _ = fmt.Fprintf(w, "\nn/a %s: %s\n", r.name(), r.skipped)
		}
	}
	return nil
}

// writeBroken writes which rules were broken, with what the processes wrote.
func writeBroken(w io.Writer, results []result) (broken bool) {
	for _, r := range results {
		if len(r.broken) == 0 {
			continue
		}
		broken = true
		_, _ = fmt.Fprintf(w, "\n%s breaks a rule:\n", r.name())
		for _, rule := range r.broken {
			_, _ = fmt.Fprintf(w, "  %s\n", rule)
		}
		_, _ = fmt.Fprintf(w, "what its processes wrote:\n%s", r.log)
	}
	return broken
}
