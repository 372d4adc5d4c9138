// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxLayerBytes is what Lambda allows a function and its layers to have, unzipped.
const maxLayerBytes = 250 << 20

// openLayer returns the folder of a layer, which it unpacks into a temporary one if it is a zip.
func openLayer(path string) (dir string, remove func(), err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, fmt.Errorf("open layer: %w", err)
	}
	if info.IsDir() {
		return path, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "lambdasim-layer-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the layer: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	if err := unzip(path, dir); err != nil {
		remove()
		return "", nil, fmt.Errorf("unpack layer %s: %w", path, err)
	}
	return dir, remove, nil
}

func unzip(path, dir string) (err error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	root, err := os.OpenRoot(dir) // keeps entries such as ../x inside
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	var total uint64
	for _, file := range archive.File {
		if total += file.UncompressedSize64; total > maxLayerBytes {
			return fmt.Errorf("it holds more than the %d MB that Lambda allows", maxLayerBytes>>20)
		}
		if file.FileInfo().IsDir() {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(file.Name)), 0o755); err != nil {
			return err
		}
		if err := extract(root, file); err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	return nil
}

func extract(root *os.Root, file *zip.File) (err error) {
	in, err := file.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := root.OpenFile(filepath.FromSlash(file.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, file.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.CopyN(out, in, int64(file.UncompressedSize64)) //nolint:gosec // bounded by maxLayerBytes
	return err
}
