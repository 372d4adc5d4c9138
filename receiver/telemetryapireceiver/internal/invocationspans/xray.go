// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// xrayHeader is what an X-Ray trace header says. An id that is missing or wrong is zero.
type xrayHeader struct {
	root   pcommon.TraceID
	parent pcommon.SpanID
	// sampled and unsampled say that the header has the decision; neither is set where it is left to others.
	sampled, unsampled bool
}

// parseXRay reads a header such as `Root=1-5f35ae12-0c0fec141ab77a00bc047aa2;Parent=2be948a625588e32;Sampled=1`. Fields may
// come in any order, and others are skipped. If one comes more than once, the first counts.
func parseXRay(header string) (h xrayHeader) {
	for header != "" {
		var field string
		field, header, _ = strings.Cut(header, ";")
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "Root":
			if h.root.IsEmpty() {
				h.root = xrayTraceID(value)
			}
		case "Parent":
			if h.parent.IsEmpty() {
				decodeHex(h.parent[:], value)
			}
		case "Sampled":
			if !h.sampled && !h.unsampled {
				h.sampled, h.unsampled = value == "1", value == "0"
			}
		}
	}
	return h
}

// xrayTraceID reads a version, 8 digits of a time, and 24 random ones.
func xrayTraceID(value string) (id pcommon.TraceID) {
	const version = "1-"
	value, ok := strings.CutPrefix(value, version)
	timePart, randomPart, dash := strings.Cut(value, "-")
	if !ok || !dash || !decodeHex(id[:4], timePart) || !decodeHex(id[4:], randomPart) {
		return pcommon.TraceID{}
	}
	return id
}

// decodeHex fills dst, or leaves it zero if text is not as many hexadecimal digits as that takes.
func decodeHex(dst []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(dst)) {
		return false
	}
	if _, err := hex.Decode(dst, []byte(text)); err != nil {
		clear(dst)
		return false
	}
	return true
}
