// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// size is what a packed file takes.
type size struct {
	name             string
	zipped, unzipped uint64
}

// writeFile writes the zip beside its destination first, so that a failure leaves no half of one. It returns the size of
// the whole file in bytes as well.
func writeFile(out string, entries []entry) (sizes []size, total int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if sizes, err = write(f, entries); err != nil {
		return nil, 0, err
	}
	if total, err = f.Seek(0, io.SeekCurrent); err != nil {
		return nil, 0, err
	}
	// CreateTemp makes files for the user alone.
	if err = f.Chmod(modePlain); err != nil {
		return nil, 0, err
	}
	if err = os.Rename(f.Name(), out); err != nil {
		return nil, 0, err
	}
	return sizes, total, f.Close()
}

func write(w io.Writer, entries []entry) ([]size, error) {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	headers := make([]*zip.FileHeader, 0, len(entries))
	for _, e := range entries {
		h, err := add(z, e)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
		headers = append(headers, h)
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sizes := make([]size, 0, len(headers))
	for _, h := range headers { // complete only now
		sizes = append(sizes, size{h.Name, h.CompressedSize64, h.UncompressedSize64})
	}
	return sizes, nil
}

func add(z *zip.Writer, e entry) (*zip.FileHeader, error) {
	// 1980 is the earliest a zip can hold.
	date := time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)
	h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: date}
	h.SetMode(e.mode) // makes Unix the creator, without which Lambda would not see the mode
	w, err := z.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(e.file)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(w, f)
	return h, errors.Join(err, f.Close())
}
