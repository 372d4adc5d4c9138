// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

const (
	subscribePath = "/2022-07-01/telemetry"

	// maxUnreadableBytes is how much of an answer that is not JSON goes into the error.
	maxUnreadableBytes = 200
)

// ErrNotSupported says that Lambda took note of the subscription and will never send an event: the environment is
// AWS SAM or the Runtime Interface Emulator, which answer 202. Nothing may wait for events then.
var ErrNotSupported = errors.New("the Telemetry API is not supported by this environment")

// SubscribeError is Lambda's refusal of a subscription.
type SubscribeError struct {
	// Status is the HTTP status.
	Status int
	// ErrorType and Message are what the answer said, as far as it could be read.
	ErrorType string
	Message   string
}

func (e *SubscribeError) Error() string {
	text := "Lambda refused the telemetry subscription with status " + strconv.Itoa(e.Status)
	if e.ErrorType != "" {
		text += " " + e.ErrorType
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Subscribe makes the subscription through do, which sends a request to Lambda; ctx bounds it. Lambda accepts one per
// extension, before Init is over, and wants the listener to be up by then. The error is ErrNotSupported where no events
// will ever come, a *SubscribeError when Lambda refused, and something else when it could not be asked.
func Subscribe(
	ctx context.Context, do func(context.Context, *http1.Request) (*http1.Response, error), extensionID string, s Subscription,
) error {
	resp, err := do(ctx, &http1.Request{
		Method: http.MethodPut,
		Target: subscribePath,
		Header: http1.Header{
			{Name: "Content-Type", Value: "application/json"},
			{Name: "Lambda-Extension-Identifier", Value: extensionID},
		},
		Body: s.body(),
		// The server may close a connection that was kept at the moment when it is used again. A second subscription is
		// refused, and not harmful.
		Replayable: true,
	})
	if err != nil {
		return fmt.Errorf("subscribe to telemetry: %w", err)
	}
	return subscribeResult(resp.Status, resp.Body)
}

func subscribeResult(status int, answer []byte) error {
	switch {
	case status == http.StatusAccepted:
		return ErrNotSupported
	case status >= 200 && status < 300:
		return nil
	}
	var refusal struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}
	if err := json.Unmarshal(answer, &refusal); err != nil {
		// Something other than Lambda answered, a proxy perhaps; its first words say which.
		refusal.ErrorMessage = strings.ToValidUTF8(string(answer[:min(len(answer), maxUnreadableBytes)]), "\uFFFD")
	}
	return &SubscribeError{Status: status, ErrorType: refusal.ErrorType, Message: refusal.ErrorMessage}
}
