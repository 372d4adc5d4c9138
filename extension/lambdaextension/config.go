// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
)

// Config is the configuration of the extension.
type Config struct {
	// Flush says when data leaves.
	Flush FlushConfig `mapstructure:"flush"`

	// Spool is where data waits for the next process when the environment is reset, and where it goes when there is no
	// next process. `stdout` instead of a map switches Stdout on and leaves the rest as it is.
	Spool SpoolConfig `mapstructure:"spool"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// FlushConfig is the configuration of the flushes.
type FlushConfig struct {
	// Strategy is `adaptive`, `end`, `periodic` or `continuous`; the names of Datadog's extension are taken as well. The
	// environment variable OTELCOL_LAMBDA_FLUSH_STRATEGY goes before it. Default adaptive.
	Strategy string `mapstructure:"strategy"`

	// WaitFor is what tells that an invocation is over: `runtime_done`, which Lambda sends up to 25 ms later; `root_span`,
	// the function's own span (SERVER, with faas.invocation_id) or runtime_done, whichever is first; `auto`, the default,
	// is root_span where the pipelines carry nothing but traces from the function, so that nothing is left behind.
	WaitFor string `mapstructure:"wait_for"`

	// Interval is the time between two deliveries where the strategy has one. OTELCOL_LAMBDA_FLUSH_INTERVAL goes before
	// it. Default: 10s, and 1s for continuous and on Managed Instances.
	Interval time.Duration `mapstructure:"interval"`

	// Timeout is how long the environment may be held after the function has finished, for its data to be delivered.
	// The invocation's own deadline bounds it as well. What is not delivered by then stays queued.
	// OTELCOL_LAMBDA_FLUSH_TIMEOUT goes before it. Default 3s.
	Timeout time.Duration `mapstructure:"timeout"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// SpoolConfig is the configuration of the spool. Lambda resets an environment when a function times out or crashes: all
// processes end, new ones begin with the next invocation, and /tmp stays.
type SpoolConfig struct {
	// Enabled is true by default.
	Enabled bool `mapstructure:"enabled"`

	// Directory is the folder of the spool and of nothing else. Default: otelcol-lambda/spool below TMPDIR or /tmp.
	Directory string `mapstructure:"directory"`

	// MaxBytes bounds the files, which share the function's /tmp. When they would be more, the oldest are dropped and
	// counted. Default 32 MiB.
	MaxBytes int `mapstructure:"max_bytes"`

	// Stdout is the last resort: what can neither be delivered nor kept on disk when the process ends is written to its
	// stdout, which Lambda puts into CloudWatch Logs, as lines of OTLP JSON. Default false.
	Stdout bool `mapstructure:"stdout"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// spoolStdout is what may stand in the place of the spool's map.
const spoolStdout = "stdout"

// UnmarshalScalar reads what is not a map. Without a value, as from a variable that is not set, nothing changes. It is not
// UnmarshalText, which confmap calls for text alone, and on an empty structure instead of the one with the defaults.
func (c *SpoolConfig) UnmarshalScalar(value confmap.ScalarValue) error {
	switch raw := value.GetRaw().(type) {
	case nil, SpoolConfig: // confmap makes an empty structure of a variable that is not set
		return nil
	case string:
		if raw == spoolStdout {
			c.Stdout = true
			return nil
		}
		return fmt.Errorf("%w; it is %q", errSpool, raw)
	default:
		return fmt.Errorf("%w; it is %v", errSpool, raw)
	}
}

// Validate checks the configuration.
func (c *SpoolConfig) Validate() error {
	if c.Enabled && c.MaxBytes <= 0 {
		return errMaxBytes
	}
	return nil
}

func (c *SpoolConfig) directory() string {
	if c.Directory != "" {
		return c.Directory
	}
	return filepath.Join(os.TempDir(), "otelcol-lambda", "spool")
}

// defaultSpoolBytes is a sixteenth of the smallest /tmp that Lambda gives.
const defaultSpoolBytes = 32 << 20

var (
	_ component.Config          = (*Config)(nil)
	_ confmap.ScalarUnmarshaler = (*SpoolConfig)(nil)
)

var (
	errSpool    = errors.New("`spool` must be `stdout`, or a map of `enabled`, `directory`, `max_bytes` and `stdout`")
	errMaxBytes = errors.New("`max_bytes` must be positive")
	errTimeout  = errors.New("`timeout` must be positive")
	errInterval = errors.New("`interval` must not be negative; 0 is the strategy's default")
)

// Validate checks the configuration.
func (c *FlushConfig) Validate() error {
	var errs []error
	if c.Timeout <= 0 {
		errs = append(errs, errTimeout)
	}
	if c.Interval < 0 {
		errs = append(errs, errInterval)
	}
	switch c.WaitFor {
	case waitForAuto, waitForRuntimeDone, waitForRootSpan:
	default:
		errs = append(errs, fmt.Errorf("`wait_for` must be `auto`, `runtime_done` or `root_span`; it is %q", c.WaitFor))
	}
	if _, _, err := flush.ParseStrategy(c.Strategy); err != nil {
		errs = append(errs, fmt.Errorf("`strategy`: %w", err))
	}
	return errors.Join(errs...)
}

// settings are what a valid configuration means. An interval that is given beside the strategy's name, as Datadog has it,
// counts unless there is another one.
func (c *FlushConfig) settings() flush.Settings {
	strategy, interval, _ := flush.ParseStrategy(c.Strategy)
	if c.Interval > 0 {
		interval = c.Interval
	}
	return flush.Settings{Strategy: strategy, Interval: interval}
}

// The variables that go before the configuration: a setting that is tried out in production should not take a deployment
// of the configuration.
const (
	envFlushStrategy = "OTELCOL_LAMBDA_FLUSH_STRATEGY"
	envFlushInterval = "OTELCOL_LAMBDA_FLUSH_INTERVAL"
	envFlushTimeout  = "OTELCOL_LAMBDA_FLUSH_TIMEOUT"
)

// override puts the variables in the place of what they are about, and returns what is wrong with those that it leaves out:
// a mistake in one of them is no reason not to run.
func (c FlushConfig) override(getenv func(string) string) (FlushConfig, []error) {
	var errs []error
	try := func(name string, set func(value string) (FlushConfig, error)) {
		value := getenv(name)
		if value == "" {
			return
		}
		changed, err := set(value)
		if err == nil {
			err = changed.Validate()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s is not used: %w", name, err))
			return
		}
		c = changed
	}
	try(envFlushStrategy, func(value string) (FlushConfig, error) {
		changed := c
		changed.Strategy = value
		if _, interval, err := flush.ParseStrategy(value); err == nil && interval > 0 {
			changed.Interval = interval
		}
		return changed, nil
	})
	try(envFlushInterval, func(value string) (FlushConfig, error) {
		changed := c
		var err error
		changed.Interval, err = parseDuration(value)
		return changed, err
	})
	try(envFlushTimeout, func(value string) (FlushConfig, error) {
		changed := c
		var err error
		changed.Timeout, err = parseDuration(value)
		return changed, err
	})
	return c, errs
}

func parseDuration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 500ms or 10s", value)
	}
	return d, nil
}

// defaultFlushTimeout outlasts a slow answer of a backend, and is Lambda's default for a function's whole timeout.
const defaultFlushTimeout = 3 * time.Second

func createDefaultConfig() component.Config {
	return &Config{
		Flush: FlushConfig{Strategy: string(flush.Adaptive), WaitFor: waitForAuto, Timeout: defaultFlushTimeout},
		Spool: SpoolConfig{Enabled: true, MaxBytes: defaultSpoolBytes},
	}
}
