// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
)

// withProviders returns main.go with the configuration providers of other packages. They are the one thing that a manifest
// lists and the builder does not write into components.go.
func withProviders(source []byte, packages []string) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "main.go", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	list, err := providerList(file)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	ast.Inspect(list, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok {
				used[pkg.Name] = true
			}
		}
		return true
	})
	delete(used, "confmap") // of the list's type

	offset := func(pos token.Pos) int { return set.Position(pos).Offset }
	var edits []edit
	var had []string
	for _, spec := range file.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if name := importName(spec, importPath); used[name] {
			had = append(had, importPath)
			edits = append(edits, edit{offset(spec.Pos()), offset(spec.End()), ""})
		}
	}
	if len(had) != len(used) {
		return nil, errors.New("main.go: an element of the list of providers is not imported by its package's name")
	}
	slices.Sort(had)
	if slices.Equal(had, packages) {
		return source, nil
	}
	var imports, elements bytes.Buffer
	for i, importPath := range packages {
		fmt.Fprintf(&imports, "provider%d %q\n", i, importPath)
		fmt.Fprintf(&elements, "\nprovider%d.NewFactory(),", i)
	}
	edits[0].text = imports.String()
	edits = append(edits, edit{offset(list.Lbrace) + 1, offset(list.Rbrace), elements.String() + "\n"})
	return format.Source(apply(source, edits))
}

// providerList is the one list of provider factories in a file.
func providerList(file *ast.File) (*ast.CompositeLit, error) {
	var found []*ast.CompositeLit
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if array, ok := lit.Type.(*ast.ArrayType); ok {
			if elem, ok := array.Elt.(*ast.SelectorExpr); ok && elem.Sel.Name == "ProviderFactory" {
				found = append(found, lit)
			}
		}
		return true
	})
	if len(found) != 1 || len(found[0].Elts) == 0 {
		return nil, fmt.Errorf("main.go has %d lists of type []confmap.ProviderFactory; one with elements is needed",
			len(found))
	}
	return found[0], nil
}

// importName is the name that an import has in its file.
func importName(spec *ast.ImportSpec, importPath string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return path.Base(importPath)
}

// edit replaces the text between two offsets.
type edit struct {
	from, to int
	text     string
}

// apply makes edits that are in the order of the text.
func apply(source []byte, edits []edit) []byte {
	var out bytes.Buffer
	end := 0
	for _, e := range edits {
		out.Write(source[end:e.from])
		out.WriteString(e.text)
		end = e.to
	}
	out.Write(source[end:])
	return out.Bytes()
}
