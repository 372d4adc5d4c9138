// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package lambdasim

import "testing"

// cgroupsWritable says whether the cgroup freezer can be tested here.
func cgroupsWritable(*testing.T) bool { return false }
