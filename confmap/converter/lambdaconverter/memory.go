// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"strconv"
	"strings"

	"go.uber.org/zap"
)

const (
	memoryEnv = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"

	// assumedMemoryMB is the smallest memory size a function can have.
	assumedMemoryMB = 128

	// memoryShare: the memory is the function's. A quarter keeps three quarters for its code even if telemetry piles up.
	memoryShare = 4
	// minLimitMiB: an idle collector uses about 5 MiB of heap, and a batch on its way is there several times over, as
	// data, as protobuf and compressed. Below this a limiter would refuse ordinary data.
	minLimitMiB = 24
	// maxLimitMiB: what has not been delivered with this much data waiting will not be; more only makes a garbage
	// collection and a shutdown longer.
	maxLimitMiB = 512

	// spikeShare is the memory limiter's own recommendation: refuse from four fifths of the limit on.
	spikeShare = 5
	// checkInterval is the memory limiter's own recommendation.
	checkInterval = "1s"
	// softGCInterval: the memory limiter counts garbage, too, and would wait for 10 s before it has that collected. In a
	// small function one large request makes enough of it, and meanwhile data would be refused for nothing.
	softGCInterval = "0s"
)

// sizeMemoryLimiters gives memory limiters without a limit one that fits the function. The collector's percentages
// would be of the memory of the machine below, or of the function's whole memory, whichever the environment shows.
func sizeMemoryLimiters(d *document, lookup lookupEnv) {
	for _, id := range d.ids("processors") {
		cfg, ok := d.section("processors", id)
		if typeOf(id) != "memory_limiter" || !ok || !isUnset(cfg["limit_mib"]) || !isUnset(cfg["limit_percentage"]) {
			continue
		}
		limit := min(max(functionMemoryMB(lookup)/memoryShare, minLimitMiB), maxLimitMiB)
		fields := []zap.Field{keyField("processors", id), zap.Int("limit_mib", limit)}
		edits := []edit{set(limit, "processors", id, "limit_mib")}
		if isUnset(cfg["spike_limit_mib"]) {
			edits = append(edits, set(limit/spikeShare, "processors", id, "spike_limit_mib"))
		}
		if isUnset(cfg["check_interval"]) {
			edits = append(edits, set(checkInterval, "processors", id, "check_interval"))
		}
		if isNothing(cfg["min_gc_interval_when_soft_limited"]) && isNothing(cfg["min_gc_interval_when_hard_limited"]) {
			edits = append(edits, set(softGCInterval, "processors", id, "min_gc_interval_when_soft_limited"))
		}
		d.did("the memory limiter is given a share of the function's memory", fields, edits...)
	}
}

func functionMemoryMB(lookup lookupEnv) int {
	text, _ := lookup(memoryEnv)
	if size, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && size > 0 {
		return size
	}
	return assumedMemoryMB
}

// isUnset tells values that mean "not set" to the memory limiter, for which 0 is no limit.
func isUnset(value any) bool {
	return isNothing(value) || value == 0
}
