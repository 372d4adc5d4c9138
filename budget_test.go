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
	maxCollectorBytes = 23_500_000
	// maxZipBytes limits dist/otelcol-lambda-layer-amd64.zip.
	maxZipBytes = 9_100_000
	// maxPackages limits how many packages, the standard library's included, are linked into the collector.
	maxPackages = 785
)

// layerBuildTags are the tags that the Makefile and builder-config.yaml build the collector with.
const layerBuildTags = "grpcnotrace"
