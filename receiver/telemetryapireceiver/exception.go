// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
)

// Attributes of OpenTelemetry's semantic conventions for exceptions.
const (
	attrExceptionType       = "exception.type"
	attrExceptionMessage    = "exception.message"
	attrExceptionStacktrace = "exception.stacktrace"
)

// takeException puts a field of a JSON object where OpenTelemetry has exceptions, if it is a part of one. Lambda's
// runtimes write errorType, errorMessage and stackTrace (Node.js in text format: stack); loggers write an object under
// `err` or `error`.
func takeException(attributes pcommon.Map, f field) bool {
	switch string(f.name) {
	case "errorType":
		return putException(attributes, attrExceptionType, f.value)
	case "errorMessage":
		return putException(attributes, attrExceptionMessage, f.value)
	case "stackTrace":
		return putException(attributes, attrExceptionStacktrace, f.value)
	case "stack":
		// The word has other meanings, without an error next to it.
		_, isError := attributes.Get(attrExceptionType)
		return isError && putException(attributes, attrExceptionStacktrace, f.value)
	case "err", "error":
		return takeErrorObject(attributes, string(f.name), f.value)
	default:
		return false
	}
}

// putException is false when the value is no text, or there is another one already.
func putException(attributes pcommon.Map, attribute string, value []byte) bool {
	text, ok := rawjson.String(value)
	if !ok {
		if attribute != attrExceptionStacktrace || rawjson.KindOf(value) != rawjson.KindArray {
			return false
		}
		text = joinLines(value)
	}
	if _, known := attributes.Get(attribute); known {
		return false
	}
	putNonEmpty(attributes, attribute, text)
	return true
}

// joinLines makes one text of an array of lines. Go's runtime has an object for each frame.
func joinLines(array []byte) string {
	var text strings.Builder
	for line := range rawjson.Elements(array) {
		if text.Len() > 0 {
			text.WriteByte('\n')
		}
		s, ok := rawjson.String(line)
		if !ok {
			s = frameText(line)
		}
		text.WriteString(strings.TrimRight(s, "\r\n"))
	}
	return text.String()
}

// frameText writes {"path": …, "line": …, "label": …} as Go writes stack traces. Other JSON stays as it is.
func frameText(frame []byte) string {
	var path, label string
	var line []byte
	fields, _ := appendFields(nil, frame)
	for _, f := range fields {
		switch string(f.name) {
		case "path":
			path, _ = rawjson.String(f.value)
		case "label":
			label, _ = rawjson.String(f.value)
		case "line":
			line = f.value
		}
	}
	if len(fields) != 3 || path == "" || label == "" || rawjson.KindOf(line) != rawjson.KindNumber {
		return strings.ToValidUTF8(string(frame), "\uFFFD")
	}
	return label + "\n\t" + path + ":" + string(line)
}

// takeErrorObject takes the error that pino, bunyan and others log: {"type": …, "message": …, "stack": …}. What else
// it has stays under its name.
func takeErrorObject(attributes pcommon.Map, name string, value []byte) bool {
	fields, complete := appendFields(nil, value)
	kind, message, stack := choice{index: -1}, choice{index: -1}, choice{index: -1}
	for i, f := range fields {
		switch string(f.name) {
		case "type":
			kind.offer(i, 0)
		case "name":
			kind.offer(i, 1)
		case "message":
			message.offer(i, 0)
		case "stack":
			stack.offer(i, 0)
		}
	}
	if !complete || min(kind.index, message.index, stack.index) < 0 ||
		rawjson.KindOf(fields[stack.index].value) != rawjson.KindString ||
		!putException(attributes, attrExceptionType, fields[kind.index].value) {
		return false
	}
	rest := pcommon.NewMap()
	for i, f := range fields {
		switch {
		case i == kind.index:
		case i == message.index && putException(attributes, attrExceptionMessage, f.value):
		case i == stack.index && putException(attributes, attrExceptionStacktrace, f.value):
		default:
			setJSON(rest.PutEmpty(f.text()), f.value)
		}
	}
	if rest.Len() > 0 {
		rest.MoveTo(attributes.PutEmptyMap(name))
	}
	return true
}

// exceptionText is the first line that a stack trace has, or empty if the attributes tell of no exception.
func exceptionText(attributes pcommon.Map) string {
	kind, hasKind := attributes.Get(attrExceptionType)
	message, hasMessage := attributes.Get(attrExceptionMessage)
	switch {
	case hasKind && hasMessage:
		return kind.AsString() + ": " + message.AsString()
	case hasKind:
		return kind.AsString()
	case hasMessage:
		return message.AsString()
	default:
		return ""
	}
}

// isErrorObject recognizes what Lambda's runtimes make of an error that the function did not catch.
func isErrorObject(object []byte) bool {
	var space [usualFields]field
	fields, _ := appendFields(space[:0], object)
	named := func(name string) bool {
		return slices.ContainsFunc(fields, func(f field) bool { return string(f.name) == name })
	}
	return named("errorType") && named("errorMessage")
}

// cutErrorObject finds such an error at the end of a line. Node.js puts `Invoke Error` in front of it, Go the time.
func cutErrorObject(text string) (before string, object []byte, ok bool) {
	if !strings.HasSuffix(text, "}") {
		return "", nil, false
	}
	at := strings.Index(text, `{"error`)
	if at < 1 || text[at-1] != '\t' && text[at-1] != ' ' {
		return "", nil, false
	}
	object, ok = jsonObject(text[at:])
	return strings.TrimRight(text[:at], " \t"), object, ok && isErrorObject(object)
}

// cutStackTrace takes the stack trace off the end of a text, as the runtimes and loggers of Node.js, Java, .NET and
// Python write it, and returns what is left. It leaves the text as it is unless it finds the name of the error.
func cutStackTrace(record plog.LogRecord, text string) string {
	lines := text
	if !strings.Contains(lines, "\n") {
		if !strings.Contains(lines, "\r") {
			return text
		}
		// To stdout, the runtimes of Node.js and Python write several lines like that.
		lines = strings.ReplaceAll(lines, "\r", "\n")
	}
	var trace exception
	var ok bool
	if at := strings.Index("\n"+lines, "\n"+pythonTrace); at >= 0 {
		trace, ok = pythonException(lines, at)
	} else {
		trace, ok = framedException(lines)
	}
	if !ok {
		return text
	}
	attributes := record.Attributes()
	if _, known := attributes.Get(attrExceptionType); !known {
		attributes.PutStr(attrExceptionType, trace.kind)
		putNonEmpty(attributes, attrExceptionMessage, trace.message)
		putNonEmpty(attributes, attrExceptionStacktrace, trace.stack)
		return trace.before
	}
	// In JSON format, Node.js writes the stack trace into the message too.
	if stack, ok := attributes.Get(attrExceptionStacktrace); ok && stack.AsString() == trace.stack {
		return trace.before
	}
	return text
}

// exception is one that was found in a text.
type exception struct {
	before, kind, message, stack string
}

const pythonTrace = "Traceback (most recent call last):"

// pythonException reads a text with a traceback at the given position. Lambda's runtime names the error in front of it,
// Python's logger at the end.
func pythonException(text string, at int) (exception, bool) {
	e := exception{before: strings.TrimRight(text[:at], "\r\n")}
	// Lambda's runtime indents with spaces that do not break.
	e.stack = strings.TrimRight(strings.ReplaceAll(text[at:], "\u00a0", " "), "\r\n")
	last := e.stack[strings.LastIndexByte(e.stack, '\n')+1:]
	line, ours := strings.CutPrefix(e.before, "[ERROR] ")
	if !ours {
		line = last
	}
	if e.before == "" {
		e.before = last
	}
	if e.stack == pythonTrace {
		e.stack = ""
	}
	e.kind, e.message, _ = strings.Cut(line, ": ")
	return e, isIdentifier(e.kind)
}

// framedException reads a text in which the line with the error is followed by frames: lines that are indented and
// begin with `at `.
func framedException(text string) (exception, bool) {
	line, next := "", text
	for more := true; more; {
		start := len(text) - len(next)
		previous, begin := line, start-len(line)-1
		line, next, more = strings.Cut(next, "\n")
		if frame := strings.TrimLeft(line, " \t"); len(frame) == len(line) || !strings.HasPrefix(frame, "at ") {
			continue
		}
		if begin < 0 {
			return exception{}, false
		}
		at, kind, message := errorName(previous)
		begin += max(at, 0)
		e := exception{
			before: strings.TrimSpace(text[:begin]), kind: kind, message: strings.TrimRight(message, "\r"),
			stack: strings.TrimRight(text[begin:], "\r\n"),
		}
		if e.before == "" {
			e.before = strings.TrimRight(previous, "\r")
		}
		return e, at >= 0
	}
	return exception{}, false
}

// errorName finds the name of an error in a line, and the message behind it: `java.lang.IllegalStateException: closed`,
// `order failed TypeError [ERR_X]: no order`.
func errorName(line string) (at int, kind, message string) {
	for at < len(line) {
		word, rest, _ := strings.Cut(line[at:], " ")
		kind = strings.TrimRight(word, ":\r")
		if (strings.HasSuffix(kind, "Error") || strings.HasSuffix(kind, "Exception")) && isIdentifier(kind) &&
			(len(kind) < len(word) || rest == "" || rest[0] == '[') {
			_, message, _ = strings.Cut(line[at:], ": ")
			return at, kind, message
		}
		at += len(word) + 1
	}
	return -1, "", ""
}

// isIdentifier says whether a name could be that of a class, with the packages around it.
func isIdentifier(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c >= 0x80, strings.IndexByte("._$+`", c) >= 0:
		default:
			return false
		}
	}
	return name != ""
}
