// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
)

// timeLayouts are the ways in which log libraries write times. Fractions after the seconds, behind a dot or a comma,
// are read with each of them. What has no zone is in UTC, as Lambda's clock is.
var timeLayouts = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05 Z0700",
	"2006-01-02 15:04:05 Z07:00",
	"2006-01-02 15:04:05 MST",
}

// Numbers are times if they lie between these, counted in seconds or a smaller unit; the four units' ranges do not
// overlap. Other numbers under a key like `time` are durations, and what not.
const (
	earliestEpoch = 946_684_800   // 2000-01-01
	latestEpoch   = 4_102_444_800 // 2100-01-01
)

// parseTimestamp reads a time in a log record. It is false when the value is none.
func parseTimestamp(raw []byte) (time.Time, bool) {
	switch rawjson.KindOf(raw) {
	case rawjson.KindString:
		// Nearly all are RFC 3339, and this needs no copy of the text.
		var t time.Time
		if len(raw) > 2 && '0' <= raw[1] && raw[1] <= '9' && t.UnmarshalText(raw[1:len(raw)-1]) == nil {
			return inRange(t)
		}
		text, _ := rawjson.String(raw)
		return parseTimeText(strings.TrimSpace(text))
	case rawjson.KindNumber:
		return parseEpoch(string(raw))
	default:
		return time.Time{}, false
	}
}

func parseTimeText(text string) (time.Time, bool) {
	// Saves trying all layouts on what is no time.
	if len(text) < len("2006-01-02T15:04:05") || text[4] != '-' {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			if layout == "2006-01-02 15:04:05 MST" && !strings.HasSuffix(text, " UTC") && !strings.HasSuffix(text, " GMT") {
				// Go takes any three letters for a zone, without knowing its offset.
				return time.Time{}, false
			}
			return inRange(t)
		}
	}
	return time.Time{}, false
}

func inRange(t time.Time) (time.Time, bool) {
	return t.UTC(), t.Unix() > 0 && t.Unix() < latestEpoch
}

// setTime gives a record the time that the line itself says. Where that has only seconds, and the platform has read the
// line in the same second, the platform's time stays: it keeps the lines of a second in order.
func setTime(record plog.LogRecord, t time.Time) {
	stamp, event := pcommon.NewTimestampFromTime(t), record.Timestamp()
	if t.Nanosecond() != 0 || event < stamp || event-stamp >= pcommon.Timestamp(time.Second) {
		record.SetTimestamp(stamp)
	}
}

// parseEpoch reads seconds, milliseconds, microseconds or nanoseconds since 1970.
func parseEpoch(text string) (time.Time, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	var fraction float64
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f < earliestEpoch || f >= latestEpoch*1e9 {
			return time.Time{}, false
		}
		n = int64(f)
		fraction = f - float64(n)
	}
	for unit := int64(time.Second); unit > 0; unit /= 1000 {
		perSecond := int64(time.Second) / unit
		if n >= earliestEpoch*perSecond && n < latestEpoch*perSecond {
			t := time.Unix(n/perSecond, n%perSecond*unit+int64(fraction*float64(unit))).UTC()
			if fraction != 0 {
				// Seconds of today in floating point are good for a quarter of a microsecond.
				t = t.Round(time.Microsecond)
			}
			return t, true
		}
	}
	return time.Time{}, false
}
