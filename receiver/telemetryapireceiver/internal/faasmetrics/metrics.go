// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

// Kind is the kind of a metric.
type Kind uint8

// The kinds. Counters are monotonic sums.
const (
	KindCounter Kind = iota
	KindHistogram
	KindGauge
)

// Metric describes one metric.
type Metric struct {
	Name, Unit, Description string
	Kind                    Kind
	// Attribute is the key that tells the metric's points apart. It is empty when there is only one.
	Attribute string
	bounds    boundsKind
}

type boundsKind uint8

const (
	boundsSeconds boundsKind = iota
	boundsMemory
	boundsTraffic
)

// Bounds are the upper bounds of the buckets of a histogram with explicit ones.
func (m Metric) Bounds() []float64 {
	switch m.bounds {
	case boundsMemory:
		return memoryBounds[:]
	case boundsTraffic:
		return trafficBounds[:]
	default:
		return secondsBounds[:]
	}
}

const (
	attrErrorType          = "error.type"
	attrInitializationType = "aws.lambda.initialization_type"
)

// Metrics returns all metrics that an Aggregator makes.
func Metrics() []Metric { return metrics[:] }

const (
	invokeDuration = iota
	initDuration
	coldStarts
	failures
	invocations
	timeouts
	memoryUsage
	cpuUsage
	netIO
	billedDuration
	postRuntimeDuration
	responseLatency
	responseDuration
	runtimeOverhead
	responseSize
	restores
	restoreDuration
	billedRestoreDuration
	memorySize
	outOfMemory
	droppedRecords
	droppedBytes
	tmpUsage
	openFiles
	threads

	metricCount
)

// The bounds of OpenTelemetry's semantic conventions for faas.*, v1.44. They end long before Lambda's 15 minutes;
// exponential histograms are for those who care.
var secondsBounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// 16 MiB to 16 GiB: a function may have 10 GiB.
var memoryBounds = [...]float64{
	1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 31, 1 << 32, 1 << 33, 1 << 34,
}

// 1 KiB to 1 GiB: most responses are small, and a streamed one may have 200 MB.
var trafficBounds = [...]float64{
	1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30,
}

// metrics has constants only, so that it costs nothing at start.
var metrics = [metricCount]Metric{
	invokeDuration: {
		Name: "faas.invoke_duration", Unit: "s", Kind: KindHistogram,
		Description: "How long the function's code ran.",
	},
	initDuration: {
		Name: "faas.init_duration", Unit: "s", Kind: KindHistogram, Attribute: attrInitializationType,
		Description: "How long the initialization took.",
	},
	coldStarts: {
		Name: "faas.coldstarts", Unit: "{coldstart}",
		Description: "Initializations that an invocation may have waited for.",
	},
	failures: {
		Name: "faas.errors", Unit: "{error}", Attribute: attrErrorType,
		Description: "Invocations and initializations that failed, timeouts aside.",
	},
	invocations: {
		Name: "faas.invocations", Unit: "{invocation}",
		Description: "Invocations that succeeded.",
	},
	timeouts: {
		Name: "faas.timeouts", Unit: "{timeout}",
		Description: "Invocations and initializations that reached their time limit.",
	},
	memoryUsage: {
		Name: "faas.mem_usage", Unit: "By", Kind: KindHistogram, bounds: boundsMemory,
		Description: "The most memory that the environment had used by the end of the invocation.",
	},
	cpuUsage: {
		Name: "faas.cpu_usage", Unit: "s", Kind: KindHistogram,
		Description: "CPU time of the environment during the invocation.",
	},
	netIO: {
		Name: "faas.net_io", Unit: "By", Kind: KindHistogram, bounds: boundsTraffic,
		Description: "Bytes that the environment received and sent during the invocation.",
	},
	billedDuration: {
		Name: "aws.lambda.billed_duration", Unit: "s", Kind: KindHistogram,
		Description: "The time that is billed for the invocation.",
	},
	postRuntimeDuration: {
		Name: "aws.lambda.post_runtime_duration", Unit: "s", Kind: KindHistogram,
		Description: "How long the extensions held the environment after the function was done.",
	},
	responseLatency: {
		Name: "aws.lambda.response_latency", Unit: "s", Kind: KindHistogram,
		Description: "Time until the function began to send its response.",
	},
	responseDuration: {
		Name: "aws.lambda.response_duration", Unit: "s", Kind: KindHistogram,
		Description: "Time from the first to the last byte of the response.",
	},
	runtimeOverhead: {
		Name: "aws.lambda.runtime_overhead", Unit: "s", Kind: KindHistogram,
		Description: "Time from the response until the runtime was ready for the next invocation.",
	},
	responseSize: {
		Name: "aws.lambda.response_size", Unit: "By", Kind: KindHistogram, bounds: boundsTraffic,
		Description: "Size of the response.",
	},
	restores: {
		Name: "aws.lambda.restores", Unit: "{restore}",
		Description: "Environments that were restored from a SnapStart snapshot.",
	},
	restoreDuration: {
		Name: "aws.lambda.restore_duration", Unit: "s", Kind: KindHistogram,
		Description: "How long the restore took.",
	},
	billedRestoreDuration: {
		Name: "aws.lambda.billed_restore_duration", Unit: "s", Kind: KindHistogram,
		Description: "The time that is billed for the restore.",
	},
	memorySize: {
		Name: "aws.lambda.memory_size", Unit: "By", Kind: KindGauge,
		Description: "The memory that the function is configured to have.",
	},
	outOfMemory: {
		Name: "aws.lambda.out_of_memory", Unit: "{event}",
		Description: "Invocations and initializations that ended for want of memory.",
	},
	droppedRecords: {
		Name: "aws.lambda.dropped_log_records", Unit: "{record}",
		Description: "Telemetry records that Lambda dropped instead of delivering them.",
	},
	droppedBytes: {
		Name: "aws.lambda.dropped_log_bytes", Unit: "By",
		Description: "Size of the telemetry records that Lambda dropped.",
	},
	tmpUsage: {
		Name: "aws.lambda.tmp_usage", Unit: "By", Kind: KindGauge,
		Description: "What is in use of /tmp.",
	},
	openFiles: {
		Name: "aws.lambda.open_file_descriptors", Unit: "{file_descriptor}", Kind: KindGauge,
		Description: "File descriptors of all processes in the environment.",
	},
	threads: {
		Name: "aws.lambda.threads", Unit: "{thread}", Kind: KindGauge,
		Description: "Threads of all processes in the environment.",
	},
}
