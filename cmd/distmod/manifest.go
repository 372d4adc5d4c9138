// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// treeModule is the module of this tree.
const treeModule = "github.com/otelcol-lambda/otelcol-lambda"

// module is one entry of a manifest.
type module struct {
	GoMod  string `yaml:"gomod,omitempty"`
	Import string `yaml:"import,omitempty"`
	Name   string `yaml:"name,omitempty"`
	Path   string `yaml:"path,omitempty"`
}

// modulePath and version are the two words of gomod.
func (m module) modulePath() string { return first(strings.Fields(m.GoMod)) }

func (m module) version() string {
	return strings.TrimSpace(strings.TrimPrefix(m.GoMod, m.modulePath()))
}

// importPath is the package that the builder imports for the entry.
func (m module) importPath() string {
	if m.Import != "" {
		return m.Import
	}
	return m.modulePath()
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// manifest has every key that the builder knows, so that decoding can be strict: the builder itself ignores a misspelt key
// without a word.
type manifest struct {
	Dist struct {
		Module           string `yaml:"module,omitempty"`
		Name             string `yaml:"name,omitempty"`
		Go               string `yaml:"go,omitempty"`
		Description      string `yaml:"description,omitempty"`
		OutputPath       string `yaml:"output_path,omitempty"`
		Version          string `yaml:"version,omitempty"`
		BuildTags        string `yaml:"build_tags,omitempty"`
		DebugCompilation bool   `yaml:"debug_compilation,omitempty"`
		CGOEnabled       bool   `yaml:"cgo_enabled,omitempty"`
		AbsoluteReplaces bool   `yaml:"use_absolute_replace_paths,omitempty"`
	} `yaml:"dist"`
	Receivers  []module `yaml:"receivers,omitempty"`
	Processors []module `yaml:"processors,omitempty"`
	Exporters  []module `yaml:"exporters,omitempty"`
	Connectors []module `yaml:"connectors,omitempty"`
	Extensions []module `yaml:"extensions,omitempty"`
	Providers  []module `yaml:"providers,omitempty"`
	Converters []module `yaml:"converters,omitempty"`
	Telemetry  module   `yaml:"telemetry,omitempty"`
	Replaces   []string `yaml:"replaces,omitempty"`
	Excludes   []string `yaml:"excludes,omitempty"`

	ConfResolver struct {
		DefaultURIScheme string `yaml:"default_uri_scheme,omitempty"`
	} `yaml:"conf_resolver,omitempty"`
}

// section is a list of entries under its key.
type section struct {
	key     string
	modules []module
}

func (m manifest) sections() []section {
	return []section{
		{"receivers", m.Receivers},
		{"processors", m.Processors},
		{"exporters", m.Exporters},
		{"connectors", m.Connectors},
		{"extensions", m.Extensions},
		{"telemetry", telemetryModules(m.Telemetry)},
		{"providers", m.Providers},
		{"converters", m.Converters},
	}
}

func telemetryModules(m module) []module {
	if m == (module{}) {
		return nil
	}
	return []module{m}
}

// find returns the entry of a section that imports a package.
func (m manifest) find(key, importPath string) (module, bool) {
	for _, s := range m.sections() {
		if s.key != key {
			continue
		}
		if i := slices.IndexFunc(s.modules, func(m module) bool { return m.importPath() == importPath }); i >= 0 {
			return s.modules[i], true
		}
	}
	return module{}, false
}

func loadManifest(file string) (manifest, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, fmt.Errorf("%s does not exist: a distribution is core, the name of a folder in distributions/, "+
			"or the path of a builder manifest", file)
	}
	if err != nil {
		return manifest{}, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var m manifest
	if err := dec.Decode(&m); err != nil {
		return manifest{}, fmt.Errorf("%s is not a builder manifest: %w", file, err)
	}
	return m, nil
}

// needed is an entry without which the layer does not work.
type needed struct{ section, importPath, why string }

// neededModules are what main.go and the Lambda converter count on, whatever the configuration.
func neededModules() []needed {
	const core = "go.opentelemetry.io/collector/"
	return []needed{
		{"processors", treeModule + "/processor/decoupleprocessor", "the converter puts it into every pipeline"},
		{"exporters", core + "exporter/nopexporter", "for pipelines whose exporter has no endpoint"},
		{"connectors", core + "connector/forwardconnector", "for pipelines with several exporters"},
		{"extensions", treeModule + "/extension/lambdaextension", "registers with Lambda and flushes the pipelines"},
		{"telemetry", treeModule + "/internal/selftelemetry", "main.go uses it; the stock one adds 12 MB"},
		{"providers", core + "confmap/provider/envprovider", "main.go makes it the default"},
		{"providers", core + "confmap/provider/fileprovider", "the layer's configuration is a file"},
		{"converters", treeModule + "/confmap/converter/lambdaconverter", "makes any configuration fit for Lambda"},
	}
}

// problems says why no layer can be built from the manifest, and what to change. core is the manifest of the core
// distribution, whose entries are the ones to copy.
func (m manifest) problems(core manifest) error {
	var errs []error
	if missing := m.missing(core); missing != "" {
		errs = append(errs, errors.New("a layer's collector needs these as well; add them:\n"+missing))
	}
	const stockBatch = "go.opentelemetry.io/collector/processor/batchprocessor"
	if _, ok := m.find("processors", stockBatch); ok {
		errs = append(errs, fmt.Errorf("processors: %s keeps data back when Lambda freezes the environment; "+
			"list the one that is emptied before, in its place:\n%s",
			stockBatch, core.yaml("processors", treeModule+"/processor/batchprocessor")))
	}
	if len(m.Converters) > 1 {
		errs = append(errs, errors.New("converters: main.go runs the Lambda converter alone; take the others out"))
	}
	if scheme := m.ConfResolver.DefaultURIScheme; scheme != "" && scheme != "env" {
		errs = append(errs, errors.New("conf_resolver: main.go makes env the default scheme; take default_uri_scheme out"))
	}
	if m.Dist.CGOEnabled {
		errs = append(errs, errors.New("dist: a layer's programs use no cgo, so that they run on every base image; "+
			"take cgo_enabled out"))
	}
	for _, s := range m.sections() {
		for _, e := range s.modules {
			if len(strings.Fields(e.GoMod)) != 2 {
				errs = append(errs, fmt.Errorf("%s: `gomod: %s` is not a module and its version", s.key, e.GoMod))
			}
		}
	}
	return errors.Join(errs...)
}

// missing are the needed entries that the manifest lacks, as YAML to add.
func (m manifest) missing(core manifest) string {
	var text strings.Builder
	key := ""
	for _, n := range neededModules() {
		if _, ok := m.find(n.section, n.importPath); ok {
			continue
		}
		if n.section != key {
			key = n.section
			fmt.Fprintf(&text, "%s:\n", key)
		}
		fmt.Fprintf(&text, "  # %s\n%s", n.why, core.yaml(key, n.importPath))
	}
	return text.String()
}

// yaml is an entry as it stands in a manifest, without its section's key.
func (m manifest) yaml(key, importPath string) string {
	e, _ := m.find(key, importPath)
	indent, text := "  - ", "gomod: "+e.GoMod+"\n"
	if key == "telemetry" {
		indent = "  "
	}
	if e.Import != "" {
		text += strings.Repeat(" ", len(indent)) + "import: " + e.Import + "\n"
	}
	return indent + text
}

// forBuilder is the manifest that the builder gets to write the components of m into the folder dir.
func (m manifest) forBuilder(modulePath, dir string) manifest {
	m.Dist.Module, m.Dist.OutputPath = modulePath, dir
	// Paths and replacements are for go.mod, which is not the builder's here.
	for _, modules := range []*[]module{
		&m.Receivers, &m.Processors, &m.Exporters, &m.Connectors, &m.Extensions, &m.Providers, &m.Converters,
	} {
		*modules = slices.Clone(*modules)
		for i := range *modules {
			(*modules)[i].Path = ""
		}
	}
	m.Telemetry.Path = ""
	m.Replaces = nil
	return m
}

// goMod is the go.mod of a module in folder dir that requires what m lists, and nothing else yet. file is where m was read
// from, and root is this tree; all three are absolute.
func (m manifest) goMod(modulePath, file, root, dir string) (string, error) {
	base := filepath.Dir(file)
	requires := map[string]bool{}
	replaces := map[string]bool{treeModule + " => " + relative(dir, root): true}
	for _, s := range m.sections() {
		for _, e := range s.modules {
			requires[e.GoMod] = true
			if e.Path != "" {
				replaces[e.modulePath()+" => "+relative(dir, join(base, e.Path))] = true
			}
		}
	}
	// The builder copies replacements into a go.mod in output_path, so that is what they are relative to.
	output := join(base, m.Dist.OutputPath)
	for _, r := range m.Replaces {
		from, to, ok := strings.Cut(r, "=>")
		from, to = strings.TrimSpace(from), strings.TrimSpace(to)
		if !ok {
			return "", fmt.Errorf("replaces: %q is not of the form MODULE => REPLACEMENT", r)
		}
		if first(strings.Fields(from)) == treeModule {
			continue
		}
		if strings.HasPrefix(to, "./") || strings.HasPrefix(to, "../") {
			to = relative(dir, join(output, to))
		}
		replaces[from+" => "+to] = true
	}
	var text strings.Builder
	// The go line is raised to the tree's by go mod tidy.
	fmt.Fprintf(&text, "module %s\n\ngo 1.25\n\n", modulePath)
	for _, directive := range []struct {
		word  string
		lines []string
	}{
		{"require", slices.Sorted(maps.Keys(requires))},
		{"replace", slices.Sorted(maps.Keys(replaces))},
		{"exclude", m.Excludes},
	} {
		if len(directive.lines) > 0 {
			fmt.Fprintf(&text, "%s (\n\t%s\n)\n\n", directive.word, strings.Join(directive.lines, "\n\t"))
		}
	}
	return text.String(), nil
}

func join(base, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(base, name)
}

// relative is the way from one absolute folder to another, as go.mod wants it.
func relative(from, to string) string {
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return to
	}
	rel = filepath.ToSlash(rel)
	if !strings.HasPrefix(rel, ".") {
		rel = "./" + rel
	}
	return rel
}

// goFlags is what GOFLAGS has to be for the build.
func (m manifest) goFlags() (string, error) {
	for _, value := range []string{m.Dist.BuildTags, m.Dist.Version} {
		if strings.ContainsAny(value, `"'\ `+"\t\n") {
			return "", fmt.Errorf("dist: %q has a space, a quote or a backslash", value)
		}
	}
	tags := strings.FieldsFunc(m.Dist.BuildTags, func(r rune) bool { return r == ',' })
	// Without it gRPC links golang.org/x/net/trace, which keeps every exported method of every type (6 MB).
	if !slices.Contains(tags, "grpcnotrace") {
		tags = append(tags, "grpcnotrace")
	}
	linker := "-s -w"
	if m.Dist.Version != "" {
		linker += " -X main.version=" + m.Dist.Version
	}
	return fmt.Sprintf("-trimpath -buildvcs=false -tags=%s \"-ldflags=%s\"", strings.Join(tags, ","), linker), nil
}

// providerPackages are the packages of the configuration providers.
func (m manifest) providerPackages() []string {
	var paths []string
	for _, p := range m.Providers {
		paths = append(paths, p.importPath())
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// moduleName says whether a name can be the last element of a module's path.
func moduleName(name string) bool {
	return name != "" && name == path.Base(name) && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".") &&
		strings.IndexFunc(name, func(r rune) bool {
			return !strings.ContainsRune("-._~", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) < 0
}
