// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// readHeaders makes a map of an OTLP exporter's headers that are given as text in the format of the SDKs'
// OTEL_EXPORTER_OTLP_HEADERS, which is how they fit into one environment variable.
func readHeaders(d *document, id string) {
	cfg, ok := d.exporter(id)
	text, isText := cfg["headers"].(string)
	if !ok || !isText || !isOTLP(id) {
		return
	}
	path := []string{"exporters", id, "headers"}
	headers, bad := parseHeaders(text)
	for _, position := range bad {
		d.warn("a header is not of the form name=value and is left out", []zap.Field{
			keyField(path...), zap.Int("position", position),
			zap.String("hint", "separate headers by commas, and percent-encode commas and control characters in values"),
		})
	}
	if len(headers) == 0 {
		d.did("the exporter has no headers", []zap.Field{keyField(path...)}, remove(path...))
		return
	}
	names := slices.Sorted(maps.Keys(headers))
	d.did("the headers are read from text of the form name=value,name=value",
		[]zap.Field{keyField(path...), zap.Strings("names", names)}, set(headers, path...))
}

// parseHeaders reads `name=value,name=value`. Space around names and values does not count, values may contain `=` and
// are percent-decoded; of two equal names the later wins. bad are the positions, from 1, of what is no header; an empty
// place between two commas is nothing.
func parseHeaders(text string) (headers map[string]any, bad []int) {
	headers = map[string]any{}
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		// A value that is not valid percent-encoding is meant literally: an API key with a % in it.
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		if !found || !isHeaderName(name) || !isHeaderValue(value) {
			bad = append(bad, i+1)
			continue
		}
		headers[name] = value
	}
	return headers, bad
}

// isHeaderName tells tokens of RFC 9110, section 5.6.2.
func isHeaderName(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		letterOrDigit := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letterOrDigit && !strings.ContainsRune(others, r)
	}) < 0
}

// isHeaderValue tells what HTTP lets through: one with a line break or another control character fails every request.
func isHeaderValue(value string) bool {
	return strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}
