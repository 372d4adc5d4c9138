// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// header is what stands in front of a message in text. What it does not say is empty.
type header struct {
	level     string
	time      time.Time
	requestID string
	// logger is the name of the logger.
	logger string
	// message is the text behind the header. It is all of the text when that says no more than a level: then the level
	// could be part of the sentence.
	message string
}

// parseHeader reads what the runtimes of Lambda and the usual libraries write. It is strict: a line that merely
// resembles it is the function's own, and stays whole.
func parseHeader(text string) (header, bool) {
	if text == "" {
		return header{}, false
	}
	if h, ok := parseTabs(text); ok {
		return h, true
	}
	if '0' <= text[0] && text[0] <= '9' {
		return parseTimeAndLevel(text)
	}
	if len(text) > 4 && text[1:4] == ", [" {
		return parseRuby(text)
	}
	if level, _, ok := cutLevel(text); ok {
		return header{level: level, message: text}, true
	}
	return header{}, false
}

// parseTabs reads the formats of the Node.js, .NET and Python runtimes:
//
//	2026-10-08T07:30:29.443Z<tab>request id<tab>LEVEL<tab>message
//	[LEVEL]<tab>2026-10-08T07:30:29.443Z<tab>request id<tab>message
func parseTabs(text string) (header, bool) {
	first, rest, ok := strings.Cut(text, "\t")
	if !ok {
		return header{}, false
	}
	second, rest, ok := strings.Cut(rest, "\t")
	if !ok {
		return header{}, false
	}
	third, message, ok := strings.Cut(rest, "\t")
	if !ok {
		return header{}, false
	}
	h := header{message: message}
	var timeText, id string
	if level, bracketed := strings.CutPrefix(first, "["); bracketed {
		h.level, bracketed = strings.CutSuffix(level, "]")
		if !bracketed {
			return header{}, false
		}
		timeText, id = padMilliseconds(second), third
	} else {
		timeText, id, h.level = first, second, third
	}
	var err error
	if h.time, err = time.Parse(time.RFC3339, timeText); err != nil || strings.ContainsAny(id, " \n") ||
		textSeverity(h.level) == plog.SeverityNumberUnspecified {
		return header{}, false
	}
	// Node.js writes `undefined` outside of invocations, Python nothing.
	if id != "undefined" {
		h.requestID = id
	}
	return h, true
}

// padMilliseconds makes up for Python's runtime, which used to write the milliseconds as a number without leading
// zeros: five of them are `.5`.
func padMilliseconds(text string) string {
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return text
	}
	digits := len(strings.TrimRight(text[dot+1:], "Z"))
	if digits == 0 || digits > 2 {
		return text
	}
	return text[:dot+1] + strings.Repeat("0", 3-digits) + text[dot+1:]
}

// parseTimeAndLevel reads what Java's and Python's loggers write as a rule, with the request id or without:
//
//	2026-10-08 07:30:29 79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36 INFO  message
//	2026-10-08 07:30:29,443 ERROR message
func parseTimeAndLevel(text string) (header, bool) {
	const date = len("2026-10-08 ")
	if len(text) < date {
		return header{}, false
	}
	end := strings.IndexByte(text[date:], ' ')
	if end < 0 {
		return header{}, false
	}
	var h header
	var ok bool
	if h.time, ok = parseTimeText(text[:date+end]); !ok {
		return header{}, false
	}
	rest := strings.TrimLeft(text[date+end:], " ")
	if id, behind, cut := strings.Cut(rest, " "); cut && isUUID(id) {
		h.requestID, rest = id, strings.TrimLeft(behind, " ")
	}
	h.level, h.message, ok = cutLevel(rest)
	return h, ok
}

// parseRuby reads the format of Ruby's logger, to which Lambda's runtime adds the request id:
//
//	E, [2026-10-08T07:30:29.443123 #8] ERROR 79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36 -- logger: message
func parseRuby(text string) (header, bool) {
	timeText, rest, _ := strings.Cut(text[4:], " #")
	pid, rest, _ := strings.Cut(rest, "] ")
	level, rest, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !ok {
		return header{}, false
	}
	h := header{level: level}
	if !strings.HasPrefix(rest, "-- ") {
		h.requestID, rest, _ = strings.Cut(rest, " ")
	}
	if rest, ok = strings.CutPrefix(rest, "-- "); !ok {
		return header{}, false
	}
	h.logger, h.message, ok = strings.Cut(rest, ": ")
	if !ok || strings.Contains(h.logger, "\n") {
		return header{}, false
	}
	if _, err := strconv.Atoi(pid); err != nil || text[0] != level[0] ||
		textSeverity(level) == plog.SeverityNumberUnspecified {
		return header{}, false
	}
	h.time, ok = parseTimeText(timeText)
	return h, ok
}

// cutLevel reads a level at the beginning of text, and returns what comes behind it: `[ERROR] …` and `error: …` in any
// case, `ERROR …` in capitals only, because what else would tell it from a word.
func cutLevel(text string) (level, rest string, ok bool) {
	level, bracketed := strings.CutPrefix(text, "[")
	end := 0
	for end < len(level) && 'a' <= level[end]|0x20 && level[end]|0x20 <= 'z' {
		end++
	}
	if end == len(level) || end > len("CRITICAL") {
		return "", "", false
	}
	level, rest = level[:end], level[end:]
	switch c := rest[0]; {
	case bracketed && c == ']', !bracketed && c == ':':
		rest = rest[1:]
	case bracketed, level != strings.ToUpper(level):
		return "", "", false
	}
	message := strings.TrimLeft(rest, " \t")
	return level, message, isPlainLevel(level) && message != "" && len(message) < len(rest)
}

// isPlainLevel knows fewer names than textSeverity: those that are hardly the first word of a sentence.
func isPlainLevel(name string) bool {
	switch strings.ToUpper(name) {
	case "TRACE", "TRCE", "DEBUG", "DBUG", "INFO", "WARN", "WARNING", "ERROR", "FAIL", "SEVERE", "FATAL", "CRIT",
		"CRITICAL":
		return true
	default:
		return false
	}
}

// logfmtObject turns a line of `key=value` pairs, as the text handler of Go's slog writes it, into a JSON object. Only
// lines that begin with a time and have a level and a message are taken for one.
//
//	time=2026-10-08T07:30:29.443Z level=ERROR msg="order failed" order=12
func logfmtObject(text string) ([]byte, bool) {
	if !strings.HasPrefix(text, "time=") || !strings.Contains(text, " level=") || !strings.Contains(text, " msg=") {
		return nil, false
	}
	object := []byte{'{'}
	for n := 0; text != ""; n++ {
		key, rest, ok := strings.Cut(text, "=")
		if !ok || key == "" || n == maxFields || strings.ContainsAny(key, " \t\"") {
			return nil, false
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, false
			}
			rest = rest[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil || rest != "" && rest[0] != ' ' {
				return nil, false
			}
			rest = strings.TrimPrefix(rest, " ")
		} else {
			value, rest, _ = strings.Cut(rest, " ")
		}
		if n > 0 {
			object = append(object, ',')
		}
		object = appendJSONString(append(appendJSONString(object, key), ':'), value)
		text = rest
	}
	return append(object, '}'), true
}

func appendJSONString(dst []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // Strings can always be marshalled.
	return append(dst, quoted...)
}
