// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"strconv"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
)

// SchemaVersion is the schema that NewSubscription asks for. AWS Lambda Telemetry API: Managed Instances accept no
// other, and functions elsewhere get the same events as with the ones before.
const SchemaVersion = "2025-01-29"

// The smallest buffers that the AWS Lambda Telemetry API accepts. Lambda delivers when the first of the limits is
// reached, and an invocation that waits for its `platform.runtimeDone` is billed for the time it lies in a buffer, so
// the time is the one that counts. The sizes are small because the buffer's memory is the function's.
const (
	minBufferItems     = 1000
	minBufferBytes     = 256 << 10
	minBufferTimeoutMs = 25
)

// Subscription is the body of a subscription request of the AWS Lambda Telemetry API.
type Subscription struct {
	SchemaVersion string      `json:"schemaVersion"`
	Types         []Stream    `json:"types"`
	Buffering     Buffering   `json:"buffering"`
	Destination   Destination `json:"destination"`
}

// Buffering says how long Lambda collects events before it delivers them.
type Buffering struct {
	// MaxItems is a number of events, 1000 to 10000.
	MaxItems int `json:"maxItems"`
	// MaxBytes is 262144 to 1048576.
	MaxBytes int `json:"maxBytes"`
	// TimeoutMs is in milliseconds, 25 to 30000.
	TimeoutMs int `json:"timeoutMs"`
}

// Destination says where Lambda delivers to.
type Destination struct {
	// Protocol is `HTTP`.
	Protocol string `json:"protocol"`
	// URI is `http://sandbox.localdomain:PORT/`; the port must be there.
	URI string `json:"URI"`
}

// body is what encoding/json would make of the subscription. That would build an encoder for the type first, in each start
// for this one text.
func (s Subscription) body() []byte {
	body := append(make([]byte, 0, 256), `{"schemaVersion":`...)
	body = rawjson.AppendString(body, s.SchemaVersion)
	body = append(body, `,"types":`...)
	body = rawjson.AppendStrings(body, s.Types)
	body = append(body, `,"buffering":{"maxItems":`...)
	body = strconv.AppendInt(body, int64(s.Buffering.MaxItems), 10)
	body = append(body, `,"maxBytes":`...)
	body = strconv.AppendInt(body, int64(s.Buffering.MaxBytes), 10)
	body = append(body, `,"timeoutMs":`...)
	body = strconv.AppendInt(body, int64(s.Buffering.TimeoutMs), 10)
	body = append(body, `},"destination":{"protocol":`...)
	body = rawjson.AppendString(body, s.Destination.Protocol)
	body = append(body, `,"URI":`...)
	body = rawjson.AppendString(body, s.Destination.URI)
	return append(body, "}}"...)
}

// NewSubscription returns a subscription of the streams that delivers to uri by HTTP, as soon as Lambda can be made
// to. All buffer limits are set, because the defaults are documented in two ways.
func NewSubscription(uri string, streams []Stream) Subscription {
	return Subscription{
		SchemaVersion: SchemaVersion,
		Types:         streams,
		Buffering:     Buffering{MaxItems: minBufferItems, MaxBytes: minBufferBytes, TimeoutMs: minBufferTimeoutMs},
		Destination:   Destination{Protocol: "HTTP", URI: uri},
	}
}
