// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// level is how serious a log line is.
type level string

const (
	levelDebug level = "debug"
	levelInfo  level = "info"
	levelWarn  level = "warn"
	levelError level = "error"
)

// field is one more member of a log line.
type field struct {
	key    string
	text   string
	number int64
	isText bool
}

func str(key, text string) field { return field{key: key, text: text, isText: true} }

func num(key string, number int64) field { return field{key: key, number: number} }

// marker is the member that tells our lines from the function's when they come back through the Telemetry API.
const marker = `","telemetry.self":"otelcol-lambda"`

// appendLine appends a line of the log in the format of the collector's own. Empty texts are left out.
func appendLine(line []byte, now time.Time, l level, message string, fields []field) []byte {
	line = append(line, `{"level":"`...)
	line = append(line, l...)
	line = append(line, `","ts":"`...)
	line = appendTime(line, now)
	line = append(line, `","msg":"`...)
	line = appendEscaped(line, message)
	line = append(line, marker...)
	for _, f := range fields {
		if f.isText && f.text == "" {
			continue
		}
		line = append(line, ',', '"')
		line = appendEscaped(line, f.key)
		line = append(line, '"', ':')
		if f.isText {
			line = append(line, '"')
			line = appendEscaped(line, f.text)
			line = append(line, '"')
		} else {
			line = strconv.AppendInt(line, f.number, 10)
		}
	}
	return append(line, '}', '\n')
}

// appendTime appends a time as the collector's lines have it: RFC 3339 in UTC with milliseconds. Time.AppendFormat would
// bring time zones with it, which are 60 kB of code.
func appendTime(line []byte, t time.Time) []byte {
	const perDay = 24 * 60 * 60 * 1000
	ms := max(0, t.UnixMilli())
	days, rest := ms/perDay, ms%perDay
	// The calendar repeats every 146097 days; years begin in March here, so that a leap day is the last.
	days += 719468
	era, day := days/146097, days%146097
	year := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153
	day -= (153*month+2)/5 - 1
	year += 400 * era
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	line = append(appendPadded(line, year, 4), '-')
	line = append(appendPadded(line, month, 2), '-')
	line = append(appendPadded(line, day, 2), 'T')
	line = append(appendPadded(line, rest/3_600_000, 2), ':')
	line = append(appendPadded(line, rest/60_000%60, 2), ':')
	line = append(appendPadded(line, rest/1000%60, 2), '.')
	return append(appendPadded(line, rest%1000, 3), 'Z')
}

func appendPadded(line []byte, number int64, width int) []byte {
	digits := strconv.FormatInt(number, 10)
	for range width - len(digits) {
		line = append(line, '0')
	}
	return append(line, digits...)
}

// appendEscaped appends the inside of a JSON string.
func appendEscaped(line []byte, text string) []byte {
	const hex = "0123456789abcdef"
	for _, r := range text { // what is not UTF-8 comes as U+FFFD
		switch {
		case r == '"' || r == '\\':
			line = append(line, '\\', byte(r))
		case r == '\n':
			line = append(line, '\\', 'n')
		case r == '\r':
			line = append(line, '\\', 'r')
		case r == '\t':
			line = append(line, '\\', 't')
		case r < ' ' || r == 0x7f:
			line = append(line, '\\', 'u', '0', '0', hex[r>>4&0xf], hex[r&0xf])
		default:
			line = utf8.AppendRune(line, r)
		}
	}
	return line
}
