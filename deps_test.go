// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// forbiddenDep is a tree of packages that must not be linked into the core collector, or only on account of importers
// that we cannot change.
type forbiddenDep struct {
	path string
	why  string
	// via are the packages, with everything below them, that may import it nevertheless.
	via []string
}

// forbiddenDeps are packages that would make every cold start pay for something no function asked for.
//
// The OTel SDK and testify are in upstream's import graph and cannot be got rid of from here: service/internal/builders
// takes its nop components from the *test packages. The linker drops most of their code as long as nothing else uses
// them, which is what `via` checks.
var forbiddenDeps = []forbiddenDep{
	{
		path: "github.com/prometheus",
		why:  "nobody scrapes a function, and its registry costs start-up time",
	},
	{
		path: "go.opentelemetry.io/otel/sdk",
		why:  "internal/selftelemetry exists to do without it (12 MB)",
		via:  []string{"go.opentelemetry.io/collector/component/componenttest"},
	},
	{
		path: "go.opentelemetry.io/otel/exporters",
		why:  "telemetry leaves through the collector's own exporters",
	},
	{
		path: "go.opentelemetry.io/collector/service/telemetry/otelconftelemetry",
		why:  "internal/selftelemetry replaces it (12 MB)",
	},
	{
		path: "golang.org/x/net/trace",
		why:  "build with -tags " + layerBuildTags + ": it uses reflection that keeps every exported method (6 MB)",
	},
	{
		path: "html/template",
		why:  "it uses reflection that keeps every exported method",
		via:  []string{"go.opentelemetry.io/collector/service/internal/zpages"},
	},
	{
		path: "testing",
		why:  "test code does not belong in a program",
		via: []string{
			"go.opentelemetry.io/collector/exporter/exportertest",
			"go.opentelemetry.io/collector/pdata/xpdata/request",
			"go.opentelemetry.io/collector/processor/processortest",
			"go.opentelemetry.io/collector/receiver/receivertest",
		},
	},
	{
		path: "github.com/stretchr/testify",
		why:  "test code does not belong in a program",
		via: []string{
			"go.opentelemetry.io/collector/exporter/exportertest",
			"go.opentelemetry.io/collector/pdata/xpdata/request",
			"go.opentelemetry.io/collector/processor/processortest",
			"go.opentelemetry.io/collector/receiver/receivertest",
		},
	},
	{path: "net/http/pprof", why: "it registers handlers and nobody can reach them inside Lambda"},
	{
		path: "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl",
		why:  "10 to 15 MB; processors built on it belong in another distribution",
	},
	{path: "github.com/aws", why: "an AWS SDK costs 2 to 4 MB and reads shared configuration; sign requests in internal/"},
	{path: "cloud.google.com/go", why: "SDK of another cloud"},
	{path: "github.com/Azure", why: "SDK of another cloud"},
	{path: "k8s.io", why: "there is no Kubernetes in Lambda"},
	{path: modulePath + "/internal/lambdasim", why: "the simulator is for tests and cmd/"},
	{path: modulePath + "/internal/otlpsink", why: "the test backend is for tests and cmd/"},
}

// standard tells packages of the standard library, which come and go with the version of Go.
func standard(pkg string) bool {
	domain, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(domain, ".")
}

// below says whether pkg is path or lies in its tree.
func below(pkg, path string) bool {
	return pkg == path || strings.HasPrefix(pkg, path+"/")
}

// violations are the edges of the import graph that d forbids, as "importer imports imported".
func (d forbiddenDep) violations(graph map[string][]string) []string {
	var found []string
	for importer, imports := range graph {
		if below(importer, d.path) || slices.ContainsFunc(d.via, func(via string) bool { return below(importer, via) }) {
			continue
		}
		for _, imported := range imports {
			if below(imported, d.path) {
				found = append(found, importer+" imports "+imported)
			}
		}
	}
	slices.Sort(found)
	return found
}

// importGraph maps each package that is linked into a program for linux/amd64 to its imports.
func importGraph(t *testing.T, program string) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", layerBuildTags,
		"-f", `{{.ImportPath}} {{join .Imports " "}}`, program)
	cmd.Env = layerEnviron()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	graph := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		graph[fields[0]] = fields[1:]
	}
	return graph
}

func TestForbiddenDependencies(t *testing.T) {
	graph := importGraph(t, modulePath)
	require.Contains(t, graph, modulePath)
	for _, d := range forbiddenDeps {
		t.Run(strings.ReplaceAll(d.path, "/", "_"), func(t *testing.T) {
			require.Empty(t, d.violations(graph), d.why)
		})
		// An exception nobody needs any more would hide the next mistake.
		t.Run(strings.ReplaceAll(d.path, "/", "_")+"_via", func(t *testing.T) {
			for _, via := range d.via {
				if !slices.ContainsFunc(slices.Collect(maps.Keys(graph)), func(pkg string) bool {
					return below(pkg, via) && slices.ContainsFunc(graph[pkg], func(imp string) bool { return below(imp, d.path) })
				}) {
					t.Errorf("%s no longer imports %s: delete the exception", via, d.path)
				}
			}
		})
	}
}

func TestForbiddenDepViolations(t *testing.T) {
	graph := map[string][]string{
		"example.com/app":       {"example.com/heavy/sub", "example.com/lib"},
		"example.com/lib":       {"example.com/heavyweight"},
		"example.com/old/sub":   {"example.com/heavy"},
		"example.com/heavy/sub": {"example.com/heavy"},
	}
	d := forbiddenDep{path: "example.com/heavy"}
	require.Equal(t, []string{
		"example.com/app imports example.com/heavy/sub",
		"example.com/old/sub imports example.com/heavy",
	}, d.violations(graph))
	d.via = []string{"example.com/old"}
	require.Equal(t, []string{"example.com/app imports example.com/heavy/sub"}, d.violations(graph))
}
