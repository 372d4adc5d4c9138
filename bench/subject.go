// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// stockConfig is what a stock Collector does with what it is sent: batches, and OTLP over HTTP to the backend.
//
//go:embed stock/config.yaml
var stockConfig string

// The names of the subjects that are always there. They are keys of the JSON as well.
const (
	nameLayer     = "guard+collector"
	nameCollector = "collector"
	nameRaw       = "floor-raw"
	nameNetHTTP   = "floor-nethttp"
	// nameStock is there under load, if its program is given.
	nameStock = "stock"
)

// Where a layer of ours has its parts.
const (
	extensionPath = "extensions/otelcol-lambda"
	collectorPath = "otelcol-lambda/collector"
	configPath    = "collector-config/config.yaml"
)

// subject is a layer that is measured.
type subject struct {
	name  string
	layer string
	// extension is the program that Lambda starts.
	extension string
	// collector says that there is one, which listens for OTLP.
	collector bool
	// budgeted says that the budgets are meant for this one.
	budgeted bool
}

// newSubject takes a layer in which there is one extension.
func newSubject(name, layer string) (subject, error) {
	s := subject{name: name, layer: layer}
	entries, err := os.ReadDir(filepath.Join(layer, "extensions"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("there is no layer in %s: run `make layer`, and give its folder, such as build/layer-%s",
			layer, runtime.GOARCH)
	}
	if err != nil {
		return s, err
	}
	if len(entries) != 1 || entries[0].IsDir() {
		return s, fmt.Errorf("%s has %d entries: one extension at a time can be measured",
			filepath.Join(layer, "extensions"), len(entries))
	}
	s.extension = filepath.Join(layer, "extensions", entries[0].Name())
	// Those that are not collectors have no configuration there; this layer and the one it replaces do.
	s.collector = exists(filepath.Join(layer, filepath.Dir(configPath)))
	return s, nil
}

// files returns the programs behind the figures: the guard, empty if the extension is the collector itself, and the
// collector, empty if there is none.
func (s subject) files() (guard, collector string) {
	behind := filepath.Join(s.layer, collectorPath)
	switch {
	case exists(behind):
		return s.extension, behind
	case s.collector:
		return "", s.extension
	}
	return s.extension, ""
}

// loaded reports whether it is measured under load. The collector alone is the one behind the guard; and a stock Collector
// is there for what spans cost, not to be judged by what it does with too many.
func (s subject) loaded(sustained bool) bool {
	return s.collector && s.name != nameCollector && (s.name != nameStock || !sustained)
}

// costed leaves out who is there under load only.
func costed(list []subject) []subject {
	return slices.DeleteFunc(slices.Clone(list), func(s subject) bool { return s.name == nameStock })
}

// subjects prepares in dir all that is to be measured.
func (set settings) subjects(ctx context.Context, dir string, p programs) ([]subject, error) {
	var list []subject
	add := func(name, layer string) error {
		s, err := newSubject(name, layer)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, s)
		return nil
	}
	if set.layer != "" {
		if err := add(nameLayer, set.layer); err != nil {
			return nil, err
		}
		list[0].budgeted = true
		alone := filepath.Join(dir, nameCollector)
		if err := unguard(set.layer, alone); err != nil {
			return nil, fmt.Errorf("take the collector out of the layer: %w", err)
		}
		if err := add(nameCollector, alone); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(add(nameRaw, p.rawLayer), add(nameNetHTTP, p.netHTTPLayer)); err != nil {
		return nil, err
	}
	if p.stockLayer != "" {
		if err := stockLayer(set.stock, p.stockLayer); err != nil {
			return nil, fmt.Errorf("-stock: %w", err)
		}
		if err := add(nameStock, p.stockLayer); err != nil {
			return nil, err
		}
	}
	for _, text := range set.compare {
		name, layer, ok := strings.Cut(text, "=")
		if !ok || name == "" || layer == "" {
			return nil, fmt.Errorf("-compare %q is not NAME=FOLDER", text)
		}
		for _, other := range list {
			if other.name == name {
				return nil, fmt.Errorf("-compare %q: there is a subject of that name", text)
			}
		}
		if err := add(name, layer); err != nil {
			return nil, err
		}
	}
	return list, ctx.Err()
}

// stockLayer adds to a layer that has an extension the Collector that it starts, and its configuration.
func stockLayer(program, layer string) error {
	target := filepath.Join(layer, collectorPath)
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if err := linkOrCopy(program, target); err != nil {
		return err
	}
	config := filepath.Join(layer, configPath)
	if err := os.MkdirAll(filepath.Dir(config), 0o750); err != nil {
		return err
	}
	return os.WriteFile(config, []byte(stockConfig), 0o600)
}

// unguard makes a layer whose extension is the collector of another.
func unguard(layer, to string) error {
	for from, path := range map[string]string{collectorPath: extensionPath, configPath: configPath} {
		target := filepath.Join(to, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		if err := linkOrCopy(filepath.Join(layer, from), target); err != nil {
			return err
		}
	}
	return nil
}

// linkOrCopy prefers a link, with which both layers share the page cache.
func linkOrCopy(from, to string) (err error) {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
