// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program reflectmethod looks a method up by a name that the linker cannot know.
package main

import (
	"os"
	"reflect"
)

func main() { byName(os.Args[0]) }

//go:noinline
func byName(name string) { reflect.ValueOf(os.Stdout).MethodByName(name).Call(nil) }
