// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layerEnviron is what the layer's programs are built in.
func layerEnviron() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOWORK=off")
}

// link builds a program like the Makefile does, but with its symbols, and has the linker say what it kept and why.
func link(t *testing.T, pkg string) (binary string, links linkage) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags", layerBuildTags,
		"-ldflags", "-w -dumpdep", "-o", binary, pkg)
	cmd.Env = layerEnviron()
	output, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%s", output[:min(len(output), 10_000)])
	links = parseLinkage(string(output))
	if _, ok := links.parents["main.main"]; !ok {
		t.Fatalf("-dumpdep prints something else now: %s", output[:min(len(output), 1_000)])
	}
	return binary, links
}

// linkage is what the linker found reachable.
type linkage struct {
	// parents has for each symbol the one that made it reachable, and nothing for where it began.
	parents map[string]string
	// marked are the functions on account of which the linker keeps all exported methods, as it came upon them.
	marked []string
}

// parseLinkage reads lines of "symbol -> symbol", with flags such as <ReflectMethod> behind a symbol and a blank.
func parseLinkage(output string) linkage {
	links := linkage{parents: map[string]string{}}
	for line := range strings.Lines(output) {
		from, to, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " -> ")
		if !ok {
			continue
		}
		name, flags := cutFlags(to)
		if _, again := links.parents[name]; again {
			continue // a type is visited twice, which may lead in circles
		}
		parent, _ := cutFlags(from)
		if parent == "_" {
			parent = ""
		}
		links.parents[name] = parent
		if strings.Contains(flags, "<ReflectMethod>") {
			links.marked = append(links.marked, name)
		}
	}
	return links
}

// cutFlags takes the flags from behind a symbol, whose name may have blanks and angle brackets.
func cutFlags(text string) (name, flags string) {
	name = text
	for _, flag := range []string{"<ReflectMethod>", "<UsedInIface>"} { // from behind
		if rest, ok := strings.CutSuffix(name, flag); ok {
			name, flags = rest, flag+flags
		}
	}
	return strings.TrimSuffix(name, " "), flags
}

// reflectMethods are the marked functions, each with what makes it reachable: on the way, the last symbol of each
// package.
func (l linkage) reflectMethods() []string {
	var found []string
	for _, function := range l.marked {
		var way []string
		for _, symbol := range chain(l.parents, function) {
			last := len(way) - 1
			if last >= 0 && symbolPackage(way[last]) == symbolPackage(symbol) {
				way[last] = symbol
			} else {
				way = append(way, symbol)
			}
		}
		found = append(found, strings.Join(way, " → "))
	}
	return shorten(found)
}

// shortestPath is the shortest way from one node of a graph to another, both included, or nil.
func shortestPath(graph map[string][]string, from, to string) []string {
	parents := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range graph[queue[0]] {
			if _, seen := parents[next]; !seen {
				parents[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	if _, found := parents[to]; !found {
		return nil
	}
	return chain(parents, to)
}

// chain lists a node and its ancestors, the oldest first, which has an empty parent.
func chain(parents map[string]string, node string) []string {
	var path []string
	for ; node != ""; node = parents[node] {
		path = append(path, node)
	}
	slices.Reverse(path)
	return path
}

// TestReflectMethods keeps the check of TestFootprint able to fail: a linker that says it in other words would pass it.
func TestReflectMethods(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	t.Parallel()
	_, links := link(t, modulePath+"/testdata/reflectmethod")
	require.NotEmpty(t, links.reflectMethods())
	require.Regexp(t, " → main.byName$", links.reflectMethods()[0])
}

func TestParseLinkage(t *testing.T) {
	links := parseLinkage(strings.Join([]string{
		"# example.com/app",
		"_ -> _rt0_amd64_linux",
		"_rt0_amd64_linux -> main.main",
		"main.main -> type:*main.t <UsedInIface>",
		"type:*main.t <UsedInIface> -> type:main.t <UsedInIface>",
		"type:main.t <UsedInIface> -> type:*main.t <UsedInIface>",
		`main.main -> go:string."a -> b <ReflectMethod> c"`,
		"main.main -> text/template.(*Template).Execute",
		"text/template.(*Template).Execute -> text/template.(*state).evalField <UsedInIface><ReflectMethod>",
		"main.main -> main.x <ReflectMethod>",
	}, "\n"))
	require.Equal(t, []string{"text/template.(*state).evalField", "main.x"}, links.marked)
	require.Equal(t, []string{
		"_rt0_amd64_linux → main.main → text/template.(*state).evalField",
		"_rt0_amd64_linux → main.x",
	}, links.reflectMethods())
	require.Equal(t, "type:*main.t", links.parents["type:main.t"])
}

func TestShortestPath(t *testing.T) {
	graph := map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"e"}, "d": {"e"}, "e": {"a"}, "f": nil}
	require.Equal(t, []string{"a", "c", "e"}, shortestPath(graph, "a", "e"))
	require.Equal(t, []string{"a"}, shortestPath(graph, "a", "a"))
	require.Nil(t, shortestPath(graph, "a", "f"))
}
