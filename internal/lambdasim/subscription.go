// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// The limits of `buffering`, AWS Lambda Telemetry API reference. The documentation disagrees with itself about the
// default of maxItems; this is the value of its overview page and of the Logs API.
const (
	defaultMaxItems = 10_000
	minMaxItems     = 1_000
	maxMaxItems     = 10_000

	defaultMaxBytes = 262_144
	minMaxBytes     = 262_144
	maxMaxBytes     = 1_048_576

	defaultBufferTimeout = 1000
	minBufferTimeout     = 25
	maxBufferTimeout     = 30_000
)

// schemaWithoutObjects is the schema version in which the record of a log line is always a string.
const schemaWithoutObjects = "2022-07-01"

// schemaManaged is the only schema version of Managed Instances.
const schemaManaged = "2025-01-29"

var schemaVersions = []string{schemaWithoutObjects, "2022-12-13", schemaManaged}

// subscription is a validated subscription.
type subscription struct {
	schemaVersion string
	types         []telemetryapi.Stream
	maxItems      int
	maxBytes      int
	timeout       time.Duration
	url           string
}

// parseSubscription checks everything at once, because Lambda's ValidationError lists all that is wrong.
func parseSubscription(body []byte) (subscription, error) {
	var request struct {
		SchemaVersion string                `json:"schemaVersion"`
		Types         []telemetryapi.Stream `json:"types"`
		Buffering     *struct {
			MaxItems  *int `json:"maxItems"`
			MaxBytes  *int `json:"maxBytes"`
			TimeoutMs *int `json:"timeoutMs"`
		} `json:"buffering"`
		Destination struct {
			Protocol string `json:"protocol"`
			URI      string `json:"URI"`
		} `json:"destination"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&request); err != nil {
		return subscription{}, fmt.Errorf("body is not valid: %w", err)
	}

	sub := subscription{
		schemaVersion: request.SchemaVersion,
		types:         request.Types,
		maxItems:      defaultMaxItems,
		maxBytes:      defaultMaxBytes,
		timeout:       defaultBufferTimeout * time.Millisecond,
	}
	var problems []string
	if !slices.Contains(schemaVersions, sub.schemaVersion) {
		problems = append(problems, fmt.Sprintf("schemaVersion should be one of %s", strings.Join(schemaVersions, ", ")))
	}
	if len(sub.types) == 0 {
		problems = append(problems, "types should not be empty")
	}
	for _, t := range sub.types {
		switch t {
		case telemetryapi.StreamPlatform, telemetryapi.StreamFunction, telemetryapi.StreamExtension:
		default:
			problems = append(problems, fmt.Sprintf("types should be platform, function or extension, not %q", t))
		}
	}
	inRange := func(name string, value *int, low, high int, set func(int)) {
		switch {
		case value == nil:
		case *value < low || *value > high:
			problems = append(problems, fmt.Sprintf("%s should be between %d and %d", name, low, high))
		default:
			set(*value)
		}
	}
	if b := request.Buffering; b != nil {
		inRange("maxItems", b.MaxItems, minMaxItems, maxMaxItems, func(v int) { sub.maxItems = v })
		inRange("maxBytes", b.MaxBytes, minMaxBytes, maxMaxBytes, func(v int) { sub.maxBytes = v })
		inRange("timeoutMs", b.TimeoutMs, minBufferTimeout, maxBufferTimeout, func(v int) {
			sub.timeout = time.Duration(v) * time.Millisecond
		})
	}
	destination, err := parseDestination(request.Destination.Protocol, request.Destination.URI)
	if err != nil {
		problems = append(problems, err.Error())
	}
	sub.url = destination
	if len(problems) > 0 {
		return subscription{}, errors.New(strings.Join(problems, "; "))
	}
	return sub, nil
}

func parseDestination(protocol, uri string) (string, error) {
	if protocol != "HTTP" {
		return "", fmt.Errorf("destination protocol %q is not supported here: use HTTP", protocol)
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return "", errors.New("destination URI is not valid")
	case u.Scheme != "http":
		return "", errors.New("destination URI should start with http://")
	case u.Hostname() != "sandbox.localdomain" && u.Hostname() != "sandbox":
		return "", errors.New("destination URI host should be sandbox.localdomain or sandbox")
	case u.Port() == "":
		return "", errors.New("URI port is not provided")
	}
	if port, err := strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
		return "", errors.New("URI port should be between 1 and 65535")
	}
	return u.String(), nil
}
