// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// notable is the part of a growth from which on a package is named for it.
const notable = 100

const updateFootprint = "go test -run '^TestFootprint$' . -update"

// program is one of the layer's programs.
type program struct {
	name   string
	pkg    string
	args   []string // of a run that ends by itself
	limits limits
	// first is a package that must be initialized before those whose paths begin with before.
	first, before string
}

func programs() []program {
	return []program{
		{
			name: "collector", pkg: modulePath, args: []string{"--version"}, limits: collectorLimits,
			first: modulePath + "/internal/startstack", before: "go.opentelemetry.io/collector/",
		},
		{
			name: "guard", pkg: modulePath + "/cmd/guard", limits: guardLimits,
			first: modulePath + "/internal/oneprocessor", before: "",
		},
	}
}

// TestFootprint compares what is linked into the layer's programs with testdata/PROGRAM/*.golden, and names the package
// that made the difference. docs/budgets.md explains the files and how to update them.
func TestFootprint(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs")
	}
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			graph := importGraph(t, p.pkg)
			binary, links := link(t, p.pkg)
			info, err := buildinfo.ReadFile(binary)
			require.NoError(t, err)
			f := footprint{program: p, goVersion: info.GoVersion, graph: graph}

			t.Run("methods", func(t *testing.T) {
				complain(t, links.reflectMethods(), "These functions look methods up by a name that the linker cannot know, so "+
					"it keeps every exported method of every type. Each is shown with what makes it reachable. Begin with the first: "+
					"the others may be there only on its account.")
			})
			t.Run("packages", func(t *testing.T) { f.checkPackages(t, binary) })
			t.Run("inits", func(t *testing.T) { f.checkInits(t, binary) })
			t.Run("order of inits", func(t *testing.T) { f.checkFirst(t, binary) })
		})
	}
}

// footprint is what one build of a program is made of.
type footprint struct {
	program
	goVersion string
	graph     map[string][]string
}

// checkFirst holds that nothing comes before what is to come first.
func (f footprint) checkFirst(t *testing.T, binary string) {
	t.Helper()
	order := initOrder(t, binary, f.args)
	order = slices.DeleteFunc(order, func(pkg string) bool { return pkg == "runtime" || strings.HasPrefix(pkg, "internal/") })
	is := slices.Index(order, f.first)
	other := slices.IndexFunc(order, func(pkg string) bool { return pkg != f.first && strings.HasPrefix(pkg, f.before) })
	require.NotEqual(t, -1, is)
	require.NotEqual(t, -1, other)
	require.Less(t, is, other, "%s must not import anything but runtime; before it come %v", f.first, order[:is])
}

// golden is the path of one of the program's baselines.
func (f footprint) golden(name string) string {
	return filepath.Join("testdata", f.name, name+".golden")
}

// checkPackages compares the list of packages, and the bytes of all of them together.
func (f footprint) checkPackages(t *testing.T, binary string) {
	t.Helper()
	sizes, err := packageSizes(binary, f.pkg, f.graph)
	require.NoError(t, err)
	is := newBaseline(f.goVersion, 1)
	var total int64
	for name, bytes := range sizes {
		is.rows[name] = []int64{kilobytes(bytes)}
		total += bytes
	}
	// Packages of constants and types alone have no bytes of their own.
	for pkg := range f.graph {
		is.rows[pkg] = []int64{kilobytes(sizes[pkg])}
	}
	is.rows[totalRow] = []int64{kilobytes(total)}

	path := f.golden("packages")
	if *update {
		is.write(t, path, "kB (1,000 bytes) of the stripped "+f.name+" for linux/amd64, and the package they are of.")
		return
	}
	was := readBaseline(t, path, 1)
	complain(t, slices.Concat(f.listComplaints(was, is), f.sizeComplaints(was, is)), hint(was, is))
}

// listComplaints are the packages that came and went. With another version of Go, those of the standard library may.
func (f footprint) listComplaints(was, is baseline) []string {
	var complaints []string
	for _, c := range changes(was.column(0), is.column(0)) {
		_, before := was.rows[c.name]
		_, after := is.rows[c.name]
		switch {
		case before == after, was.goVersion != is.goVersion && standard(c.name):
		case after:
			complaints = append(complaints, fmt.Sprintf("%s is new (%d kB): %s", c.name, c.to, f.route(c.name)))
		default:
			complaints = append(complaints,
				fmt.Sprintf("%s is not linked any more (%d kB); update, so that it does not come back", c.name, c.from))
		}
	}
	return shorten(complaints)
}

// sizeComplaints say that the program grew, or shrank so much that the baseline gates nothing.
func (f footprint) sizeComplaints(was, is baseline) []string {
	from, to, allowed := was.rows[totalRow][0], is.rows[totalRow][0], f.limits.growthKB
	if was.goVersion != is.goVersion {
		allowed += from / otherGoShare
	}
	if to < from-allowed {
		return []string{fmt.Sprintf("the %s shrank from %d to %d kB; update, to keep what was won", f.name, from, to)}
	}
	if to <= from+allowed {
		return nil
	}
	var rows []string
	for _, c := range changes(was.column(0), is.column(0)) {
		if c.name != totalRow && c.to-c.from >= max(1, (to-from)/notable) {
			rows = append(rows, fmt.Sprintf("  %+d to %d kB: %s", c.to-c.from, c.to, f.route(c.name)))
		}
	}
	return append([]string{
		fmt.Sprintf("the %s grew from %d to %d kB, and %d kB more are allowed:", f.name, from, to, allowed),
	}, shorten(rows)...)
}

// checkInits compares what the packages allocate before main. How long that takes is the machine's affair and is not
// compared; next to everything that takes long allocates.
func (f footprint) checkInits(t *testing.T, binary string) {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("runs the program")
	}
	is := newBaseline(f.goVersion, 2)
	is.rows = leastInits(t, binary, f.args)
	if row, ok := is.rows["main"]; ok {
		is.rows[f.pkg] = row
		delete(is.rows, "main")
	}
	path := f.golden("inits")
	if *update {
		is.write(t, path, "Bytes and allocations of the initialization of each package in the "+f.name+" for linux/amd64.")
		return
	}
	was := readBaseline(t, path, 2)
	complain(t, f.initComplaints(was, is), hint(was, is))
}

// initComplaints are the packages whose initialization grew, and the growth of all together. With another version of Go,
// the standard library is left out.
func (f footprint) initComplaints(was, is baseline) []string {
	var complaints []string
	for column, unit := range []string{"bytes", "allocations"} {
		one, all := f.limits.initPackage[column], f.limits.initAll[column]
		found := changes(was.column(column), is.column(column))
		if was.goVersion != is.goVersion {
			found = slices.DeleteFunc(found, func(c change) bool { return standard(c.name) })
		}
		var total change
		for _, c := range found {
			total.from += c.from
			total.to += c.to
		}
		var rows []string
		for _, c := range found {
			row := fmt.Sprintf("init of %s grew from %d to %d %s: %s", c.name, c.from, c.to, unit, f.route(c.name))
			switch {
			case c.to > c.from+one:
				complaints = append(complaints, row)
			case c.to-c.from >= max(1, (total.to-total.from)/notable):
				rows = append(rows, "  "+row)
			}
		}
		switch {
		case total.to > total.from+all:
			complaints = append(complaints,
				fmt.Sprintf("init of all packages grew from %d to %d %s, and %d more are allowed", total.from, total.to, unit, all))
			complaints = append(complaints, shorten(rows)...)
		case total.to < total.from-all:
			complaints = append(complaints,
				fmt.Sprintf("init of all packages shrank from %d to %d %s; update, to keep what was won", total.from, total.to, unit))
		}
	}
	return complaints
}

// route is the shortest way by which the program comes to import a package, or the name of what is no package.
func (f footprint) route(name string) string {
	path := shortestPath(f.graph, f.pkg, name)
	if path == nil {
		return name
	}
	for i := range path {
		path[i] = strings.TrimPrefix(path[i], "github.com/otelcol-lambda/")
	}
	return strings.Join(path, " → ")
}

// hint says what to do about a difference.
func hint(was, is baseline) string {
	text := "If it is worth it, say in CHANGELOG.md what users get for it, and update: " + updateFootprint
	if was.goVersion != is.goVersion {
		text += "\nOr it is Go's doing: the golden files were made with " + was.goVersion + ", and this is " + is.goVersion + "."
	}
	return text
}

// complain fails the test for what was found.
func complain(t *testing.T, found []string, advice string) {
	t.Helper()
	if len(found) > 0 {
		t.Errorf("%s\n%s", strings.Join(found, "\n"), advice)
	}
}

// shorten cuts a list to what is worth reading.
func shorten(lines []string) []string {
	const worth = 25
	if len(lines) <= worth {
		return lines
	}
	return append(slices.Clip(lines[:worth]), fmt.Sprintf("  … and %d more", len(lines)-worth))
}

func TestFootprintListComplaints(t *testing.T) {
	f := footprint{program: program{pkg: modulePath}, graph: map[string][]string{
		modulePath:                 {modulePath + "/internal/x", "fmt"},
		modulePath + "/internal/x": {"example.com/new/sub", "fmt"},
		"example.com/new/sub":      nil,
		"fmt":                      {"internal/fresh"},
		"internal/fresh":           nil,
	}}
	was := baseline{goVersion: "go1.26.8", rows: map[string][]int64{
		modulePath: {1}, modulePath + "/internal/x": {1}, "fmt": {3}, "example.com/old": {7}, totalRow: {12},
	}}
	is := baseline{goVersion: "go1.26.8", rows: map[string][]int64{
		modulePath: {1}, modulePath + "/internal/x": {1}, "fmt": {3}, "example.com/new/sub": {20}, "internal/fresh": {2},
		totalRow: {27},
	}}
	foreign := []string{
		"example.com/new/sub is new (20 kB): otelcol-lambda → otelcol-lambda/internal/x → example.com/new/sub",
		"example.com/old is not linked any more (7 kB); update, so that it does not come back",
	}
	own := "internal/fresh is new (2 kB): otelcol-lambda → fmt → internal/fresh"
	require.Equal(t, slices.Insert(slices.Clone(foreign), 1, own), f.listComplaints(was, is))
	is.goVersion = "go1.27.0"
	require.Equal(t, foreign, f.listComplaints(was, is))
	require.Empty(t, f.listComplaints(is, is))
}

func TestFootprintSizeComplaints(t *testing.T) {
	f := footprint{
		program: program{name: "collector", pkg: "a", limits: limits{growthKB: 100}},
		graph:   map[string][]string{"a": {"b"}, "b": nil},
	}
	was := baseline{goVersion: "go1.26.8", rows: map[string][]int64{"a": {600}, "b": {100}, "(.text)": {300}, totalRow: {1000}}}
	for _, tc := range []struct {
		name      string
		goVersion string
		a, b      int64
		want      []string
	}{
		{name: "same", goVersion: "go1.26.8", a: 600, b: 100},
		{name: "within", goVersion: "go1.26.8", a: 600, b: 200},
		{name: "grew", goVersion: "go1.26.8", a: 610, b: 191, want: []string{
			"the collector grew from 1000 to 1101 kB, and 100 kB more are allowed:",
			"  +91 to 191 kB: a → b",
			"  +10 to 610 kB: a",
		}},
		{name: "shrank a little", goVersion: "go1.26.8", a: 500, b: 100},
		{name: "shrank", goVersion: "go1.26.8", a: 499, b: 100, want: []string{
			"the collector shrank from 1000 to 899 kB; update, to keep what was won",
		}},
		{name: "another Go", goVersion: "go1.27.0", a: 600, b: 220},
		{name: "more than another Go", goVersion: "go1.27.0", a: 600, b: 221, want: []string{
			"the collector grew from 1000 to 1121 kB, and 120 kB more are allowed:",
			"  +121 to 221 kB: a → b",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := baseline{goVersion: tc.goVersion, rows: map[string][]int64{
				"a": {tc.a}, "b": {tc.b}, "(.text)": {300}, totalRow: {tc.a + tc.b + 300},
			}}
			require.Equal(t, tc.want, f.sizeComplaints(was, is))
		})
	}
}

func TestFootprintInitComplaints(t *testing.T) {
	f := footprint{
		program: program{pkg: "a", limits: limits{initPackage: [2]int64{8_000, 50}, initAll: [2]int64{10_000, 60}}},
		graph:   map[string][]string{"a": {"x.org/b", "x.org/c", "std"}, "x.org/b": nil, "x.org/c": nil, "std": nil},
	}
	was := map[string][]int64{"x.org/b": {30_000, 400}, "std": {500, 5}}
	for _, tc := range []struct {
		name      string
		goVersion string
		is        map[string][]int64
		want      []string
	}{
		{name: "same", goVersion: "go1.26.8", is: was},
		{
			name:      "noise",
			goVersion: "go1.26.8",
			is:        map[string][]int64{"x.org/b": {31_000, 410}, "std": {400, 4}},
		},
		{
			name:      "a new one",
			goVersion: "go1.26.8",
			is:        map[string][]int64{"x.org/b": {30_000, 400}, "x.org/c": {8_001, 51}, "std": {500, 5}},
			want: []string{
				"init of x.org/c grew from 0 to 8001 bytes: a → x.org/c",
				"init of x.org/c grew from 0 to 51 allocations: a → x.org/c",
			},
		},
		{
			name:      "a little everywhere",
			goVersion: "go1.26.8",
			is:        map[string][]int64{"x.org/b": {36_000, 400}, "x.org/c": {5_000, 1}, "std": {510, 5}},
			want: []string{
				"init of all packages grew from 30500 to 41510 bytes, and 10000 more are allowed",
				"  init of x.org/b grew from 30000 to 36000 bytes: a → x.org/b",
				"  init of x.org/c grew from 0 to 5000 bytes: a → x.org/c",
			},
		},
		{
			name:      "less",
			goVersion: "go1.26.8",
			is:        map[string][]int64{"x.org/b": {100, 400}, "std": {500, 5}},
			want:      []string{"init of all packages shrank from 30500 to 600 bytes; update, to keep what was won"},
		},
		{
			name:      "another Go",
			goVersion: "go1.27.0",
			is:        map[string][]int64{"x.org/b": {30_000, 400}, "std": {90_500, 999}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, f.initComplaints(
				baseline{goVersion: "go1.26.8", rows: was}, baseline{goVersion: tc.goVersion, rows: tc.is}))
		})
	}
}

func TestShorten(t *testing.T) {
	lines := strings.Fields(strings.Repeat("x ", 30))
	require.Len(t, shorten(lines[:25]), 25)
	require.Equal(t, append(slices.Clone(lines[:25]), "  … and 5 more"), shorten(lines))
}
