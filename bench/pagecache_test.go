// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLayerFiles(t *testing.T) {
	t.Parallel()
	layer := newLayer(t, extensionPath, configPath)
	require.NoError(t, os.Symlink("nowhere", filepath.Join(layer, "link")))
	files, err := layerFiles(layer)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(layer, configPath), filepath.Join(layer, extensionPath)}, files)

	_, err = layerFiles(filepath.Join(layer, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPageCache(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no mincore")
	}
	t.Parallel()
	layer := t.TempDir()
	file := filepath.Join(layer, "program")
	const pages = 5
	require.NoError(t, os.WriteFile(file, make([]byte, pages*os.Getpagesize()-1), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(layer, "empty"), nil, 0o600))
	resident := func() int {
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		n, of, err := residentPages(f)
		require.NoError(t, err)
		require.Equal(t, pages, of)
		return n
	}
	require.Equal(t, pages, resident(), "it has just been written")

	err := evict(t.Context(), layer)
	if errors.Is(err, errResident) {
		require.ErrorContains(t, err, "5 of 5 pages of "+file)
		t.Skip("this file system is in memory")
	}
	require.NoError(t, err)
	require.Zero(t, resident())

	require.NoError(t, prefetch(layer))
	require.Equal(t, pages, resident())
}

func TestPageCacheOfNothing(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent")
	require.ErrorIs(t, evict(t.Context(), absent), os.ErrNotExist)
	require.ErrorIs(t, prefetch(absent), os.ErrNotExist)
}
