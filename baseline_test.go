// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// totalRow is the row for a sum that the rounded rows do not give exactly.
const totalRow = "total"

// goVersionPrefix begins the line of a golden file that says which Go made it.
const goVersionPrefix = "# made with "

// baseline is a golden file: numbers by name, and the version of Go they are of.
type baseline struct {
	goVersion string
	columns   int
	rows      map[string][]int64
}

func newBaseline(goVersion string, columns int) baseline {
	return baseline{goVersion: goVersion, columns: columns, rows: map[string][]int64{}}
}

// column is one of the numbers of each row.
func (b baseline) column(n int) map[string]int64 {
	column := make(map[string]int64, len(b.rows))
	for name, row := range b.rows {
		column[name] = row[n]
	}
	return column
}

// format writes one row a line, in the order of the names, so that a diff shows what changed.
func (b baseline) format(title string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n# See docs/budgets.md. Written by: %s\n%s%s\n",
		title, updateFootprint, goVersionPrefix, b.goVersion)
	for _, name := range slices.Sorted(maps.Keys(b.rows)) {
		for _, n := range b.rows[name] {
			fmt.Fprintf(&text, "%8d ", n)
		}
		fmt.Fprintln(&text, name)
	}
	return text.String()
}

// parseBaseline reads what format wrote.
func parseBaseline(text string, columns int) (baseline, error) {
	b := newBaseline("", columns)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if version, ok := strings.CutPrefix(line, goVersionPrefix); ok {
			b.goVersion = version
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != columns+1 {
			return b, fmt.Errorf("%q has not %d numbers and a name", line, columns)
		}
		row := make([]int64, columns)
		for i := range row {
			var err error
			if row[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				return b, fmt.Errorf("%q: %w", line, err)
			}
		}
		b.rows[fields[columns]] = row
	}
	return b, nil
}

func (b baseline) write(t *testing.T, path, title string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(b.format(title)), 0o644))
}

func readBaseline(t *testing.T, path string, columns int) baseline {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err, "write it with "+updateFootprint)
	b, err := parseBaseline(string(text), columns)
	require.NoError(t, err, path)
	return b
}

// change is a number that was another one.
type change struct {
	name     string
	from, to int64
}

// changes are those of all names, what grew most first. What is missing counts as zero.
func changes(was, is map[string]int64) []change {
	names := maps.Clone(was)
	maps.Copy(names, is)
	list := make([]change, 0, len(names))
	for name := range names {
		list = append(list, change{name: name, from: was[name], to: is[name]})
	}
	slices.SortFunc(list, func(a, b change) int {
		return cmp.Or(cmp.Compare(b.to-b.from, a.to-a.from), strings.Compare(a.name, b.name))
	})
	return list
}

func TestBaseline(t *testing.T) {
	b := newBaseline("go1.26.8", 2)
	b.rows["z"] = []int64{12, 3}
	b.rows["example.com/a"] = []int64{0, -1}
	text := b.format("Numbers.")
	require.Equal(t, "# Numbers.\n# See docs/budgets.md. Written by: "+updateFootprint+"\n# made with go1.26.8\n"+
		"       0       -1 example.com/a\n      12        3 z\n", text)
	got, err := parseBaseline(text, 2)
	require.NoError(t, err)
	require.Equal(t, b, got)
	require.Equal(t, map[string]int64{"z": 3, "example.com/a": -1}, got.column(1))

	_, err = parseBaseline(text, 1)
	require.Error(t, err)
	_, err = parseBaseline("x y", 1)
	require.Error(t, err)
}

func TestChanges(t *testing.T) {
	was := map[string]int64{"a": 2, "b": 2, "more": 1, "gone": 5}
	is := map[string]int64{"a": 2, "b": 2, "more": 3, "new": 7}
	require.Equal(t, []change{
		{name: "new", to: 7},
		{name: "more", from: 1, to: 3},
		{name: "a", from: 2, to: 2},
		{name: "b", from: 2, to: 2},
		{name: "gone", from: 5},
	}, changes(was, is))
}
