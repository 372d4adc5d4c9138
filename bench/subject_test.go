// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func newLayer(t *testing.T, files ...string) string {
	t.Helper()
	layer := t.TempDir()
	for _, file := range files {
		path := filepath.Join(layer, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	}
	return layer
}

func TestSubject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files                    []string
		collector                bool
		guardFile, collectorFile string
	}{
		"guard and collector": {[]string{extensionPath, collectorPath, configPath}, true, extensionPath, collectorPath},
		"collector alone":     {[]string{"extensions/collector", configPath}, true, "", "extensions/collector"},
		"no collector":        {[]string{"extensions/floor"}, false, "extensions/floor", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layer := newLayer(t, c.files...)
			s, err := newSubject("name", layer)
			require.NoError(t, err)
			require.Equal(t, c.collector, s.collector)
			guard, collector := s.files()
			require.Equal(t, c.guardFile, strings.TrimPrefix(guard, layer+"/"))
			require.Equal(t, c.collectorFile, strings.TrimPrefix(collector, layer+"/"))
		})
	}
}

func TestSubjectThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := newSubject("name", filepath.Join(t.TempDir(), "absent"))
	require.ErrorContains(t, err, "make layer")

	_, err = newSubject("name", newLayer(t, "extensions/one", "extensions/two"))
	require.ErrorContains(t, err, "has 2 entries")
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	floor := newLayer(t, "extensions/floor")
	p := programs{rawLayer: floor, netHTTPLayer: floor}
	layer := newLayer(t, extensionPath, collectorPath, configPath)
	for name, c := range map[string]struct {
		set   settings
		names []string
		says  string
	}{
		"floors only": {settings{}, []string{nameRaw, nameNetHTTP}, ""},
		"all": {
			settings{layer: layer, compare: []string{"before=" + layer}},
			[]string{nameLayer, nameCollector, nameRaw, nameNetHTTP, "before"}, "",
		},
		"no name":     {settings{compare: []string{layer}}, nil, "is not NAME=FOLDER"},
		"name twice":  {settings{compare: []string{nameRaw + "=" + layer}}, nil, "there is a subject of that name"},
		"not a layer": {settings{compare: []string{"x=" + t.TempDir()}}, nil, "x: there is no layer in"},
		"no guard":    {settings{layer: newLayer(t, extensionPath, configPath)}, nil, "take the collector out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := c.set.subjects(t.Context(), t.TempDir(), p)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				return
			}
			require.NoError(t, err)
			var names []string
			for _, s := range list {
				names = append(names, s.name)
				require.Equal(t, s.name == nameLayer, s.budgeted)
			}
			require.Equal(t, c.names, names)
		})
	}
}

func TestUnguard(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "alone")
	require.NoError(t, unguard(newLayer(t, extensionPath, collectorPath, configPath), to))
	program, err := os.ReadFile(filepath.Join(to, extensionPath))
	require.NoError(t, err)
	require.Equal(t, collectorPath, string(program))
	require.NoFileExists(t, filepath.Join(to, collectorPath))
	require.FileExists(t, filepath.Join(to, configPath))
}
