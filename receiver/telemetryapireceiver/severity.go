// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

// setSeverity reads the value of a log library's level. The text stays as the library wrote it. It is false when the
// value cannot be a level, and is to be kept in another way.
func setSeverity(record plog.LogRecord, raw []byte) bool {
	switch rawjson.KindOf(raw) {
	case rawjson.KindString:
		text, _ := rawjson.String(raw)
		setSeverityText(record, text)
		return true
	case rawjson.KindNumber:
		record.SetSeverityText(string(raw))
		if n, err := strconv.ParseFloat(string(raw), 64); err == nil {
			record.SetSeverityNumber(pinoSeverity(n))
		}
		return true
	default:
		return false
	}
}

func setSeverityText(record plog.LogRecord, text string) {
	record.SetSeverityText(text)
	record.SetSeverityNumber(textSeverity(text))
}

// pinoSeverity reads the numbers of pino and bunyan, where custom levels lie between the known ones. Smaller numbers
// are other people's scales, and these run in either direction.
func pinoSeverity(level float64) plog.SeverityNumber {
	switch {
	case level >= 60:
		return plog.SeverityNumberFatal
	case level >= 50:
		return plog.SeverityNumberError
	case level >= 40:
		return plog.SeverityNumberWarn
	case level >= 30:
		return plog.SeverityNumberInfo
	case level >= 20:
		return plog.SeverityNumberDebug
	case level >= 10:
		return plog.SeverityNumberTrace
	default:
		return plog.SeverityNumberUnspecified
	}
}

// textSeverity reads the names of levels that the runtimes of Lambda and the usual libraries write, in any case.
// OpenTelemetry's own steps (INFO2 to INFO4) and those of Go's slog (INFO+2) are understood.
func textSeverity(text string) plog.SeverityNumber {
	name := strings.ToUpper(strings.TrimSpace(text))
	if number := namedSeverity(name); number != plog.SeverityNumberUnspecified {
		return number
	}
	end := strings.IndexAny(name, "+-234")
	if end <= 0 {
		return plog.SeverityNumberUnspecified
	}
	base := namedSeverity(name[:end])
	step, err := strconv.Atoi(name[end:])
	if base == plog.SeverityNumberUnspecified || err != nil || step < -8 || step > 8 {
		return plog.SeverityNumberUnspecified
	}
	if name[end] >= '2' && name[end] <= '4' {
		step-- // INFO2 is one above INFO
	}
	return min(max(base+plog.SeverityNumber(step), plog.SeverityNumberTrace), plog.SeverityNumberFatal4)
}

func namedSeverity(name string) plog.SeverityNumber {
	switch name {
	case "TRACE", "VERBOSE", "FINEST", "ALL":
		return plog.SeverityNumberTrace
	case "DEBUG", "FINE", "FINER":
		return plog.SeverityNumberDebug
	case "INFO", "INFORMATION", "INFORMATIONAL", "NOTICE", "CONFIG":
		return plog.SeverityNumberInfo
	case "WARN", "WARNING":
		return plog.SeverityNumberWarn
	case "ERROR", "ERR", "SEVERE":
		return plog.SeverityNumberError
	case "FATAL", "CRITICAL", "CRIT", "ALERT", "EMERGENCY", "EMERG", "PANIC", "DPANIC":
		return plog.SeverityNumberFatal
	default:
		return plog.SeverityNumberUnspecified
	}
}
