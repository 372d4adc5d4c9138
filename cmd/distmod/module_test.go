// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// acme is a distribution outside the tree: the core's components under another version.
type acme struct {
	root, folder, manifest string
	// builds counts the modules written.
	builds int
}

func newAcme(t *testing.T) *acme {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the collector builder and go mod tidy")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, manifestName))
	require.NoError(t, err)
	a := &acme{root: root, folder: t.TempDir()}
	a.manifest = filepath.Join(a.folder, "acme.yaml")
	a.write(t, string(text))
	a.replace(t, "version: "+coreManifest(t).Dist.Version, "version: 7.8.9")
	return a
}

// replace changes the manifest.
func (a *acme) replace(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(a.manifest)
	require.NoError(t, err)
	require.Contains(t, string(text), from)
	a.write(t, strings.Replace(string(text), from, to, 1))
}

// older has the manifest ask for an older version of the OTLP receiver than the tree needs.
func (a *acme) older(t *testing.T) (was string) {
	t.Helper()
	const receiver = "go.opentelemetry.io/collector/receiver/otlpreceiver"
	entry, ok := coreManifest(t).find("receivers", receiver)
	require.True(t, ok)
	a.replace(t, entry.GoMod, receiver+" "+olderReceiver)
	return entry.version()
}

const olderReceiver = "v0.160.0"

func (a *acme) write(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(a.manifest, []byte(text), 0o600))
}

// run runs distmod as the Makefile does, and returns the folder of the module and what was said.
func (a *acme) run(t *testing.T, flags ...string) (dir, said string, err error) {
	t.Helper()
	a.builds++
	dir = filepath.Join(a.folder, "build", strings.Repeat("x", a.builds))
	var stderr bytes.Buffer
	d := distribution{root: a.root, file: a.manifest, dir: dir, name: "acme", stderr: &stderr}
	d.builder = []string{"go", "tool", "-modfile=" + filepath.Join(a.root, "internal", "tools", "go.mod"), "builder"}
	err = d.write(t.Context(), slices.Contains(flags, "-lock"), slices.Contains(flags, "-check"))
	return dir, stderr.String(), err
}

// The components are the manifest's and the program is this tree's, which imports internal packages.
func TestModuleBuilds(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	dir, _, err := a.run(t)
	require.NoError(t, err)

	for _, name := range []string{"main.go", "lambda.go", "environment.go"} {
		want, err := os.ReadFile(filepath.Join(a.root, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), name)
	}
	goFiles, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	ours, err := filepath.Glob(filepath.Join(a.root, "*.go"))
	require.NoError(t, err)
	ours = slices.DeleteFunc(ours, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	require.Len(t, goFiles, len(ours), "those of this tree, and components.go")

	goFlags, err := os.ReadFile(filepath.Join(dir, flagsName))
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "collector")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(string(goFlags)), "GOWORK=off", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), program, "--version").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "7.8.9")
}

func TestLock(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	_, _, err := a.run(t, "-lock")
	require.NoError(t, err)
	goMod := filepath.Join(a.folder, "go.mod")
	locked, err := os.ReadFile(goMod)
	require.NoError(t, err)
	tree, err := filepath.Rel(a.folder, a.root)
	require.NoError(t, err)
	require.Contains(t, string(locked), "module "+treeModule+"/distributions/acme\n")
	require.Contains(t, string(locked), treeModule+" => "+tree+"\n")

	_, _, err = a.run(t, "-check")
	require.NoError(t, err)
	dir, _, err := a.run(t)
	require.NoError(t, err)
	used, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	require.NoError(t, err)
	sum, err := os.ReadFile(filepath.Join(a.folder, "go.sum"))
	require.NoError(t, err)
	require.Equal(t, string(sum), string(used))

	t.Run("stale", func(t *testing.T) {
		require.NoError(t, os.WriteFile(goMod, append(locked, "// more\n"...), 0o600))
		_, _, err := a.run(t, "-check")
		require.ErrorContains(t, err, "go.mod is stale: run `make lock DIST=acme`")
	})
	t.Run("incomplete", func(t *testing.T) {
		require.NoError(t, os.WriteFile(goMod, locked, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(a.folder, "go.sum"), nil, 0o600))
		_, _, err := a.run(t)
		require.ErrorContains(t, err, "does not fit the tree; run `make lock DIST=acme`")
	})
	t.Run("of other versions", func(t *testing.T) {
		was := a.older(t)
		_, _, err := a.run(t)
		require.ErrorContains(t, err, "otlpreceiver is "+olderReceiver+" in the manifest and "+was+" in go.mod")
	})
}

// Somebody's go.mod beside the manifest has nothing to do with it, and is left as it is.
func TestGoModOfAnotherModule(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	was := a.older(t)
	goMod := filepath.Join(a.folder, "go.mod")
	const other = "module example.com/acme\n"
	require.NoError(t, os.WriteFile(goMod, []byte(other), 0o600))

	_, said, err := a.run(t)
	require.NoError(t, err)
	require.Contains(t, said, "note: receivers: go.opentelemetry.io/collector/receiver/otlpreceiver is "+olderReceiver+
		" in the manifest and "+was+" in go.mod")
	_, _, err = a.run(t, "-lock")
	require.ErrorContains(t, err, "give the manifest a folder of its own")
	got, err := os.ReadFile(goMod)
	require.NoError(t, err)
	require.Equal(t, other, string(got))
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no manifest":        {[]string{"-name", "acme", "-o", "d", "--", "builder"}, "-manifest, -name and -o are needed"},
		"no builder":         {[]string{"-manifest", "f", "-name", "acme", "-o", "d"}, "the builder's command is missing"},
		"lock and check":     {[]string{"-manifest", "f", "-name", "acme", "-o", "d", "-lock", "-check", "--", "b"}, "exclude each other"},
		"a name with spaces": {[]string{"-manifest", "f", "-name", "a b", "-o", "d", "--", "b"}, "cannot be a distribution's name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, run(t.Context(), tt.args, &bytes.Buffer{}), tt.want)
		})
	}
}

// A builder that fails is heard.
func TestBuilderFails(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	dir := filepath.Join(a.folder, "build")
	d := distribution{root: a.root, file: a.manifest, dir: dir, name: "acme", builder: []string{"ls", "--no-such-flag"}}
	require.ErrorContains(t, d.generate(t.Context()), "no-such-flag")
	require.ErrorContains(t, d.generate(t.Context()), "exist", "what is there already is not written over")
}
