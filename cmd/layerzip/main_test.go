// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func writeTree(t *testing.T, files map[string]string, executable ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	for _, name := range executable {
		require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o700))
	}
	return dir
}

func readZip(t *testing.T, file string) (names []string, modes map[string]fs.FileMode, contents map[string]string) {
	t.Helper()
	r, err := zip.OpenReader(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	modes, contents = map[string]fs.FileMode{}, map[string]string{}
	for _, f := range r.File {
		names = append(names, f.Name)
		modes[f.Name] = f.Mode()
		require.Equal(t, time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), f.Modified.UTC())
		require.EqualValues(t, 3, f.CreatorVersion>>8, "made by Unix")
		in, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		contents[f.Name] = string(b)
	}
	return names, modes, contents
}

func TestDirectory(t *testing.T) {
	files := map[string]string{
		"extensions/otelcol-lambda":    strings.Repeat("binary ", 1000),
		"collector-config/config.yaml": "receivers:\n",
		"a.txt":                        "",
	}
	dir := writeTree(t, files, "extensions/otelcol-lambda")
	require.NoError(t, os.Symlink("a.txt", filepath.Join(dir, "link.txt")))
	out := filepath.Join(t.TempDir(), "layer.zip")

	var stdout bytes.Buffer
	require.NoError(t, run([]string{"-o", out, "-C", dir}, &stdout, io.Discard))

	names, modes, contents := readZip(t, out)
	require.Equal(t, []string{"a.txt", "collector-config/config.yaml", "extensions/otelcol-lambda", "link.txt"}, names)
	require.Equal(t, map[string]fs.FileMode{
		"a.txt": 0o644, "collector-config/config.yaml": 0o644, "extensions/otelcol-lambda": 0o755, "link.txt": 0o644,
	}, modes)
	files["link.txt"] = ""
	require.Equal(t, files, contents)

	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode().Perm())
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	require.Len(t, lines, 5)
	require.Regexp(t, `^ *\d+ +7000  extensions/otelcol-lambda$`, lines[2])
	require.Equal(t, []string{strconv.FormatInt(info.Size(), 10), "7011", "total,", out}, strings.Fields(lines[4]))
}

func TestArguments(t *testing.T) {
	dir := writeTree(t, map[string]string{"guard": "g", "config.yaml": "c"}, "guard")
	guard, config := filepath.Join(dir, "guard"), filepath.Join(dir, "config.yaml")
	out := filepath.Join(t.TempDir(), "layer.zip")
	require.NoError(t, run([]string{
		"-o", out, "z/plain=" + guard + ":0644", "extensions/guard=" + guard, "bin/script=" + config + ":755",
		"config.yaml=" + config,
	}, io.Discard, io.Discard))
	names, modes, contents := readZip(t, out)
	require.Equal(t, []string{"bin/script", "config.yaml", "extensions/guard", "z/plain"}, names)
	require.Equal(t, map[string]fs.FileMode{
		"z/plain": 0o644, "extensions/guard": 0o755, "bin/script": 0o755, "config.yaml": 0o644,
	}, modes)
	require.Equal(t, map[string]string{"z/plain": "g", "extensions/guard": "g", "bin/script": "c", "config.yaml": "c"},
		contents)
}

func TestSameInputSameBytes(t *testing.T) {
	noise := make([]byte, 300_000)
	_, err := rand.Read(noise)
	require.NoError(t, err)
	files := map[string]string{"b/run": string(noise), "a": strings.Repeat("text ", 50_000), "b/c/d": ""}
	var built [][]byte
	for i := range 3 {
		dir := writeTree(t, files, "b/run")
		for name := range files {
			when := time.Unix(1_600_000_000+int64(i)*86_400, 0)
			require.NoError(t, os.Chtimes(filepath.Join(dir, name), when, when))
		}
		args := []string{"-C", dir}
		if i == 2 { // the same, named one by one
			args = nil
			for name := range files {
				args = append(args, name+"="+filepath.Join(dir, name))
			}
		}
		out := filepath.Join(t.TempDir(), "layer.zip")
		require.NoError(t, run(append([]string{"-o", out}, args...), io.Discard, io.Discard))
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		built = append(built, b)
	}
	require.True(t, bytes.Equal(built[0], built[1]))
	require.True(t, bytes.Equal(built[0], built[2]))
	require.Less(t, len(built[0]), 310_000)
}

func TestErrors(t *testing.T) {
	dir := writeTree(t, map[string]string{"f": "x"})
	f := filepath.Join(dir, "f")
	empty := t.TempDir()
	broken := t.TempDir()
	require.NoError(t, os.Symlink("nowhere", filepath.Join(broken, "link")))
	out := filepath.Join(t.TempDir(), "layer.zip")

	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no output":         {[]string{"a=" + f}, "-o is missing"},
		"nothing":           {[]string{"-o", out}, "nothing to pack"},
		"both":              {[]string{"-o", out, "-C", dir, "a=" + f}, "exclude each other"},
		"unknown flag":      {[]string{"-x"}, "flag provided but not defined"},
		"no equals sign":    {[]string{"-o", out, "a"}, `"a" is not of the form PATH_IN_ZIP=FILE[:MODE]`},
		"no file name":      {[]string{"-o", out, "a="}, "is not of the form"},
		"missing file":      {[]string{"-o", out, "a=" + f + "no"}, "no such file or directory"},
		"directory as file": {[]string{"-o", out, "a=" + dir}, "is not a regular file"},
		"mode":              {[]string{"-o", out, "a=" + f + ":4755"}, `mode "4755" is neither 0755 nor 0644`},
		"mode not octal":    {[]string{"-o", out, "a=" + f + ":rwx"}, `mode "rwx" is neither 0755 nor 0644`},
		"duplicate":         {[]string{"-o", out, "a=" + f, "b=" + f, "a=" + f}, `"a" is given twice: by ` + f},
		"file as directory": {[]string{"-o", out, "a=" + f, "a.b=" + f, "a/b=" + f}, `"a" is a file and cannot hold "a/b"`},
		"absolute":          {[]string{"-o", out, "/a=" + f}, `name "/a" is absolute: names are relative to /opt`},
		"parent":            {[]string{"-o", out, "a/../../b=" + f}, `name "a/../../b" is not a plain relative path`},
		"dot":               {[]string{"-o", out, "./a=" + f}, "is not a plain relative path"},
		"only a dot":        {[]string{"-o", out, ".=" + f}, "is not a plain relative path"},
		"trailing slash":    {[]string{"-o", out, "a/=" + f}, "is not a plain relative path"},
		"backslash":         {[]string{"-o", out, `a\b=` + f}, "has a backslash"},
		"empty name":        {[]string{"-o", out, "=" + f}, `name "" is empty`},
		"missing directory": {[]string{"-o", out, "-C", filepath.Join(dir, "no")}, "pack directory: "},
		"empty directory":   {[]string{"-o", out, "-C", empty}, "has no files"},
		"broken link":       {[]string{"-o", out, "-C", broken}, "no such file or directory"},
		"output directory":  {[]string{"-o", filepath.Join(dir, "no", "x.zip"), "a=" + f}, "no such file or directory"},
		"output taken":      {[]string{"-o", empty, "a=" + f}, "file exists"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, run(tt.args, io.Discard, io.Discard), tt.want)
		})
	}
	require.NoFileExists(t, out)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(empty), ".*"))
	require.NoError(t, err)
	require.Empty(t, left, "no temporary file is left behind")
	require.ErrorIs(t, run([]string{"-h"}, io.Discard, io.Discard), flag.ErrHelp)
}

func TestFailureKeepsTheOldFile(t *testing.T) {
	dir := writeTree(t, map[string]string{"f": "x"})
	out := filepath.Join(t.TempDir(), "layer.zip")
	require.NoError(t, os.WriteFile(out, []byte("old"), 0o600))
	// It is gone between the check and the packing.
	_, _, err := writeFile(out, []entry{{name: "f", file: filepath.Join(dir, "gone"), mode: modePlain}})
	require.ErrorContains(t, err, "pack f: ")
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
	left, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, left, 1)
}
