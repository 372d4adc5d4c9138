// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

// unit says how a figure is written. The values themselves are in milliseconds, bytes or items.
type unit struct {
	name string
	// scale is what one of the printed units is worth.
	scale  float64
	digits int
}

var (
	milliseconds = unit{"ms", 1, 2}
	megabytes    = unit{"MB", 1e6, 2}
	items        = unit{"items", 1, 0}
)

// The keys of the figures name the unit of their values. They are the keys of the JSON as well: do not rename them.
const (
	keyRegister      = "register_ms"
	keyListening     = "listening_ms"
	keyFirstNext     = "first_next_ms"
	keyFirstNextCPU  = "first_next_cpu_ms"
	keyGuardFile     = "guard_file_bytes"
	keyCollectorFile = "collector_file_bytes"
	keyZip           = "zip_bytes"
	keyHeld          = "warm_held_ms"
	keyInvocationCPU = "warm_cpu_ms"
	keyMissing       = "warm_spans_missing"
	prefixReady      = "ready_"
	prefixEnd        = "end_"
	suffixAnonymous  = "rss_anon_bytes"
	suffixFile       = "rss_file_bytes"
	suffixPeak       = "vm_hwm_bytes"
	processAll       = "all_"
	processGuard     = "guard_"
	processCollector = "collector_"
)

// figure is one thing that is measured.
type figure struct {
	key   string
	title string
	unit  unit
	// means says how it is measured, and what for.
	means  string
	budget budget
}

// budget is what the layer may cost, as the median; the zero value is none.
type budget struct {
	// limit is in the unit of the figure's values.
	limit float64
	// floors is how many times the median of the net/http floor.
	floors float64
}

// figures are in the order in which they are printed.
func figures() []figure {
	return []figure{
		{
			key: keyRegister, title: "exec → register", unit: milliseconds, budget: budget{floors: 1},
			means: "from the start of the process to its registration; Lambda starts the function's runtime only then",
		},
		{
			key: keyListening, title: "exec → listening", unit: milliseconds,
			means: "from the start of the process until " + otlpHTTP +
				" takes a connection; tried every 200 µs, in runs of their own",
		},
		{
			key: keyFirstNext, title: "exec → first next", unit: milliseconds, budget: budget{limit: 14},
			means: "from the start of the process to its first request for an event; Init lasts until then",
		},
		{
			key: keyFirstNextCPU, title: "CPU to first next", unit: milliseconds, budget: budget{limit: 15},
			means: "user and system time of all processes of the extension when Init is over",
		},
		{
			key: prefixReady + processAll + suffixAnonymous, title: "anonymous memory at ready, all", unit: megabytes,
			budget: budget{limit: 5e6},
			means:  "RssAnon of all processes of the extension when Init is over: what nobody else can share",
		},
		{
			key: prefixReady + processGuard + suffixAnonymous, title: "anonymous memory at ready, guard", unit: megabytes,
			means: "RssAnon of the process that Lambda started, where it is not the collector",
		},
		{
			key: prefixReady + processGuard + suffixFile, title: "file memory at ready, guard", unit: megabytes,
			means: "RssFile: the part of the program that has been touched",
		},
		{
			key: prefixReady + processGuard + suffixPeak, title: "peak memory at ready, guard", unit: megabytes,
			means: "VmHWM: the most that was resident at any time",
		},
		{
			key: prefixReady + processCollector + suffixAnonymous, title: "anonymous memory at ready, collector",
			unit: megabytes, means: "RssAnon of the collector, whoever started it",
		},
		{
			key: prefixReady + processCollector + suffixFile, title: "file memory at ready, collector", unit: megabytes,
			means: "RssFile: the part of the program that has been touched",
		},
		{
			key: prefixReady + processCollector + suffixPeak, title: "peak memory at ready, collector", unit: megabytes,
			means: "VmHWM: the most that was resident at any time",
		},
		{
			key: keyGuardFile, title: "guard file", unit: megabytes,
			means: "size of the program that Lambda starts, where it is not the collector",
		},
		{
			key: keyCollectorFile, title: "collector file", unit: megabytes,
			means: "size of the collector's program",
		},
		{
			key: keyZip, title: "layer zip", unit: megabytes, budget: budget{limit: 8.5e6},
			means: "size of the layer as make layer packs it; every cold start fetches it",
		},
		{
			key: keyHeld, title: "held after the function", unit: milliseconds, budget: budget{limit: telemetryBuffer + 4},
			means: "from the function's next to the extension's, per warm invocation; billed; " +
				"Lambda's telemetry buffer is 25 ms of it",
		},
		{
			key: keyInvocationCPU, title: "CPU per warm invocation", unit: milliseconds, budget: budget{limit: 1.5},
			means: "user and system time of all processes of the extension, with 10 spans and 2 log lines from the function",
		},
		{
			key: prefixEnd + processAll + suffixAnonymous, title: "anonymous memory at the end, all", unit: megabytes,
			budget: budget{limit: 6e6},
			means:  "RssAnon of all processes of the extension after the last invocation",
		},
		{
			key: prefixEnd + processGuard + suffixAnonymous, title: "anonymous memory at the end, guard", unit: megabytes,
			means: "RssAnon of the process that Lambda started, where it is not the collector",
		},
		{
			key: prefixEnd + processCollector + suffixAnonymous, title: "anonymous memory at the end, collector",
			unit: megabytes, means: "RssAnon of the collector, whoever started it",
		},
		{
			key: keyMissing, title: "spans missing", unit: items,
			means: "of the spans the function made in one environment, those that had not arrived at the backend when it ended",
		},
	}
}

// telemetryBuffer is how long Lambda keeps events back before it delivers them, at least, in milliseconds.
const telemetryBuffer = 25
