// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func committedComponents(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "components.go"))
	require.NoError(t, err)
	return string(source)
}

func TestAddFactoryToTheCommittedComponents(t *testing.T) {
	original := committedComponents(t)
	changed, err := addFactory([]byte(original))
	require.NoError(t, err)
	_, err = parser.ParseFile(token.NewFileSet(), "components.go", changed, 0)
	require.NoError(t, err)

	var added []string
	rest := strings.Split(original, "\n")
	for line := range strings.SplitSeq(string(changed), "\n") {
		if len(rest) > 0 && line == rest[0] {
			rest = rest[1:]
			continue
		}
		added = append(added, strings.TrimSpace(line))
	}
	require.Empty(t, rest, "nothing is taken away")
	require.Equal(t, []string{
		`faultyextension "github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"`,
		"faultyextension.NewFactory(),",
	}, added)
}

func TestAddFactoryFailsLoudly(t *testing.T) {
	original := committedComponents(t)
	for name, source := range map[string]string{
		"empty":           "",
		"another form":    strings.Replace(original, "otelcol.MakeFactoryMap[extension.Factory](", "otelcol.Map(", 1),
		"two of them":     original + original,
		"a single import": strings.Replace(original, "import (\n", "import \"os\"\n", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := addFactory([]byte(source))
			require.ErrorContains(t, err, "addFactory has to follow the builder's output")
		})
	}
}

func TestWrapGuard(t *testing.T) {
	dir := t.TempDir()
	guard, collector := filepath.Join(dir, "otelcol-lambda"), filepath.Join(dir, "collector")
	require.NoError(t, os.WriteFile(guard, []byte("guard"), 0o600))
	require.NoError(t, os.WriteFile(collector, []byte("collector"), 0o600))
	layer := filepath.Join(dir, "layer")
	require.NoError(t, wrapGuard(layer, guard, collector))
	entries, err := os.ReadDir(filepath.Join(layer, "extensions"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "Lambda starts everything that is there")
	content, err := os.ReadFile(filepath.Join(layer, "extensions", "otelcol-lambda"))
	require.NoError(t, err)
	require.Contains(t, string(content), filepath.Join(layer, "guard", "otelcol-lambda"))
	require.FileExists(t, filepath.Join(layer, "otelcol-lambda", "collector"))
}
