// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	modeExecutable = 0o755
	modePlain      = 0o644
)

// entry is a file to pack.
type entry struct {
	name string // in the zip
	file string // on disk
	mode fs.FileMode
}

// entriesOfArgs reads arguments of the form PATH_IN_ZIP=FILE[:MODE].
func entriesOfArgs(args []string) ([]entry, error) {
	var entries []entry
	for _, arg := range args {
		name, file, ok := strings.Cut(arg, "=")
		if !ok || file == "" {
			return nil, fmt.Errorf("%q is not of the form PATH_IN_ZIP=FILE[:MODE]", arg)
		}
		e := entry{name: name, file: file}
		if i := strings.LastIndexByte(file, ':'); i >= 0 {
			mode, err := strconv.ParseUint(file[i+1:], 8, 32)
			if err != nil || (mode != modeExecutable && mode != modePlain) {
				return nil, fmt.Errorf("%q: mode %q is neither 0755 nor 0644", arg, file[i+1:])
			}
			e.file, e.mode = file[:i], fs.FileMode(mode)
		}
		if err := e.stat(); err != nil {
			return nil, fmt.Errorf("%q: %w", arg, err)
		}
		entries = append(entries, e)
	}
	return sorted(entries)
}

// entriesOfDir returns every file under a directory. Symbolic links are followed when they lead to a file: a layer is to
// hold what they mean.
func entriesOfDir(dir string) ([]entry, error) {
	var entries []entry
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		e := entry{name: filepath.ToSlash(rel), file: file}
		if err := e.stat(); err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("pack directory: %w", err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("directory %s has no files", dir)
	}
	return sorted(entries)
}

// stat checks that the entry can be packed and finds its mode when none was asked for.
func (e *entry) stat() error {
	info, err := os.Stat(e.file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", e.file)
	}
	if e.mode == 0 {
		e.mode = modePlain
		if info.Mode()&0o111 != 0 {
			e.mode = modeExecutable
		}
	}
	return nil
}

// sorted orders the entries and refuses names that could not be unpacked below /opt, where Lambda puts layers.
func sorted(entries []entry) ([]entry, error) {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i, e := range entries {
		if err := checkName(e.name); err != nil {
			return nil, err
		}
		if i > 0 && entries[i-1].name == e.name {
			return nil, fmt.Errorf("%q is given twice: by %s and by %s", e.name, entries[i-1].file, e.file)
		}
	}
	// Names in between may sort between a file and what lies "in" it, so a comparison of neighbours is not enough.
	files := map[string]bool{}
	for _, e := range entries {
		files[e.name] = true
	}
	for _, e := range entries {
		for dir := path.Dir(e.name); dir != "."; dir = path.Dir(dir) {
			if files[dir] {
				return nil, fmt.Errorf("%q is a file and cannot hold %q", dir, e.name)
			}
		}
	}
	return entries, nil
}

func checkName(name string) error {
	var err error
	switch {
	case name == "":
		err = errors.New("is empty")
	case strings.Contains(name, `\`):
		err = errors.New(`has a backslash: separate folders with "/"`)
	case path.IsAbs(name):
		err = errors.New("is absolute: names are relative to /opt")
	case !fs.ValidPath(name) || name == ".":
		err = errors.New(`is not a plain relative path, without "." and ".." and doubled or trailing "/"`)
	default:
		return nil
	}
	return fmt.Errorf("name %q %w", name, err)
}
