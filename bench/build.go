// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are what is built for the measurements.
type programs struct {
	rawLayer, netHTTPLayer string
	// stockLayer has an extension that starts a stock Collector; empty if it is not needed.
	stockLayer string
	// idle is a function that does nothing, function the example that sends telemetry; empty if it is not needed.
	idle, function string
	layerzip       string
	// confine limits the CPU of another program.
	confine string
}

// floorFile is the name under which both floors register.
const floorFile = "floor"

// build compiles into dir, some programs only if they are needed.
func build(ctx context.Context, dir string, withFunction, withStock bool) (programs, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return programs{}, err
	}
	p := programs{
		rawLayer:     filepath.Join(dir, nameRaw),
		netHTTPLayer: filepath.Join(dir, nameNetHTTP),
		idle:         filepath.Join(dir, "idle"),
		layerzip:     filepath.Join(dir, "layerzip"),
		confine:      filepath.Join(dir, "confine"),
	}
	list := []struct{ folder, pkg, out string }{
		{".", "./bench/floors/raw", filepath.Join(p.rawLayer, "extensions", floorFile)},
		{".", "./bench/floors/nethttp", filepath.Join(p.netHTTPLayer, "extensions", floorFile)},
		{".", "./bench/floors/function", p.idle},
		{".", "./cmd/layerzip", p.layerzip},
		{".", "./bench/confine", p.confine},
	}
	if withFunction {
		p.function = filepath.Join(dir, "function", "bootstrap")
		list = append(list, struct{ folder, pkg, out string }{filepath.Join("examples", "functions", "go"), ".", p.function})
	}
	if withStock {
		p.stockLayer = filepath.Join(dir, nameStock)
		list = append(list, struct{ folder, pkg, out string }{
			".", "./bench/stock", filepath.Join(p.stockLayer, "extensions", nameStock),
		})
	}
	for _, b := range list {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", b.out, b.pkg)
		cmd.Dir = filepath.Join(root, b.folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return programs{}, fmt.Errorf("build %s: %w\n%s", filepath.Join(b.folder, b.pkg), err, out)
		}
	}
	return p, nil
}

// moduleRoot is where the sources are. They are not found by the program's own path: go run builds elsewhere.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("run it inside the repository: it compiles programs from there")
	}
	return filepath.Dir(file), nil
}

// zipSize packs a layer as `make layer` does, and returns the size of the zip in bytes.
func (p programs) zipSize(ctx context.Context, layer, dir string) (float64, error) {
	out := filepath.Join(dir, "layer.zip")
	if text, err := exec.CommandContext(ctx, p.layerzip, "-o", out, "-C", layer).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("pack %s: %w\n%s", layer, err, text)
	}
	return fileSize(out)
}

func fileSize(path string) (float64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()), nil
}
