// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	subscribePath = "/2022-07-01/telemetry"

	// subscribeTimeout bounds the request. It is a call on the local host that takes a millisecond; Init as a whole
	// has 10 s, and a collector that gets no events is better than a function that does not start.
	subscribeTimeout = 3 * time.Second

	// maxAnswerBytes bounds what is read of an answer. Real ones have 200 bytes at most.
	maxAnswerBytes = 64 << 10

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

// Client subscribes to the AWS Lambda Telemetry API.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client of the API at runtimeAPI, which is the `host:port` of AWS_LAMBDA_RUNTIME_API. Requests go over
// transport, which may have a connection to it, or one of the client's own if that is nil.
func NewClient(runtimeAPI string, transport http.RoundTripper) *Client {
	if transport == nil {
		transport = &http.Transport{
			// The function's HTTP_PROXY is ours too, and the API's address need not be one that Go would exempt.
			Proxy: nil,
			// One request is all there is: a kept connection would be a descriptor lost to the function.
			DisableKeepAlives: true,
		}
	}
	return &Client{
		url: "http://" + runtimeAPI + subscribePath,
		http: &http.Client{
			Timeout:       subscribeTimeout,
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Subscribe makes the subscription. Lambda accepts one per extension, before Init is over, and wants the listener to
// be up by then. The error is ErrNotSupported where no events will ever come, a *SubscribeError when Lambda refused,
// and something else when it could not be asked.
func (c *Client) Subscribe(ctx context.Context, extensionID string, s Subscription) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode telemetry subscription: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("subscribe to telemetry: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Lambda-Extension-Identifier", extensionID)
	// The server may close a connection that was kept at the moment when it is used again. With this key net/http then opens
	// another one; a key without a value is not sent. A second subscription is refused, and not harmful.
	req.Header["Idempotency-Key"] = nil
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("subscribe to telemetry: %w", err)
	}
	defer resp.Body.Close()
	// The status alone decides: an answer that breaks off is read as far as it goes.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	return subscribeResult(resp.StatusCode, answer)
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
