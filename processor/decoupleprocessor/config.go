// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config is the configuration of the processor.
type Config struct {
	// MaxQueueBytes bounds the data that waits in this pipeline or is being sent, in bytes of OTLP protobuf. Default: a
	// sixteenth of the function's memory, at least 4 MiB and at most 64 MiB.
	MaxQueueBytes int `mapstructure:"max_queue_bytes"`

	// MaxRequestBytes is up to where waiting data is merged into one request to the exporters, in bytes of OTLP
	// protobuf. A larger piece of data is sent as it came. Default 1 MiB.
	MaxRequestBytes int `mapstructure:"max_request_bytes"`

	// Overflow says what happens to data that does not fit into the queue: `reject` refuses it, with an error that makes
	// the function's SDK try again; `drop_oldest` makes room by dropping and counting the oldest; `auto`, the default,
	// rejects while the backend takes data, and drops the oldest while it does not.
	Overflow string `mapstructure:"overflow"`

	// Timeout bounds one delivery, with all that the exporters do in it, such as retries of their own. Default 30s.
	Timeout time.Duration `mapstructure:"timeout"`

	// MaxQueueSize counted requests in the OpenTelemetry Lambda layer. It is accepted and has no effect, because a
	// number of requests bounds no memory.
	//
	// Deprecated: use MaxQueueBytes.
	MaxQueueSize uint32 `mapstructure:"max_queue_size"`

	// Discard, when set, is the reason why this pipeline has nowhere to send data to: the data is counted and dropped
	// when it arrives. The lambda converter sets it for pipelines without a usable exporter.
	Discard string `mapstructure:"discard"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

var (
	errMaxQueueBytes   = errors.New("`max_queue_bytes` must be positive")
	errMaxRequestBytes = errors.New("`max_request_bytes` must be positive")
	errTimeout         = errors.New("`timeout` must be positive")
	errOverflow        = errors.New("`overflow` must be `auto`, `reject` or `drop_oldest`")
)

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs error
	if c.MaxQueueBytes <= 0 {
		errs = errors.Join(errs, errMaxQueueBytes)
	}
	if c.MaxRequestBytes <= 0 {
		errs = errors.Join(errs, errMaxRequestBytes)
	}
	if c.Timeout <= 0 {
		errs = errors.Join(errs, errTimeout)
	}
	switch c.Overflow {
	case overflowAuto, overflowReject, overflowDropOldest:
	default:
		errs = errors.Join(errs, fmt.Errorf("%w; it is %q", errOverflow, c.Overflow))
	}
	return errs
}

const (
	overflowAuto       = "auto"
	overflowReject     = "reject"
	overflowDropOldest = "drop_oldest"
)

const (
	mib = 1 << 20

	// Three pipelines with a sixteenth each stay below the quarter of the function's memory at which the memory
	// limiter of the default configuration begins to refuse data.
	queueShareOfMemory = 16
	minQueueBytes      = 4 * mib
	maxQueueBytes      = 64 * mib

	// defaultMemoryMB is the smallest function there is; it is assumed where the size is unknown.
	defaultMemoryMB = 128

	// defaultMaxRequestBytes stays below the 4 MiB that gRPC servers accept by default.
	defaultMaxRequestBytes = 1 * mib

	// defaultTimeout is what otlp_http allows an attempt by default.
	defaultTimeout = 30 * time.Second
)

func createDefaultConfig() component.Config {
	return &Config{
		MaxQueueBytes:   defaultQueueBytes(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")),
		MaxRequestBytes: defaultMaxRequestBytes,
		Overflow:        overflowAuto,
		Timeout:         defaultTimeout,
	}
}

// defaultQueueBytes takes the function's memory size as Lambda gives it: MB (of 1,048,576 bytes) in decimal.
func defaultQueueBytes(memoryMB string) int {
	mb, err := strconv.Atoi(memoryMB)
	if err != nil || mb <= 0 {
		mb = defaultMemoryMB
	}
	return min(max(mb*mib/queueShareOfMemory, minQueueBytes), maxQueueBytes)
}
