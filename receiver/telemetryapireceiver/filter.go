// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// platformTypes is how the types of the platform's events begin.
const platformTypes = string(telemetryapi.StreamPlatform) + "."

// logFilter says which events become records. The zero value lets all through.
type logFilter struct {
	// include and exclude are patterns of event types; see LogsConfig.
	include, exclude []string
	// minSeverity is the least severity of records that have one.
	minSeverity plog.SeverityNumber
}

func (f *logFilter) passes(event telemetryapi.Event) bool {
	matches := func(pattern string) bool { return matchesEvent(pattern, event) }
	return (len(f.include) == 0 || slices.ContainsFunc(f.include, matches)) && !slices.ContainsFunc(f.exclude, matches)
}

func matchesEvent(pattern string, event telemetryapi.Event) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(string(event.Type), prefix)
	}
	return pattern == string(event.Type) || pattern == string(event.Stream())
}

// dropsLesser removes the records that are less severe than wanted, and returns how many.
func (f *logFilter) dropsLesser(records plog.LogRecordSlice) (dropped uint64) {
	if f.minSeverity == plog.SeverityNumberUnspecified {
		return 0
	}
	records.RemoveIf(func(record plog.LogRecord) bool {
		number := record.SeverityNumber()
		lesser := number != plog.SeverityNumberUnspecified && number < f.minSeverity
		if lesser {
			dropped++
		}
		return lesser
	})
	return dropped
}

// validatePatterns refuses patterns that could never match anything.
func validatePatterns(key string, patterns []string) error {
	var errs []error
	for _, pattern := range patterns {
		name, prefix := strings.CutSuffix(pattern, "*")
		valid := strings.HasPrefix(name, platformTypes) && !strings.Contains(name, "*") && (prefix || name != platformTypes)
		for _, stream := range defaultTypes() {
			valid = valid || name == stream || prefix && strings.HasPrefix(stream, name)
		}
		if !valid {
			errs = append(errs, fmt.Errorf("`%s` has %q; write a type of event as `platform.report`, a stream (`%s`), "+
				"or the beginning of a type with a `*` behind it, as `platform.init*`",
				key, pattern, strings.Join(defaultTypes(), "`, `")))
		}
	}
	return errors.Join(errs...)
}
