// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
)

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
	kilobytes    = unit{"kB", 1e3, 1}
	items        = unit{"", 1, 0}
)

// The keys of the figures name the unit of their values. They are the keys of the JSON as well: do not rename them.
const (
	keyRegister     = "register_ms"
	keyListening    = "listening_ms"
	keyFirstNext    = "first_next_ms"
	keyFirstNextCPU = "first_next_cpu_ms"
	// keyFirstNextBeside is keyFirstNext where the function's start takes part of the share of the CPU.
	keyFirstNextBeside = "first_next_beside_function_ms"
	keyMinorFaults     = "first_next_minor_faults"
	keyMajorFaults     = "first_next_major_faults"
	keyFirstCPU        = "first_invocation_cpu_ms"
	keyFirstHeld       = "first_invocation_held_ms"
	keyGuardFile       = "guard_file_bytes"
	keyCollectorFile   = "collector_file_bytes"
	keyUnzipped        = "unzipped_bytes"
	keyZip             = "zip_bytes"
	keyHeld            = "warm_held_ms"
	keyInvocationCPU   = "warm_cpu_ms"
	keyStopping        = "stopping_cpu_ms"
	keyMissing         = "warm_spans_missing"
	// prefixFrequent is for a function that is invoked all the time.
	prefixFrequent = "frequent_"
	// prefixUncached is for a start whose programs have to be read from the disk.
	prefixUncached     = "uncached_"
	prefixReady        = "ready_"
	prefixEnd          = "end_"
	suffixAnonymous    = "rss_anon_bytes"
	suffixFile         = "rss_file_bytes"
	suffixPeak         = "vm_hwm_bytes"
	suffixInit         = "package_init_ms"
	suffixInitPackages = "package_init_packages"
	suffixInitBytes    = "package_init_bytes"
	suffixInitAllocs   = "package_init_allocs"
	processAll         = "all_"
	processGuard       = "guard_"
	processCollector   = "collector_"
)

// part is a table of figures.
type part string

const (
	partCold       part = "cold start"
	partUncached   part = "cold start, programs not in the page cache"
	partInvocation part = "invocations"
	partMemory     part = "memory"
	partSize       part = "size and package init"
)

func parts() []part { return []part{partCold, partUncached, partInvocation, partMemory, partSize} }

// figure is one thing that is measured.
type figure struct {
	key   string
	part  part
	title string
	unit  unit
	// means says how it is measured, and what for.
	means  string
	budget budget
	// ratio says that it is printed as a multiple of the floor as well.
	ratio bool
	// detail says that it is not worth a line for each share of the CPU.
	detail bool
}

// budget is what the layer may cost, as the median; the zero value is none. Limits are in the unit of the figure's
// values.
type budget struct {
	// limit is for a machine whose CPU is not limited.
	limit float64
	// floors is how many times the median of the net/http floor.
	floors float64
	// small is for the CPU share of 512 MB.
	small float64
	// maps is how many times the median of decoding into maps.
	maps float64
	// pace says how limit and small depend on the speed of the machine.
	pace pace
}

// figures are in the order in which they are printed.
func figures() []figure {
	list := []figure{
		{
			key: keyRegister, part: partCold, title: "exec → register", unit: milliseconds, ratio: true,
			budget: budget{floors: 1},
			means:  "from the start of the process to its registration; Lambda starts the function's runtime only then",
		},
		{
			key: keyListening, part: partCold, title: "exec → listening", unit: milliseconds,
			means: "from the start of the process until " + otlpHTTP +
				" takes a connection; tried every 200 µs, in runs of their own",
		},
		{
			key: keyFirstNext, part: partCold, title: "exec → first next", unit: milliseconds, ratio: true,
			budget: budget{limit: 14, small: 35, pace: paceFirstNext},
			means:  "from the start of the process to its first request for an event; Init lasts until then",
		},
		{
			key: keyFirstNextBeside, part: partCold, title: "… with the function's start", unit: milliseconds,
			means: "… while a function that does nothing starts with the same share of the CPU, which is not so above",
		},
		{
			key: keyFirstNextCPU, part: partCold, title: "CPU to first next", unit: milliseconds, ratio: true,
			budget: budget{limit: 15, pace: paceCPU},
			means:  "user and system time of all processes of the extension when Init is over",
		},
		{
			key: keyMinorFaults, part: partCold, title: "minor page faults", unit: items,
			means: "of all processes of the extension when Init is over: pages that were in memory, and had to be mapped",
		},
		{
			key: keyMajorFaults, part: partCold, title: "major page faults", unit: items,
			means: "… pages that had to be read",
		},
		{
			key: keyFirstCPU, part: partInvocation, title: "CPU to the end of invocation 1", unit: milliseconds, ratio: true,
			budget: budget{limit: 18, pace: paceCPU},
			means: "user and system time of all processes of the extension from their start until they can be frozen " +
				"after the first invocation, in which the function sends 10 spans and writes 2 log lines",
		},
		{
			key: keyFirstHeld, part: partInvocation, title: "held after the function, invocation 1", unit: milliseconds,
			means: "from the function's next to the extension's; billed; Lambda's telemetry buffer is 25 ms of it",
		},
		{
			key: keyHeld, part: partInvocation, title: "held after the function", unit: milliseconds,
			// Most of it is Lambda's buffer, on any machine.
			budget: budget{limit: telemetryBuffer + 4},
			means:  "the same for each warm invocation",
		},
		{
			key: keyInvocationCPU, part: partInvocation, title: "CPU per warm invocation", unit: milliseconds, ratio: true,
			budget: budget{limit: 1.5, pace: paceCPU},
			means: "user and system time of all processes of the extension, with 10 spans and 2 log lines from the " +
				"function, from the end of one invocation to the end of the next; each ends with a delivery, as it does " +
				"while invocations are rare; without what stopping takes",
		},
		{
			key: keyStopping, part: partInvocation, title: "CPU for stopping", unit: milliseconds,
			means: "what all threads take to be continued and stopped by signals, once: the simulator freezes with them, " +
				"and Lambda from outside of the virtual machine",
		},
		{
			key: prefixFrequent + keyInvocationCPU, part: partInvocation, title: "CPU per warm invocation, frequent",
			unit: milliseconds, budget: budget{limit: 1.5, pace: paceCPU},
			means: fmt.Sprintf("the same while they are frequent: %d of them share a delivery, which is made during one of "+
				"them, as with one invocation in a second and the interval that is the default; each sample is the mean of %d",
				frequentShare, frequentInvocations),
		},
		{
			key: keyMissing, part: partInvocation, title: "spans missing", unit: items,
			means: "of the spans the function made in one environment, those that had not arrived at the backend when it ended",
		},
		{
			key: prefixFrequent + keyMissing, part: partInvocation, title: "spans missing, frequent", unit: items,
			means: "the same of the environments with frequent invocations",
		},
		{
			key: keyZip, part: partSize, title: "layer zip", unit: megabytes, budget: budget{limit: 8.5e6},
			means: "size of the layer as make layer packs it; every cold start fetches it",
		},
		{
			key: keyUnzipped, part: partSize, title: "layer unzipped", unit: megabytes,
			means: "sum of its files; all layers and the function have to stay below 262 MB together",
		},
		{
			key: keyGuardFile, part: partSize, title: "guard file", unit: megabytes,
			means: "size of the program that Lambda starts, where it is not the collector",
		},
		{
			key: keyCollectorFile, part: partSize, title: "collector file", unit: megabytes,
			means: "size of the collector's program",
		},
	}
	list = slices.Concat(list, uncachedFigures(), memoryFigures(), initFigures())
	slices.SortStableFunc(list, func(a, b figure) int {
		return cmp.Compare(slices.Index(parts(), a.part), slices.Index(parts(), b.part))
	})
	return list
}

// uncachedFigures are some of a cold start, once more.
func uncachedFigures() []figure {
	return []figure{
		{
			key: prefixUncached + keyRegister, part: partUncached, title: "exec → register", unit: milliseconds, ratio: true,
			means: "as above, after the page cache has been emptied of the layer's files",
		},
		{
			key: prefixUncached + keyFirstNext, part: partUncached, title: "exec → first next", unit: milliseconds,
			ratio: true, budget: budget{limit: 35, pace: paceCPU},
			means: "… so that what is needed of the programs is read from the disk",
		},
		{
			key: prefixUncached + keyFirstNextCPU, part: partUncached, title: "CPU to first next", unit: milliseconds,
			means: "… with the time for which the kernel reads on behalf of the process",
		},
		{
			key: prefixUncached + keyMinorFaults, part: partUncached, title: "minor page faults", unit: items,
			means: "… pages that had been read ahead are among them",
		},
		{
			key: prefixUncached + keyMajorFaults, part: partUncached, title: "major page faults", unit: items,
			means: "… each is a wait for the disk",
		},
	}
}

// memoryFigures are of two moments, of all processes together and of each, and of three kinds. What a kind is is said
// once.
func memoryFigures() (list []figure) {
	kinds := []struct{ key, title, means string }{
		{suffixAnonymous, "anonymous", "RssAnon: what nobody else can share"},
		{suffixFile, "file", "RssFile: the part of the program that has been touched"},
		{suffixPeak, "peak", "VmHWM: the most that was resident at any time"},
	}
	for _, at := range []struct {
		prefix, title, means string
		budget               float64
	}{
		{prefixReady, "ready", "when Init is over", 5e6},
		{prefixEnd, "the end", "after the last warm invocation", 6e6},
	} {
		list = append(list, figure{
			key: at.prefix + processAll + suffixAnonymous, part: partMemory, title: "anonymous at " + at.title + ", all",
			unit: megabytes, ratio: true, budget: budget{limit: at.budget}, means: "of all processes, " + at.means,
		})
		for _, process := range []struct{ key, title string }{{processGuard, "guard"}, {processCollector, "collector"}} {
			for i, kind := range kinds {
				list = append(list, figure{
					key: at.prefix + process.key + kind.key, part: partMemory, unit: megabytes, means: kind.means,
					title: kind.title + " at " + at.title + ", " + process.title, detail: true,
				})
				kinds[i].means = ""
			}
		}
	}
	return list
}

// initFigures are of what a program does before main.
func initFigures() (list []figure) {
	kinds := []figure{
		{key: suffixInit, title: "package init", unit: milliseconds,
			means: "time in which the packages of the program initialise themselves, by GODEBUG=inittrace=1"},
		{key: suffixInitPackages, title: "packages with init", unit: items, means: "those with something to initialise"},
		{key: suffixInitBytes, title: "allocated by init", unit: kilobytes, means: "memory that they allocate"},
		{key: suffixInitAllocs, title: "allocations by init", unit: items, means: "how often"},
	}
	for _, process := range []struct{ key, title string }{{processGuard, "guard"}, {processCollector, "collector"}} {
		for i, kind := range kinds {
			kind.key, kind.part, kind.title = process.key+kind.key, partSize, kind.title+", "+process.title
			list = append(list, kind)
			kinds[i].means = ""
		}
	}
	return list
}

// telemetryBuffer is how long Lambda keeps events back before it delivers them, at least, in milliseconds.
const telemetryBuffer = 25
