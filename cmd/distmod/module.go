// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// manifestName is what the builder gets, and what the core distribution's manifest is called in the tree's root.
	manifestName = "builder-config.yaml"
	// flagsName is the file that says how to build the module.
	flagsName = "goflags"
)

// distribution is what to write, and from what.
type distribution struct {
	// root is this tree, file the manifest, dir the folder to write.
	root, file, dir string
	// name is the last element of the module's path.
	name    string
	builder []string
	stderr  io.Writer

	manifest manifest
}

// write writes the module. With lock or check, go.mod and go.sum beside the manifest are written or compared as well.
func (d *distribution) write(ctx context.Context, lock, check bool) error {
	if err := d.generate(ctx); err != nil {
		return err
	}
	switch {
	case lock:
		return d.lock(ctx)
	case check:
		return d.check(ctx)
	default:
		return d.resolve(ctx)
	}
}

// modulePath lies below the tree's, because that is what lets the main program import the tree's internal packages.
func (d *distribution) modulePath() string { return treeModule + "/distributions/" + d.name }

// generate writes the module's sources, and a go.mod that requires what the manifest lists.
func (d *distribution) generate(ctx context.Context) error {
	if !moduleName(d.name) {
		return fmt.Errorf("%q cannot be a distribution's name: it becomes part of a module's path, which takes "+
			"letters, digits and -._~", d.name)
	}
	if err := d.load(); err != nil {
		return err
	}
	goMod, err := d.manifest.goMod(d.modulePath(), d.file, d.root, d.dir)
	if err != nil {
		return err
	}
	goFlags, err := d.manifest.goFlags()
	if err != nil {
		return err
	}
	forBuilder, err := yaml.Marshal(d.manifest.forBuilder(d.modulePath(), d.dir))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"go.mod": goMod, flagsName: goFlags + "\n", manifestName: string(forBuilder),
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := d.runBuilder(ctx); err != nil {
		return err
	}
	return d.replaceMain()
}

func (d *distribution) load() error {
	for _, name := range []*string{&d.root, &d.file, &d.dir} {
		abs, err := filepath.Abs(*name)
		if err != nil {
			return err
		}
		*name = abs
	}
	core, err := loadManifest(filepath.Join(d.root, manifestName))
	if err != nil {
		return err
	}
	if d.manifest, err = loadManifest(d.file); err != nil {
		return err
	}
	if err := d.manifest.problems(core); err != nil {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	return nil
}

// runBuilder has the builder write components.go, and a main program that nobody needs.
func (d *distribution) runBuilder(ctx context.Context) error {
	args := slices.Concat(d.builder[1:],
		[]string{"--config", filepath.Join(d.dir, manifestName), "--skip-compilation", "--skip-get-modules"})
	cmd := exec.CommandContext(ctx, d.builder[0], args...)
	cmd.Dir = d.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the builder failed: %w\n%s", err, out)
	}
	return nil
}

// replaceMain puts the main program of the tree in the place of the builder's.
func (d *distribution) replaceMain() error {
	written, err := filepath.Glob(filepath.Join(d.dir, "main*.go"))
	if err != nil {
		return err
	}
	for _, file := range written {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	sources, err := filepath.Glob(filepath.Join(d.root, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range sources {
		name := filepath.Base(file)
		if name == "components.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if name == "main.go" {
			if text, err = withProviders(text, d.manifest.providerPackages()); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// locked says whether go.mod beside the manifest is that of the distribution. The error is that it is another module's.
func (d *distribution) locked(ctx context.Context) (bool, error) {
	beside := filepath.Join(filepath.Dir(d.file), "go.mod")
	if _, err := os.Stat(beside); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	mod, err := d.readGoMod(ctx, beside)
	if err != nil {
		return false, err
	}
	if mod.Module.Path != d.modulePath() {
		return false, fmt.Errorf("%s is that of %s: %w", beside, mod.Module.Path, errOtherModule)
	}
	return true, nil
}

var errOtherModule = errors.New("another module's")

// resolve completes go.mod and go.sum: with those beside the manifest if they are there, otherwise anew.
func (d *distribution) resolve(ctx context.Context) error {
	switch locked, err := d.locked(ctx); {
	case err != nil && !errors.Is(err, errOtherModule):
		return err
	case !locked:
		return d.resolveAnew(ctx)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(d.file), name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), text, 0o644); err != nil {
			return err
		}
	}
	if err := d.pointTo(ctx, filepath.Join(d.dir, "go.mod"), d.dir); err != nil {
		return err
	}
	differences, err := d.differences(ctx)
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		return fmt.Errorf("%s and go.mod beside it differ; %s:\n%s", d.file, d.howToLock(), strings.Join(differences, "\n"))
	}
	if _, err := d.goCommand(ctx, "list", "-deps", "."); err != nil {
		return fmt.Errorf("go.mod beside %s does not fit the tree; %s: %w", d.file, d.howToLock(), err)
	}
	return nil
}

func (d *distribution) howToLock() string { return "run `make lock DIST=" + d.name + "`" }

// resolveAnew finds the versions of everything that the manifest does not name, and says where one that it does name
// could not be kept.
func (d *distribution) resolveAnew(ctx context.Context) error {
	if _, err := d.goCommand(ctx, "mod", "tidy"); err != nil {
		return fmt.Errorf("resolve the modules of %s: %w", d.file, err)
	}
	differences, err := d.differences(ctx)
	for _, line := range differences {
		fmt.Fprintln(d.stderr, "distmod: note:", line)
	}
	return err
}

// differences are the modules that go.mod has in another version than the manifest.
func (d *distribution) differences(ctx context.Context) ([]string, error) {
	mod, err := d.readGoMod(ctx, filepath.Join(d.dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, s := range d.manifest.sections() {
		for _, e := range s.modules {
			want, got := e.version(), mod.version(e.modulePath())
			if e.modulePath() != treeModule && got != want {
				lines = append(lines, fmt.Sprintf("%s: %s is %s in the manifest and %s in go.mod",
					s.key, e.modulePath(), want, cmp.Or(got, "missing")))
			}
		}
	}
	return lines, nil
}

// lock resolves anew and writes go.mod and go.sum beside the manifest.
func (d *distribution) lock(ctx context.Context) error {
	if _, err := d.locked(ctx); err != nil {
		return fmt.Errorf("%w; give the manifest a folder of its own", err)
	}
	files, err := d.lockFiles(ctx)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(filepath.Dir(d.file), name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// check fails if lock would change anything.
func (d *distribution) check(ctx context.Context) error {
	files, err := d.lockFiles(ctx)
	if err != nil {
		return err
	}
	for name, text := range files {
		beside := filepath.Join(filepath.Dir(d.file), name)
		got, err := os.ReadFile(beside)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, text) {
			return fmt.Errorf("%s is stale: %s", beside, d.howToLock())
		}
	}
	return nil
}

// lockFiles resolves anew and returns go.mod and go.sum as they have to be beside the manifest.
func (d *distribution) lockFiles(ctx context.Context) (map[string][]byte, error) {
	if err := d.resolveAnew(ctx); err != nil {
		return nil, err
	}
	goMod := filepath.Join(d.dir, "go.mod")
	if err := d.pointTo(ctx, goMod, filepath.Dir(d.file)); err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(goMod)
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(d.dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	const header = "// The versions of everything that goes into a distribution. The rest of the module is generated.\n" +
		"// Written by `make lock`; do not run go mod tidy here.\n"
	return map[string][]byte{"go.mod": append([]byte(header), mod...), "go.sum": sum}, nil
}

// pointTo has a go.mod that lies in a folder find the tree.
func (d *distribution) pointTo(ctx context.Context, goMod, folder string) error {
	_, err := d.goCommand(ctx, "mod", "edit", "-replace="+treeModule+"="+relative(folder, d.root), goMod)
	return err
}

// goModFile is what is of interest in a go.mod.
type goModFile struct {
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
}

func (f goModFile) version(modulePath string) string {
	for _, r := range f.Require {
		if r.Path == modulePath {
			return r.Version
		}
	}
	return ""
}

func (d *distribution) readGoMod(ctx context.Context, file string) (goModFile, error) {
	out, err := d.goCommand(ctx, "mod", "edit", "-json", file)
	if err != nil {
		return goModFile{}, err
	}
	var mod goModFile
	err = json.Unmarshal(out, &mod)
	return mod, err
}

// goCommand runs go in the module. What it says on stderr is the error's text, and shown as it comes.
func (d *distribution) goCommand(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, d.stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return stdout.Bytes(), nil
}
