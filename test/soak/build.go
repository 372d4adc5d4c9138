// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/otelcol-lambda/otelcol-lambda"

// programs is what the environments run.
type programs struct {
	// layer is the unpacked layer, function the program of the soak's function.
	layer, function string
}

// build makes the function in dir, and the layer unless there is one.
func build(ctx context.Context, dir, layer string, progress io.Writer) (programs, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return programs{}, fmt.Errorf("find the repository: %w", err)
	}
	root := strings.TrimSpace(string(out))
	p := programs{layer: layer, function: filepath.Join(dir, "function", "bootstrap")}
	targets := [][2]string{{"./test/soak/function", p.function}}
	if layer == "" {
		p.layer = filepath.Join(dir, "layer")
		targets = append(targets,
			[2]string{"./cmd/guard", filepath.Join(p.layer, "extensions", "otelcol-lambda")},
			[2]string{".", filepath.Join(p.layer, "otelcol-lambda", "collector")})
	}
	for _, t := range targets {
		_, _ = fmt.Fprintln(progress, "building", t[0])
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
			"-tags", "grpcnotrace", "-o", t[1], t[0])
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return programs{}, fmt.Errorf("%s in %s: %w\n%s", cmd, root, err, out)
		}
	}
	// The simulator wants an absolute path.
	p.layer, err = filepath.Abs(p.layer)
	return p, err
}
