// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package lambdasim

// newCgroupFreezer says that cgroups are a thing of Linux.
func newCgroupFreezer(*spawner) (freezer, error) { return nil, errNoCgroup }
