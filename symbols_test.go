// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func kilobytes(n int64) int64 { return (n + 500) / 1000 }

// packageSizes are the bytes of a program's file that are loaded into memory, by package. What is of no one package is
// under the name of its section in brackets: above all the tables of functions, lines and stacks in (.gopclntab), which
// follow the code, descriptions of types and strings in (.rodata), and the space between functions in (.text).
func packageSizes(binary, mainPath string, graph map[string][]string) (map[string]int64, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("read the symbols of %s: %w", binary, err)
	}
	sizes := map[string]int64{}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Type != elf.SHT_NOBITS {
			sizes["("+s.Name+")"] = int64(s.FileSize)
		}
	}
	for _, symbol := range symbols {
		if int(symbol.Section) >= len(f.Sections) {
			continue // absolute
		}
		section := f.Sections[symbol.Section].Name
		switch section {
		case ".text", ".rodata", ".data", ".noptrdata":
		default:
			continue // not in the file, or tables of everything
		}
		pkg := symbolPackage(symbol.Name)
		if pkg == "main" {
			pkg = mainPath
		}
		if _, linked := graph[pkg]; !linked {
			continue // the linker's own
		}
		sizes[pkg] += int64(symbol.Size)
		sizes["("+section+")"] -= int64(symbol.Size)
	}
	for name, size := range sizes {
		if size < 0 {
			return nil, fmt.Errorf("the symbols in %s are larger than it is", name)
		}
	}
	return sizes, nil
}

// symbolPackage is the package that a linker symbol is of, or nothing.
func symbolPackage(symbol string) string {
	if strings.HasPrefix(symbol, "go:") || strings.HasPrefix(symbol, "type:") {
		return ""
	}
	name, _, _ := strings.Cut(symbol, "[") // type arguments have paths of their own
	last := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[last:], '.')
	if dot < 0 {
		return ""
	}
	// In the last element of a path, dots are escaped.
	pkg, err := url.PathUnescape(name[:last+dot])
	if err != nil {
		return ""
	}
	return pkg
}

func TestSymbolPackage(t *testing.T) {
	for symbol, want := range map[string]string{
		"main.main":                               "main",
		"runtime.gcStart":                         "runtime",
		"net/http.(*Client).Do":                   "net/http",
		"net/http.(*Client).Do.func1":             "net/http",
		"gopkg.in/yaml%2ev3.Marshal":              "gopkg.in/yaml.v3",
		"go.uber.org/zap.(*Logger).Info":          "go.uber.org/zap",
		"vendor/golang.org/x/net/idna.idnaValues": "vendor/golang.org/x/net/idna",
		"slices.SortFunc[go.shape.[]example.com/p.T,go.shape.struct { a/b.c }]": "slices",
		"example.com/p.(*List[example.com/q.T]).Add":                            "example.com/p",
		"type:.eq.net/url.URL":       "",
		"go:itab.*os.File,io.Reader": "",
		"_rt0_amd64_linux":           "",
		"$f64.3ff0000000000000":      "$f64",
	} {
		require.Equal(t, want, symbolPackage(symbol), symbol)
	}
}
