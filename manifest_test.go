// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const modulePath = "github.com/otelcol-lambda/otelcol-lambda"

// manifestModule is one entry of builder-config.yaml.
type manifestModule struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import"`
	Name   string `yaml:"name"`
	Path   string `yaml:"path"`
}

// importPath is the package that the builder imports for the entry.
func (m manifestModule) importPath() string {
	if m.Import != "" {
		return m.Import
	}
	module, _, _ := strings.Cut(m.GoMod, " ")
	return module
}

// manifest is builder-config.yaml. It has every key that the builder knows, so that decoding can be strict: the builder
// itself ignores a misspelt key without a word.
type manifest struct {
	Dist struct {
		Module      string `yaml:"module"`
		Name        string `yaml:"name"`
		Description string `yaml:"description"`
		Version     string `yaml:"version"`
		OutputPath  string `yaml:"output_path"`
		BuildTags   string `yaml:"build_tags"`
		CGOEnabled  bool   `yaml:"cgo_enabled"`
	} `yaml:"dist"`
	Receivers  []manifestModule `yaml:"receivers"`
	Processors []manifestModule `yaml:"processors"`
	Exporters  []manifestModule `yaml:"exporters"`
	Connectors []manifestModule `yaml:"connectors"`
	Extensions []manifestModule `yaml:"extensions"`
	Providers  []manifestModule `yaml:"providers"`
	Converters []manifestModule `yaml:"converters"`
	Telemetry  manifestModule   `yaml:"telemetry"`
	Replaces   []string         `yaml:"replaces"`
}

// sections are the lists of components by their key.
func (m manifest) sections() map[string][]manifestModule {
	return map[string][]manifestModule{
		"receivers":  m.Receivers,
		"processors": m.Processors,
		"exporters":  m.Exporters,
		"connectors": m.Connectors,
		"extensions": m.Extensions,
		"providers":  m.Providers,
		"converters": m.Converters,
		"telemetry":  {m.Telemetry},
	}
}

func loadManifest(t *testing.T) manifest {
	t.Helper()
	return loadManifestFile(t, "builder-config.yaml")
}

func loadManifestFile(t *testing.T, name string) manifest {
	t.Helper()
	f, err := os.Open(filepath.FromSlash(name))
	require.NoError(t, err)
	defer f.Close()
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	var m manifest
	require.NoError(t, dec.Decode(&m))
	return m
}

// goModVersions are the modules that a go.mod requires with their versions.
func goModVersions(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", filepath.FromSlash(name)).Output()
	require.NoError(t, err)
	var mod struct {
		Require []struct{ Path, Version string }
	}
	require.NoError(t, json.Unmarshal(out, &mod))
	versions := make(map[string]string, len(mod.Require))
	for _, r := range mod.Require {
		versions[r.Path] = r.Version
	}
	return versions
}

// TestManifestVersions holds the versions that the layer is built from (go.mod) and those that somebody else's builder
// would take (builder-config.yaml) together.
func TestManifestVersions(t *testing.T) {
	want := goModVersions(t, "go.mod")
	for section, modules := range loadManifest(t).sections() {
		for _, m := range modules {
			module, version, ok := strings.Cut(m.GoMod, " ")
			require.Truef(t, ok, "%s: `gomod: %s` has no version", section, m.GoMod)
			if module == modulePath {
				require.Equalf(t, "v0.0.0", version, "%s: %s is this tree, by `replaces`", section, m.Import)
				require.Truef(t, strings.HasPrefix(m.Import, modulePath+"/"), "%s: entry of ours without `import`", section)
				continue
			}
			require.Containsf(t, want, module, "%s: %s is not in go.mod", section, module)
			require.Equalf(t, want[module], version, "%s: builder-config.yaml and go.mod differ in %s", section, module)
		}
	}
}

// TestManifestTrain holds what is built beside the layer to the layer's release train: the builder itself, whose
// templates fit one version of the collector, and the stock Collector of the tests.
func TestManifestTrain(t *testing.T) {
	want := goModVersions(t, "go.mod")
	require.Equal(t, want["go.opentelemetry.io/collector/otelcol"],
		goModVersions(t, "internal/tools/go.mod")["go.opentelemetry.io/collector/cmd/builder"])

	shared := 0
	for section, modules := range loadManifestFile(t, "test/stockcollector/builder-config.yaml").sections() {
		for _, m := range modules {
			module, version, _ := strings.Cut(m.GoMod, " ")
			if _, ok := want[module]; ok {
				shared++
				require.Equalf(t, want[module], version, "test/stockcollector: %s: %s", section, module)
			}
		}
	}
	require.Positive(t, shared)
}

// TestManifestComponentFolders fails when a component was written and not listed, which users would notice as an unknown
// type, or is listed in the wrong section.
func TestManifestComponentFolders(t *testing.T) {
	m := loadManifest(t)
	for folder, modules := range map[string][]manifestModule{
		"receiver":          m.Receivers,
		"processor":         m.Processors,
		"exporter":          m.Exporters,
		"connector":         m.Connectors,
		"extension":         m.Extensions,
		"confmap/provider":  m.Providers,
		"confmap/converter": m.Converters,
	} {
		t.Run(folder, func(t *testing.T) {
			listed := []string{}
			for _, e := range modules {
				if dir, ours := strings.CutPrefix(e.importPath(), modulePath+"/"); ours {
					listed = append(listed, dir)
				}
			}
			require.ElementsMatch(t, componentFolders(t, folder), listed,
				"component folders (first) and what builder-config.yaml lists of ours (second) differ")
		})
	}
}

// componentFolders are the folders directly below parent that hold Go files.
func componentFolders(t *testing.T, parent string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(parent, "*", "*.go"))
	require.NoError(t, err)
	folders := []string{}
	for _, f := range files {
		folders = append(folders, path.Dir(filepath.ToSlash(f)))
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// TestManifestMatchesMain compares providers and converters, which the builder would write into its own main.go, with
// those of ours. One that is lost here is lost silently.
func TestManifestMatchesMain(t *testing.T) {
	m := loadManifest(t)
	imports := rootImports(t)
	for _, tc := range []struct {
		name    string
		infix   string
		modules []manifestModule
	}{
		{name: "providers", infix: "/confmap/provider/", modules: m.Providers},
		{name: "converters", infix: "/confmap/converter/", modules: m.Converters},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var want, got []string
			for _, e := range tc.modules {
				want = append(want, e.importPath())
			}
			for imp := range imports {
				if strings.Contains(imp, tc.infix) {
					got = append(got, imp)
				}
			}
			require.NotEmpty(t, want)
			require.ElementsMatch(t, want, got, "builder-config.yaml (first) and main.go (second) differ")
		})
	}
}

// TestManifestMatchesComponents says sooner, and without the builder, what `make check-generated` says: components.go is
// not the one that the manifest makes.
func TestManifestMatchesComponents(t *testing.T) {
	m := loadManifest(t)
	got := fileImports(t, "components.go")
	want := map[string]struct{}{}
	for _, modules := range [][]manifestModule{m.Receivers, m.Processors, m.Exporters, m.Connectors, m.Extensions, {m.Telemetry}} {
		for _, e := range modules {
			want[e.importPath()] = struct{}{}
		}
	}
	// What the template imports for itself.
	maps.DeleteFunc(got, func(imp string, _ struct{}) bool {
		rest, core := strings.CutPrefix(imp, "go.opentelemetry.io/collector/")
		return core && !strings.Contains(rest, "/")
	})
	require.Equal(t, want, got, "run `make generate`")
}

// TestManifestDist covers what the Makefile, main.go and OCB agree on.
func TestManifestDist(t *testing.T) {
	m := loadManifest(t)
	require.Equal(t, modulePath+"/ocb", m.Dist.Module,
		"the stock build may import internal/selftelemetry only from below our module path")
	require.False(t, m.Dist.CGOEnabled, "the layer runs on any Lambda base image: no libc")
	require.Equal(t, layerBuildTags, m.Dist.BuildTags, "the tests measure with the tags the layer is built with")
	require.Equal(t, []string{modulePath + " => ../"}, m.Replaces)

	info := buildInfo()
	require.Equal(t, m.Dist.Name, info.Command)
	require.Equal(t, m.Dist.Description, info.Description)
	require.Equal(t, m.Dist.Version+"-dev", info.Version, "a build without the Makefile says so")
}

// rootImports are the imports of the program in the root folder, without its tests.
func rootImports(t *testing.T) map[string]struct{} {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	imports := map[string]struct{}{}
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			maps.Copy(imports, fileImports(t, f))
		}
	}
	return imports
}

func fileImports(t *testing.T, name string) map[string]struct{} {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	require.NoError(t, err)
	imports := map[string]struct{}{}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		imports[imp] = struct{}{}
	}
	return imports
}
