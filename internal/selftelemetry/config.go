// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package selftelemetry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configtelemetry"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap/zapcore"
)

// section is where the configuration of this package sits in the collector's YAML.
const section = "service::telemetry"

const (
	encodingJSON    = "json"
	encodingConsole = "console"

	pathStdout = "stdout"
	pathStderr = "stderr"
)

// Config is `service::telemetry`. Keys of the stock collector that it does not list are accepted and named in a warning
// when the logger is created.
type Config struct {
	// Logs says what the collector logs, and how.
	Logs LogsConfig `mapstructure:"logs"`

	// Metrics is accepted for the sake of its level; no metrics about the collector are recorded.
	Metrics LevelConfig `mapstructure:"metrics"`

	// Traces is accepted for the sake of its level; no spans about the collector are recorded.
	Traces LevelConfig `mapstructure:"traces"`

	// Resource describes this collector to components that ask for it.
	Resource ResourceConfig `mapstructure:"resource"`

	// ignored are the YAML keys the user set that have no effect, each from `service` on, sorted.
	ignored []string
}

// LogsConfig is `service::telemetry::logs`.
type LogsConfig struct {
	// Level is the least severe level that is logged: debug, info, warn, error, dpanic, panic or fatal.
	// (default = the factory's, which is info unless WithDefaultLevel says otherwise)
	Level string `mapstructure:"level"`

	// Encoding is json or console. (default = json)
	Encoding string `mapstructure:"encoding"`

	// Development takes stack traces from warn on, where they are enabled. Nothing makes this logger panic. (default = false)
	Development bool `mapstructure:"development"`

	// DisableCaller leaves the calling file and line out. (default = true)
	DisableCaller bool `mapstructure:"disable_caller"`

	// DisableStacktrace leaves stack traces of errors out. (default = true)
	DisableStacktrace bool `mapstructure:"disable_stacktrace"`

	// Sampling thins repeated lines out. (default = none)
	Sampling *SamplingConfig `mapstructure:"sampling"`

	// OutputPaths is where lines go: stdout, stderr or both. (default = [stdout])
	OutputPaths []string `mapstructure:"output_paths"`

	// ErrorOutputPaths is where the logger reports that it could not write: stdout, stderr or both.
	// (default = [stderr])
	ErrorOutputPaths []string `mapstructure:"error_output_paths"`

	// InitialFields are added to every line.
	InitialFields map[string]any `mapstructure:"initial_fields"`
}

// SamplingConfig is `service::telemetry::logs::sampling`.
type SamplingConfig struct {
	// Enabled switches sampling on. (default = true)
	Enabled bool `mapstructure:"enabled"`

	// Tick is the period in which equal lines are counted. (default = 10s)
	Tick time.Duration `mapstructure:"tick"`

	// Initial is how many equal lines are written in each tick before thinning out begins. (default = 10)
	Initial int `mapstructure:"initial"`

	// Thereafter is n where every nth equal line is written after that; 0 drops them all. (default = 100)
	Thereafter int `mapstructure:"thereafter"`
}

// LevelConfig is the part of `service::telemetry::metrics` and `::traces` that is understood.
type LevelConfig struct {
	// Level is none, basic, normal or detailed. Nothing is recorded at any of them. (default = none)
	Level string `mapstructure:"level"`
}

// ResourceConfig is `service::telemetry::resource`, in either of its two forms: attribute names as keys, or a list of
// name and value under `attributes`.
type ResourceConfig struct {
	// Attributes are set on the resource; nil takes an attribute away that would be set by default.
	Attributes map[string]any `mapstructure:"attributes"`

	// SchemaURL is the schema URL the attributes follow.
	SchemaURL string `mapstructure:"schema_url"`
}

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Unmarshaler = (*SamplingConfig)(nil)
	_ confmap.Unmarshaler = (*ResourceConfig)(nil)
	_ confmap.Validator   = (*Config)(nil)
)

// supportedKeys are the keys under `service::telemetry` that have an effect, by their parent. The keys of a resource are
// attribute names and are sorted out by ResourceConfig.
func supportedKeys() map[string][]string {
	return map[string][]string{
		"": {"logs", "metrics", "resource", "traces"},
		"logs": {
			"development", "disable_caller", "disable_stacktrace", "encoding", "error_output_paths", "initial_fields",
			"level", "output_paths", "sampling",
		},
		"logs::sampling": {"enabled", "initial", "thereafter", "tick"},
		"metrics":        {"level"},
		"traces":         {"level"},
	}
}

// Unmarshal reads the section, and remembers the keys it has no use for instead of refusing them.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	raw := conf.ToStringMap()
	var ignored []string
	for parent, keys := range supportedKeys() {
		ignored = append(ignored, unknownKeys(raw, parent, keys)...)
	}
	ignored = append(ignored, ignoredResourceKeys(raw["resource"])...)
	if err := conf.Unmarshal(c, confmap.WithIgnoreUnused()); err != nil {
		return fmt.Errorf("`%s`: %w", section, err)
	}
	for key, paths := range map[string][]string{
		"output_paths": c.Logs.OutputPaths, "error_output_paths": c.Logs.ErrorOutputPaths,
	} {
		if slices.ContainsFunc(paths, func(p string) bool { return p != pathStdout && p != pathStderr }) {
			// A file would be lost with the environment, and grow until /tmp is full.
			ignored = append(ignored, section+"::logs::"+key+" other than stdout and stderr")
		}
	}
	for key, level := range map[string]string{"metrics": c.Metrics.Level, "traces": c.Traces.Level} {
		if parsed, err := parseTelemetryLevel(key, level); err == nil && parsed != configtelemetry.LevelNone {
			ignored = append(ignored, section+"::"+key+"::level other than none")
		}
	}
	slices.Sort(ignored)
	c.ignored = ignored
	return nil
}

// Validate reports values that are wrong for keys that have an effect.
func (c *Config) Validate() error {
	var errs []error
	if _, err := c.Logs.level(); err != nil {
		errs = append(errs, err)
	}
	if c.Logs.Encoding != encodingJSON && c.Logs.Encoding != encodingConsole {
		errs = append(errs, fmt.Errorf("`%s::logs::encoding` is %q: use json or console", section, c.Logs.Encoding))
	}
	if s := c.Logs.Sampling; s != nil && s.Enabled {
		if s.Tick <= 0 {
			errs = append(errs, fmt.Errorf("`%s::logs::sampling::tick` is %v: use a duration above zero, such as 10s",
				section, s.Tick))
		}
		if s.Initial < 0 || s.Thereafter < 0 {
			errs = append(errs, fmt.Errorf("`%s::logs::sampling::initial` and `::thereafter` are %d and %d: "+
				"use zero or more", section, s.Initial, s.Thereafter))
		}
	}
	for _, s := range []struct{ key, level string }{{"metrics", c.Metrics.Level}, {"traces", c.Traces.Level}} {
		if _, err := parseTelemetryLevel(s.key, s.level); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *LogsConfig) level() (zapcore.Level, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return level, fmt.Errorf("`%s::logs::level` is %q: use debug, info, warn, error, dpanic, panic or fatal",
			section, c.Level)
	}
	return level, nil
}

func parseTelemetryLevel(key, level string) (configtelemetry.Level, error) {
	if level == "" {
		return configtelemetry.LevelNone, nil
	}
	var parsed configtelemetry.Level
	if err := parsed.UnmarshalText([]byte(level)); err != nil {
		return configtelemetry.LevelNone, fmt.Errorf("`%s::%s::level` is %q: use none, basic, normal or detailed",
			section, key, level)
	}
	return parsed, nil
}

// Unmarshal puts the stock collector's defaults under what the user wrote.
func (c *SamplingConfig) Unmarshal(conf *confmap.Conf) error {
	*c = SamplingConfig{Enabled: true, Tick: 10 * time.Second, Initial: 10, Thereafter: 100}
	return conf.Unmarshal(c, confmap.WithIgnoreUnused())
}

// Unmarshal reads either form of the resource.
func (c *ResourceConfig) Unmarshal(conf *confmap.Conf) error {
	raw := conf.ToStringMap()
	attributes := map[string]any{}
	for _, key := range inlineAttributes(raw) {
		attributes[key] = raw[key]
	}
	// A value such as ${env:BUILD} is meant as text even where it looks like a number. Decoding into strings gives the
	// text, and fails only if a number or a boolean stands in the YAML itself.
	texts := map[string]string{}
	if err := conf.Unmarshal(&texts); err == nil {
		for key, value := range attributes {
			if value != nil {
				attributes[key] = texts[key]
			}
		}
	}
	switch listed := raw["attributes"].(type) {
	case []any:
		for _, entry := range listed {
			if pair, ok := entry.(map[string]any); ok {
				if name, isText := pair["name"].(string); isText {
					attributes[name] = pair["value"]
				}
			}
		}
	case map[string]any:
		maps.Copy(attributes, listed)
	}
	c.Attributes = attributes
	c.SchemaURL, _ = raw["schema_url"].(string)
	return nil
}

// inlineAttributes are the keys of a resource that are names of attributes, sorted.
func inlineAttributes(resource map[string]any) []string {
	var names []string
	for key, value := range resource {
		switch key {
		case "attributes", "schema_url", "attributes_list", "detectors", "detection/development":
			continue
		}
		switch value.(type) {
		case map[string]any, []any:
			continue
		}
		names = append(names, key)
	}
	slices.Sort(names)
	return names
}

func ignoredResourceKeys(resource any) []string {
	keys, ok := resource.(map[string]any)
	if !ok {
		return nil
	}
	var ignored []string
	inline := inlineAttributes(keys)
	for key, value := range keys {
		switch {
		case key == "attributes", key == "schema_url", slices.Contains(inline, key), isEmpty(value):
		default:
			ignored = append(ignored, section+"::resource::"+key)
		}
	}
	return ignored
}

// unknownKeys are the keys below the parent, which is a path from `service::telemetry` on, that are set to something
// and not known.
func unknownKeys(root map[string]any, parent string, known []string) []string {
	prefix := section
	if parent != "" {
		prefix += "::" + parent
		for key := range strings.SplitSeq(parent, "::") {
			root, _ = root[key].(map[string]any)
		}
	}
	var unknown []string
	for key, value := range root {
		if !slices.Contains(known, key) && !isEmpty(value) {
			unknown = append(unknown, prefix+"::"+key)
		}
	}
	return unknown
}

// isEmpty tells values that ask for nothing: whoever writes `readers: []` has what he wants.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
