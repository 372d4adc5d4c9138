// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

func (e *Environment) handleTelemetry(w http.ResponseWriter, r *http.Request) {
	e.pause(r, e.opts.SubscribeDelay)
	switch e.opts.Telemetry {
	case TelemetryNotSupported:
		(&apiError{http.StatusAccepted, "Telemetry.NotSupported", "Telemetry API is not supported"}).write(w)
		return
	case TelemetryRefused:
		subscriptionClosed().write(w)
		return
	case TelemetryFailing:
		(&apiError{http.StatusInternalServerError, "InternalServerError", "Internal Server Error"}).write(w)
		return
	}
	body, failed := readBody(w, r)
	if failed == nil {
		failed = e.subscribe(r, body)
	}
	if failed != nil {
		failed.write(w)
		return
	}
	writeJSON(w, http.StatusOK, "OK")
}

// handleLogs answers for the predecessor of the Telemetry API, which nobody should use any more.
func (e *Environment) handleLogs(w http.ResponseWriter, _ *http.Request) {
	(&apiError{http.StatusAccepted, "Logs.NotSupported", "Logs API is not supported"}).write(w)
}

func subscriptionClosed() *apiError {
	return forbidden("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already")
}

func (e *Environment) subscribe(r *http.Request, body []byte) *apiError {
	e.mu.Lock()
	defer e.mu.Unlock()
	gen, x, failed := e.identify(r)
	if failed != nil {
		return failed
	}
	if gen.initialised {
		// If Init has failed, the extension could not know.
		if gen.failure == nil && !gen.stopping {
			e.violations.add(ViolationLateSubscription, x.name, gen.invocationNumber(), "subscribed to telemetry after Init")
		}
		return subscriptionClosed()
	}
	if x.subscribed {
		e.violations.add(ViolationSecondSubscription, x.name, 0, "subscribed to telemetry a second time")
		return &apiError{http.StatusInternalServerError, "InternalServerError", "the extension has a subscription already"}
	}
	sub, err := parseSubscription(body)
	if err != nil {
		return &apiError{http.StatusBadRequest, "ValidationError", err.Error()}
	}
	if e.managed() && sub.schemaVersion != schemaManaged {
		return &apiError{http.StatusBadRequest, "ValidationError", "schemaVersion should be " + schemaManaged}
	}
	s := newSubscriber(x.name, sub, e.gate, func(ctx context.Context, batch []byte) (int, error) {
		return e.post(ctx, sub.url, batch)
	})
	s.misbehave(e.opts.TelemetryFaults, gen.number)
	s.progress = func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.notify()
	}
	s.refused = func(err error) {
		if detail, ok := e.deliveryProblem(gen, x, fmt.Sprintf("did not take a delivery: %s", err)); ok {
			e.violations.add(ViolationListenerRefused, x.name, detail.invocation, detail.text)
		}
	}
	s.badStatus = func(status int) {
		if detail, ok := e.deliveryProblem(gen, x, fmt.Sprintf("answered a delivery with status %d", status)); ok {
			e.violations.add(ViolationListenerStatus, x.name, detail.invocation, detail.text)
		}
	}
	x.subscribed = true
	if !gen.hub.subscribe(s) {
		return subscriptionClosed()
	}
	return nil
}

type problem struct {
	invocation int
	text       string
}

// deliveryProblem says whether a failed delivery is the subscriber's fault, which it is not when it has ended or may
// end. It is told once.
func (e *Environment) deliveryProblem(gen *generation, x *extension, text string) (problem, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if gen.stopping || gen.failure != nil || (!x.internal && !x.running()) || x.deliveryFailed {
		return problem{}, false
	}
	// Its process may have ended and not been reaped, which takes its time on a busy machine.
	if !x.internal && len(family([]int{x.proc.pid})) == 0 {
		return problem{}, false
	}
	x.deliveryFailed = true
	return problem{invocation: gen.invocationNumber(), text: text}, true
}

// newDeliveryClient sends what is meant for the sandbox to this machine. Nothing of the environment's proxies applies.
func newDeliveryClient() *http.Client {
	dialer := &net.Dialer{Timeout: time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
			MaxIdleConnsPerHost: 1,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (e *Environment) post(ctx context.Context, target string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.deliveries.Do(req)
	if err != nil {
		// Without the method and URL that the client adds.
		if wrapped, ok := err.(*url.Error); ok { //nolint:errorlint // It is the outermost error of Do.
			err = wrapped.Err
		}
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAPIBody)
	return resp.StatusCode, resp.Body.Close()
}
