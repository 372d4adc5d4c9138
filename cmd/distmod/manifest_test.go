// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeManifest(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "acme.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func coreManifest(t *testing.T) manifest {
	t.Helper()
	core, err := loadManifest(filepath.Join("..", "..", manifestName))
	require.NoError(t, err)
	return core
}

func TestLoadManifest(t *testing.T) {
	t.Parallel()
	core := coreManifest(t)
	require.NoError(t, core.problems(core))

	_, err := loadManifest(filepath.Join(t.TempDir(), "acme.yaml"))
	require.ErrorContains(t, err, "acme.yaml does not exist: a distribution is core, the name of a folder")
	_, err = loadManifest(writeManifest(t, "recievers:\n  - gomod: a v1.0.0\n"))
	require.ErrorContains(t, err, "line 1: field recievers not found")
	_, err = loadManifest(writeManifest(t, ""))
	require.ErrorContains(t, err, "is not a builder manifest")
	_, err = loadManifest(t.TempDir())
	require.Error(t, err)
}

// What the error says can be pasted.
func TestMissingModules(t *testing.T) {
	t.Parallel()
	core := coreManifest(t)
	text := manifest{}.missing(core)
	m, err := loadManifest(writeManifest(t, text))
	require.NoError(t, err, text)
	require.NoError(t, m.problems(core))
	require.Empty(t, m.missing(core))
	for _, n := range neededModules() {
		entry, ok := m.find(n.section, n.importPath)
		require.True(t, ok, n.importPath)
		want, _ := core.find(n.section, n.importPath)
		require.Equal(t, want, entry)
	}

	m.Exporters = nil
	err = m.problems(core)
	require.ErrorContains(t, err, "exporters:\n  # for pipelines whose exporter has no endpoint\n"+
		"  - gomod: go.opentelemetry.io/collector/exporter/nopexporter v")
	require.NotContains(t, err.Error(), "decoupleprocessor")
}

func TestProblems(t *testing.T) {
	t.Parallel()
	core := coreManifest(t)
	for name, tt := range map[string]struct {
		change func(*manifest)
		want   string
	}{
		"the stock batch": {
			func(m *manifest) {
				m.Processors = append(m.Processors, module{GoMod: "go.opentelemetry.io/collector/processor/batchprocessor v0.161.0"})
			},
			"  - gomod: " + treeModule + " v0.0.0\n    import: " + treeModule + "/processor/batchprocessor\n",
		},
		"another converter": {
			func(m *manifest) { m.Converters = append(m.Converters, module{GoMod: "example.com/c v1.0.0"}) },
			"take the others out",
		},
		"another default scheme": {
			func(m *manifest) { m.ConfResolver.DefaultURIScheme = "yaml" }, "take default_uri_scheme out",
		},
		"cgo":           {func(m *manifest) { m.Dist.CGOEnabled = true }, "take cgo_enabled out"},
		"no version":    {func(m *manifest) { m.Receivers = append(m.Receivers, module{GoMod: "example.com/r"}) }, "receivers: `gomod: example.com/r`"},
		"nothing of it": {func(m *manifest) { m.Extensions = append(m.Extensions, module{}) }, "extensions: `gomod: `"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := core
			for _, list := range []*[]module{&m.Receivers, &m.Processors, &m.Extensions, &m.Converters} {
				*list = slices.Clone(*list)
			}
			tt.change(&m)
			require.ErrorContains(t, m.problems(core), tt.want)
		})
	}
}

func TestGoMod(t *testing.T) {
	t.Parallel()
	m := manifest{
		Receivers: []module{
			{GoMod: "example.com/a v1.0.0", Path: "../a"},
			{GoMod: treeModule + " v0.0.0", Import: treeModule + "/receiver/r"},
		},
		Processors: []module{{GoMod: treeModule + " v0.0.0", Import: treeModule + "/processor/p"}},
		Replaces: []string{
			treeModule + " => ../../elsewhere",
			"example.com/b => ../b",
			"example.com/c v1.0.0 => example.com/d v1.1.0",
			"example.com/e => /abs/e",
		},
		Excludes: []string{"example.com/f v1.2.3"},
	}
	m.Dist.OutputPath = "./_ocb"
	got, err := m.goMod("example.com/m", "/home/acme/acme.yaml", "/src/tree", "/src/tree/build/distribution-acme")
	require.NoError(t, err)
	require.Equal(t, `module example.com/m

go 1.25

require (
	example.com/a v1.0.0
	`+treeModule+` v0.0.0
)

replace (
	example.com/a => ../../../../home/a
	example.com/b => ../../../../home/acme/b
	example.com/c v1.0.0 => example.com/d v1.1.0
	example.com/e => /abs/e
	`+treeModule+` => ../..
)

exclude (
	example.com/f v1.2.3
)

`, got)

	m.Replaces = []string{"example.com/b ../b"}
	_, err = m.goMod("example.com/m", "/home/acme/acme.yaml", "/src/tree", "/src/tree/build/distribution-acme")
	require.ErrorContains(t, err, "is not of the form MODULE => REPLACEMENT")
}

// The builder is given a copy.
func TestForBuilder(t *testing.T) {
	t.Parallel()
	m := manifest{Receivers: []module{{GoMod: "example.com/a v1.0.0", Path: "../a"}}, Replaces: []string{"a => b"}}
	got := m.forBuilder("example.com/m", "/out")
	require.Equal(t, []module{{GoMod: "example.com/a v1.0.0"}}, got.Receivers)
	require.Empty(t, got.Replaces)
	require.Equal(t, "example.com/m", got.Dist.Module)
	require.Equal(t, "/out", got.Dist.OutputPath)
	require.Equal(t, "../a", m.Receivers[0].Path)
}

func TestGoFlags(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ tags, version, want string }{
		"nothing said":  {"", "", `-tags=grpcnotrace "-ldflags=-s -w"`},
		"as the core":   {"grpcnotrace", "0.1.0", `-tags=grpcnotrace "-ldflags=-s -w -X main.version=0.1.0"`},
		"more tags":     {"a,grpcnotrace,b", "", `-tags=a,grpcnotrace,b "-ldflags=-s -w"`},
		"other tags":    {"a", "", `-tags=a,grpcnotrace "-ldflags=-s -w"`},
		"a space":       {"a b", "", ""},
		"another quote": {"", `1"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m manifest
			m.Dist.BuildTags, m.Dist.Version = tt.tags, tt.version
			got, err := m.goFlags()
			if tt.want == "" {
				require.ErrorContains(t, err, "a space, a quote or a backslash")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "-trimpath -buildvcs=false "+tt.want, got)
		})
	}
}

func TestModuleName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"full", "acme-2.1", "Acme_x"} {
		require.True(t, moduleName(name), name)
	}
	for _, name := range []string{"", ".", "..", ".hidden", "end.", "a b", "a/b", "ä"} {
		require.False(t, moduleName(name), name)
	}
}

// TestDistributions holds the distributions of this tree, the core and their go.mod files together.
func TestDistributions(t *testing.T) {
	t.Parallel()
	core := coreManifest(t)
	files, err := filepath.Glob(filepath.Join("..", "..", "distributions", "*", manifestName))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			m, err := loadManifest(file)
			require.NoError(t, err)
			require.NoError(t, m.problems(core))
			for _, s := range core.sections() {
				for _, want := range s.modules {
					got, ok := m.find(s.key, want.importPath())
					require.Truef(t, ok, "%s: the core has %s", s.key, want.importPath())
					require.Equal(t, want, got)
				}
			}
			d := distribution{root: filepath.Join("..", ".."), file: file, dir: dir, name: filepath.Base(dir), manifest: m}
			require.Equal(t, d.modulePath(), m.Dist.Module, "a stock build may import internal packages only from there")
			require.Equal(t, []string{treeModule + " => ../../../"}, m.Replaces)
			require.Equal(t, core.Dist.Version, m.Dist.Version)
			require.Equal(t, core.Dist.BuildTags, m.Dist.BuildTags)

			locked, err := d.locked(t.Context())
			require.NoError(t, err)
			require.True(t, locked, "run `make lock DIST=%s`", d.name)
			differences, err := d.differences(t.Context())
			require.NoError(t, err)
			require.Empty(t, strings.Join(differences, "\n"), "run `make lock DIST=%s`", d.name)
		})
	}
}

// TestFullHasTheComponentsOfTheOpenTelemetryLayer names them by their packages; the types that users write are tested with
// the built layer (test/layer/full_test.go).
func TestFullHasTheComponentsOfTheOpenTelemetryLayer(t *testing.T) {
	t.Parallel()
	full, err := loadManifest(filepath.Join("..", "..", "distributions", "full", manifestName))
	require.NoError(t, err)
	for key, components := range map[string][]string{
		"receivers": {"otlpreceiver", "telemetryapireceiver"},
		"processors": {
			"attributesprocessor", "batchprocessor", "decoupleprocessor", "filterprocessor", "memorylimiterprocessor",
			"probabilisticsamplerprocessor", "resourceprocessor", "spanprocessor", "transformprocessor",
		},
		"exporters":  {"debugexporter", "otlpexporter", "otlphttpexporter", "prometheusremotewriteexporter"},
		"extensions": {"basicauthextension", "sigv4authextension"},
		"connectors": {"spanmetricsconnector"},
		"providers": {
			"envprovider", "fileprovider", "httpprovider", "httpsprovider", "s3provider", "secretsmanagerprovider", "yamlprovider",
		},
	} {
		for _, s := range full.sections() {
			if s.key != key {
				continue
			}
			var have []string
			for _, e := range s.modules {
				have = append(have, filepath.Base(e.importPath()))
			}
			require.Subset(t, have, components, key)
		}
	}
}
