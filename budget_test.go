// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

// Budgets of the core layer for linux/amd64. Each byte is fetched and paged in by every cold start, and each package may
// run an init before registration. A limit is what was measured when it was last set and about 2 % for a Go patch
// release. Raise one only in the change that needs it, and say in CHANGELOG.md what users get for it.
const (
	// maxGuardBytes limits the guard, which has to be there before the function's runtime starts.
	maxGuardBytes = 2_000_000
	// maxCollectorBytes limits the collector as `make layer` builds it.
	maxCollectorBytes = 20_150_000
	// maxZipBytes limits dist/otelcol-lambda-layer-amd64.zip.
	maxZipBytes = 8_450_000
)

// limits are how far a program may move away from testdata/NAME/*.golden before the golden files have to be updated,
// upwards or downwards. They are wider than the noise, and narrower than what is worth a question in a review.
type limits struct {
	// growthKB is for the bytes of all packages. A new package has to be in the golden file however small it is.
	growthKB int64
	// initPackage and initAll are bytes and allocations before main, of one package and of all.
	initPackage, initAll [2]int64
}

var (
	collectorLimits = limits{growthKB: 100, initPackage: [2]int64{8_000, 50}, initAll: [2]int64{16_000, 150}}
	guardLimits     = limits{growthKB: 20, initPackage: [2]int64{1_000, 10}, initAll: [2]int64{2_000, 20}}
)

// otherGoShare is what part of a program's size is allowed on top where Go's version is not that of the golden file.
const otherGoShare = 50

// layerBuildTags are the tags that the Makefile and builder-config.yaml build the collector with.
const layerBuildTags = "grpcnotrace"
