// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// evictTime is how long the kernel may take to let go of a file: pages that a process which is just ending has mapped
	// stay for a moment.
	evictTime = 2 * time.Second
	evictPoll = 5 * time.Millisecond
)

// errResident says that the page cache cannot be emptied of a file.
var errResident = errors.New("the file system does not let go of")

// layerFiles are all files of a layer.
func layerFiles(layer string) (files []string, err error) {
	err = filepath.WalkDir(layer, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// evict takes the files of a layer out of the page cache and makes sure that they are gone. The error is errResident
// where that is not possible, as with files in memory.
func evict(ctx context.Context, layer string) error {
	files, err := layerFiles(layer)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := evictFile(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

func evictFile(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	// Pages that are to be written yet are not dropped.
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	deadline := time.Now().Add(evictTime)
	for {
		if err := dropPages(file); err != nil {
			return fmt.Errorf("drop the pages of %s: %w", path, err)
		}
		resident, pages, err := residentPages(file)
		switch {
		case err != nil:
			return fmt.Errorf("look for the pages of %s: %w", path, err)
		case resident == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w %d of %d pages of %s", errResident, resident, pages, path)
		}
		if err := sleep(ctx, evictPoll); err != nil {
			return err
		}
	}
}

// prefetch reads all files of a layer, so that they are in the page cache as a whole.
func prefetch(layer string) error {
	files, err := layerFiles(layer)
	if err != nil {
		return err
	}
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}
