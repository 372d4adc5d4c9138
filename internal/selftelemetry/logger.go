// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package selftelemetry

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// MarkerKey and MarkerValue are the field that every line of this process carries. Lines written by this process come
// back through Lambda's Telemetry API when a receiver subscribes to `extension`; the receiver drops lines with the
// marker, so that nothing we write makes us write again. In JSON lines the field is `"telemetry.self":"otelcol-lambda"`
// on the top level; lines in console encoding end in a JSON object that holds the same text.
const (
	MarkerKey   = "telemetry.self"
	MarkerValue = "otelcol-lambda"
)

// timeLayout is RFC 3339 in UTC with milliseconds, as Lambda's own log lines have it.
const timeLayout = "2006-01-02T15:04:05.000Z"

// NewLogger returns a logger that writes the JSON lines of this distribution, marker included, to w, and needs no
// collector: for what is said before there is one, or instead of one.
func NewLogger(w zapcore.WriteSyncer, level zapcore.LevelEnabler, fields ...zap.Field) *zap.Logger {
	return zap.New(newCore(encodingJSON, zapcore.Lock(w), level, fields))
}

// newLogger returns the collector's logger as the configuration wants it.
func (s settings) newLogger(cfg *LogsConfig) (*zap.Logger, error) {
	level, err := cfg.level()
	if err != nil {
		return nil, err
	}
	fields := make([]zap.Field, 0, len(cfg.InitialFields))
	for _, key := range slices.Sorted(maps.Keys(cfg.InitialFields)) {
		if key != MarkerKey {
			fields = append(fields, zap.Any(key, cfg.InitialFields[key]))
		}
	}
	core := newCore(cfg.Encoding, s.open(cfg.OutputPaths, pathStdout), level, fields)
	if len(s.demoted) > 0 {
		core = demotingCore{Core: core, prefixes: s.demoted}
	}
	if p := cfg.Sampling; p != nil && p.Enabled {
		core = zapcore.NewSamplerWithOptions(core, p.Tick, p.Initial, p.Thereafter)
	}
	opts := []zap.Option{
		zap.ErrorOutput(s.open(cfg.ErrorOutputPaths, pathStderr)),
		zap.WithCaller(!cfg.DisableCaller),
		zap.WithClock(s.clock),
	}
	stackLevel := zapcore.ErrorLevel
	if cfg.Development {
		stackLevel = zapcore.WarnLevel
	}
	if !cfg.DisableStacktrace {
		opts = append(opts, zap.AddStacktrace(stackLevel))
	}
	return zap.New(core, opts...), nil
}

// newCore puts the marker in front of the other fields, so that a long line which Lambda splits still has it in its
// first part.
func newCore(encoding string, w zapcore.WriteSyncer, level zapcore.LevelEnabler, fields []zap.Field) zapcore.Core {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = func(t time.Time, enc zapcore.PrimitiveArrayEncoder) { enc.AppendString(t.UTC().Format(timeLayout)) }
	newEncoder := zapcore.NewJSONEncoder
	if encoding == encodingConsole {
		newEncoder = zapcore.NewConsoleEncoder
	}
	marker := zap.String(MarkerKey, MarkerValue)
	return zapcore.NewCore(newEncoder(cfg), w, level).With(append([]zap.Field{marker}, fields...))
}

// open returns the standard streams among the paths, or the fallback if there is none: a logger nobody can read is
// worse than one in an unexpected place.
func (s settings) open(paths []string, fallback string) zapcore.WriteSyncer {
	streams := map[string]zapcore.WriteSyncer{pathStdout: s.stdout, pathStderr: s.stderr}
	var opened []zapcore.WriteSyncer
	for _, name := range []string{pathStdout, pathStderr} {
		if slices.Contains(paths, name) {
			opened = append(opened, streams[name])
		}
	}
	if len(opened) == 0 {
		opened = append(opened, streams[fallback])
	}
	return zapcore.Lock(zapcore.NewMultiWriteSyncer(opened...))
}

// demotingCore lowers entries to the debug level by their message.
type demotingCore struct {
	zapcore.Core
	prefixes []string
}

func (c demotingCore) With(fields []zapcore.Field) zapcore.Core {
	return demotingCore{Core: c.Core.With(fields), prefixes: c.prefixes}
}

func (c demotingCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	for _, prefix := range c.prefixes {
		if strings.HasPrefix(entry.Message, prefix) {
			entry.Level = zapcore.DebugLevel
		}
	}
	return c.Core.Check(entry, checked)
}
