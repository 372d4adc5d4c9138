// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs is what the cells run.
type programs struct {
	// layer is the unpacked layer, function the program of the example function.
	layer, function string
	// fullTmp is the same layer with a /tmp of its own that is small; smallTmp says why there is none.
	fullTmp, noFullTmp string
}

// moduleRoot finds the folder of the repository: the program is run from somewhere within.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

const module = "github.com/otelcol-lambda/otelcol-lambda"

// build makes the layer and the function in dir.
func build(ctx context.Context, dir string, progress io.Writer) (programs, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return programs{}, err
	}
	overlay, err := writeOverlay(root, dir)
	if err != nil {
		return programs{}, err
	}
	p := programs{layer: filepath.Join(dir, "layer"), function: filepath.Join(dir, "function", "bootstrap")}
	guard := filepath.Join(p.layer, "extensions", "otelcol-lambda")
	collector := filepath.Join(p.layer, "otelcol-lambda", "collector")
	for _, b := range []struct {
		what, dir, pkg, out string
		more                []string
	}{
		{what: "the guard", dir: root, pkg: "./cmd/guard", out: guard},
		{
			what: "a collector with the faulty extension", dir: root, pkg: ".", out: collector,
			more: []string{"-tags", "grpcnotrace", "-overlay", overlay},
		},
		{what: "the example function", dir: filepath.Join(root, "examples", "functions", "go"), pkg: ".", out: p.function},
	} {
		fmt.Fprintln(progress, "building", b.what)
		args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", b.out}, b.more...)
		cmd := exec.CommandContext(ctx, "go", append(args, b.pkg)...)
		cmd.Dir = b.dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return programs{}, fmt.Errorf("%s in %s: %w\n%s", cmd, b.dir, err, out)
		}
	}
	if err := probeTmp(ctx, dir); err != nil {
		p.noFullTmp = err.Error()
		return p, nil
	}
	p.fullTmp = filepath.Join(dir, "layer-tmp")
	return p, wrapGuard(p.fullTmp, guard, collector)
}

// writeOverlay writes the file for `go build -overlay` that replaces components.go.
func writeOverlay(root, dir string) (path string, err error) {
	original := filepath.Join(root, "components.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	changed, err := addFactory(source)
	if err != nil {
		return "", fmt.Errorf("%s: %w", original, err)
	}
	replacement := filepath.Join(dir, "components.go")
	if err := os.WriteFile(replacement, changed, 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: replacement}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// addFactory adds the faulty extension to the source of components.go.
func addFactory(source []byte) ([]byte, error) {
	for _, insertion := range []struct{ after, line string }{
		{"import (\n", "\tfaultyextension \"" + module + "/test/faults/faultyextension\"\n"},
		{"otelcol.MakeFactoryMap[extension.Factory](\n", "\t\tfaultyextension.NewFactory(),\n"},
	} {
		if n := bytes.Count(source, []byte(insertion.after)); n != 1 {
			return nil, fmt.Errorf("%q is there %d times and not once: addFactory has to follow the builder's output",
				strings.TrimSpace(insertion.after), n)
		}
		source = bytes.Replace(source, []byte(insertion.after), []byte(insertion.after+insertion.line), 1)
	}
	return source, nil
}

// The layer's processes get a mount namespace in which /tmp is small, and none of the machine's. 64 kB is nothing to
// fill and enough to see that it can be written to before.
const smallTmp = "mount -t tmpfs -o size=64k tmpfs /tmp"

// probeTmp tells why there cannot be such a namespace.
func probeTmp(ctx context.Context, dir string) error {
	if strings.HasPrefix(dir+"/", "/tmp/") {
		return errors.New("the programs are below /tmp themselves")
	}
	out, err := exec.CommandContext(ctx, "unshare", "-m", "/bin/sh", "-c", smallTmp).CombinedOutput()
	if err != nil {
		return fmt.Errorf("no mount namespace: %w %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// wrapGuard makes a layer whose extension is a script that becomes the guard, with the same process id and name.
func wrapGuard(layer, guard, collector string) error {
	inside := filepath.Join(layer, "guard", filepath.Base(guard)) // finds its layer one folder up
	script := filepath.Join(layer, "extensions", filepath.Base(guard))
	target := filepath.Join(layer, "otelcol-lambda", filepath.Base(collector))
	for _, path := range []string{inside, script, target} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Link(guard, inside), os.Link(collector, target)); err != nil {
		return err
	}
	text := "#!/bin/sh\nexec unshare -m /bin/sh -c '" + smallTmp + " && exec \"$0\"' " + inside + "\n"
	return os.WriteFile(script, []byte(text), 0o755) //nolint:gosec // a program
}
