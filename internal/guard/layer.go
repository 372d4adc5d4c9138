// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import "strings"

const (
	// The layer's programs besides the guard, below its root.
	collectorPath = "/otelcol-lambda/collector"
	fullerPath    = "/otelcol-lambda/collector-full"
	// layerRoot is where Lambda unpacks layers.
	layerRoot = "/opt"
)

// base returns the last element of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// root returns the layer that an executable lies in, one folder below its root, or where Lambda puts layers if there is
// no collector.
func root(executable string, exists func(string) bool) string {
	dir := strings.TrimSuffix(executable, "/"+base(executable))
	if layer := strings.TrimSuffix(dir, "/"+base(dir)); executable != "" && exists(layer+collectorPath) {
		return layer
	}
	return layerRoot
}

// programs returns the collector of a layer and the fuller one, empty if the layer has none.
func programs(layer string, exists func(string) bool) (collector, fuller string) {
	if exists(layer + fullerPath) {
		fuller = layer + fullerPath
	}
	return layer + collectorPath, fuller
}
