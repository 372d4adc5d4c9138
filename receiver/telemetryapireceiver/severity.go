// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
)

// setSeverity reads the value of a log library's level. The text stays as the library wrote it. It is false when the
// value cannot be a level, and is to be kept in another way.
func setSeverity(record plog.LogRecord, raw []byte) bool {
	switch rawjson.KindOf(raw) {
	case rawjson.KindString:
		setSeverityText(record, levelText(raw))
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

// levelText is the text of a level. The usual ones need no memory of their own.
func levelText(raw []byte) string {
	switch string(raw) {
	case `"DEBUG"`:
		return "DEBUG"
	case `"INFO"`:
		return "INFO"
	case `"WARN"`:
		return "WARN"
	case `"ERROR"`:
		return "ERROR"
	default:
		text, _ := rawjson.String(raw)
		return text
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
	text = strings.TrimSpace(text)
	if number := namedSeverity(text); number != plog.SeverityNumberUnspecified {
		return number
	}
	end := strings.IndexAny(text, "+-234")
	if end <= 0 {
		return plog.SeverityNumberUnspecified
	}
	base := namedSeverity(text[:end])
	step, err := strconv.Atoi(text[end:])
	if base == plog.SeverityNumberUnspecified || err != nil || step < -8 || step > 8 {
		return plog.SeverityNumberUnspecified
	}
	if text[end] >= '2' && text[end] <= '4' {
		step-- // INFO2 is one above INFO
	}
	return min(max(base+plog.SeverityNumber(step), plog.SeverityNumberTrace), plog.SeverityNumberFatal4)
}

// maxLevelLen is the length of the longest name, INFORMATIONAL.
const maxLevelLen = 13

func namedSeverity(name string) plog.SeverityNumber {
	if len(name) > maxLevelLen {
		return plog.SeverityNumberUnspecified
	}
	var upper [maxLevelLen]byte
	for i := range len(name) {
		upper[i] = name[i]
		if 'a' <= name[i] && name[i] <= 'z' {
			upper[i] -= 'a' - 'A'
		}
	}
	switch string(upper[:len(name)]) {
	case "TRACE", "TRCE", "VERBOSE", "FINEST", "ALL":
		return plog.SeverityNumberTrace
	case "DEBUG", "DBUG", "FINE", "FINER":
		return plog.SeverityNumberDebug
	case "INFO", "INFORMATION", "INFORMATIONAL", "NOTICE", "CONFIG":
		return plog.SeverityNumberInfo
	case "WARN", "WARNING":
		return plog.SeverityNumberWarn
	case "ERROR", "ERR", "FAIL", "SEVERE":
		return plog.SeverityNumberError
	case "FATAL", "CRITICAL", "CRIT", "ALERT", "EMERGENCY", "EMERG", "PANIC", "DPANIC":
		return plog.SeverityNumberFatal
	default:
		return plog.SeverityNumberUnspecified
	}
}
