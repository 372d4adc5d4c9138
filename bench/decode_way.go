// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver"
)

// The names of the ways. They are keys of the JSON as well.
const (
	nameDecoder = "decoder"
	nameMapper  = "decoder+mapper"
	nameMaps    = "maps"
)

// way is how the body of a delivery is turned into something else.
type way struct {
	name string
	// open begins an environment.
	open func(ctx context.Context) (handler, error)
}

// handler takes the deliveries of one environment, one after the other.
type handler struct {
	// handle returns how many log records have been made, or events decoded where that is all.
	handle func(ctx context.Context, body []byte) (int, error)
	close  func(ctx context.Context) error
}

func ways() []way {
	return []way{
		{nameDecoder, func(context.Context) (handler, error) { return handler{decodeOnly, closeNothing}, nil }},
		{nameMapper, func(ctx context.Context) (handler, error) { return openReceiver(ctx, &counter{}) }},
		{nameMaps, func(context.Context) (handler, error) { return openMaps(&counter{}), nil }},
	}
}

func closeNothing(context.Context) error { return nil }

func decodeOnly(_ context.Context, body []byte) (int, error) {
	decoded, err := telemetryapi.Decode(body)
	return len(decoded.Events), err
}

// counter is the next consumer. It forgets what it was given, unless it has a use for it.
type counter struct {
	records int
	see     func(plog.Logs)
}

func (*counter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (c *counter) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	c.records += logs.LogRecordCount()
	if c.see != nil {
		c.see(logs)
	}
	return nil
}

// fakeLambda stands for the lambda extension, as far as a receiver uses it. It embeds the interface for the rest of it.
type fakeLambda struct {
	component.StartFunc
	component.ShutdownFunc
	lambdaextension.Lifecycle

	health    *health.Registry
	spans     lambdaextension.FunctionSpans
	subscribe lambdaextension.TelemetrySubscriber
}

func (*fakeLambda) Join(lambdaextension.Participant) func()         { return func() {} }
func (*fakeLambda) ShutdownDeadline() time.Time                     { return time.Time{} }
func (*fakeLambda) Resumes() bool                                   { return false }
func (f *fakeLambda) Health() *health.Registry                      { return f.health }
func (f *fakeLambda) FunctionSpans() *lambdaextension.FunctionSpans { return &f.spans }

func (*fakeLambda) Registration() extensionsapi.Registration {
	return extensionsapi.Registration{FunctionName: "checkout", FunctionVersion: "$LATEST", AccountID: "123456789012"}
}

func (f *fakeLambda) SubscribeTelemetry(s lambdaextension.TelemetrySubscriber) (cancel func(), err error) {
	if f.subscribe.Consume != nil {
		return nil, errors.New("there is a subscription already")
	}
	f.subscribe = s
	return func() {}, nil
}

// fakeHost is a collector with nothing but that extension.
type fakeHost struct{ lambda *fakeLambda }

func (h fakeHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("lambda"): h.lambda}
}

// openReceiver starts the telemetryapi receiver with its default configuration and nothing but a pipeline of logs.
func openReceiver(ctx context.Context, next *counter) (handler, error) {
	factory := telemetryapireceiver.NewFactory()
	set := receiver.Settings{
		ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
		BuildInfo: component.NewDefaultBuildInfo(),
	}
	r, err := factory.CreateLogs(ctx, set, factory.CreateDefaultConfig(), next)
	if err != nil {
		return handler{}, err
	}
	lambda := &fakeLambda{health: health.NewRegistry(time.Now())}
	if err := r.Start(ctx, fakeHost{lambda}); err != nil {
		return handler{}, err
	}
	if lambda.subscribe.Consume == nil {
		return handler{}, errors.New("the receiver has not subscribed")
	}
	handle := func(ctx context.Context, body []byte) (int, error) {
		decoded, err := telemetryapi.Decode(body)
		if err != nil {
			return 0, err
		}
		before := next.records
		lambda.subscribe.Consume(ctx, decoded.Events)
		return next.records - before, nil
	}
	return handler{handle, r.Shutdown}, nil
}

// mapMaker makes log records the simple way: encoding/json decodes the whole array into maps, and what is in them is put
// into records. It looks into no line of text, and makes no text of the platform's events.
type mapMaker struct {
	requestID string
}

type mapEvent struct {
	Time   string `json:"time"`
	Type   string `json:"type"`
	Record any    `json:"record"`
}

func openMaps(next *counter) handler {
	var maker mapMaker
	handle := func(ctx context.Context, body []byte) (int, error) {
		logs, err := maker.logs(body)
		if err != nil {
			return 0, err
		}
		before := next.records
		err = next.ConsumeLogs(ctx, logs)
		return next.records - before, err
	}
	return handler{handle, closeNothing}
}

func (m *mapMaker) logs(body []byte) (plog.Logs, error) {
	logs := plog.NewLogs()
	var events []mapEvent
	if err := json.Unmarshal(body, &events); err != nil {
		return logs, err
	}
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("faas.name", "checkout")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	for _, event := range events {
		fields, isObject := event.Record.(map[string]any)
		if event.Type == string(telemetryapi.EventStart) {
			m.requestID, _ = fields["requestId"].(string)
		}
		if event.Type == string(telemetryapi.EventReport) {
			continue
		}
		at, err := time.Parse(time.RFC3339, event.Time)
		if err != nil {
			return logs, err
		}
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		record.SetObservedTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Attributes().PutStr("type", event.Type)
		if isObject {
			err = putFields(record, fields)
		} else if text, ok := event.Record.(string); ok {
			record.Body().SetStr(strings.TrimSpace(text))
		}
		if err != nil {
			return logs, err
		}
		if _, known := fields["requestId"]; !known && m.requestID != "" {
			record.Attributes().PutStr("faas.invocation_id", m.requestID)
		}
		if event.Type == string(telemetryapi.EventRuntimeDone) {
			m.requestID = ""
		}
	}
	return logs, nil
}

func putFields(record plog.LogRecord, fields map[string]any) error {
	for name, value := range fields {
		text, _ := value.(string)
		switch name {
		case "timestamp":
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return err
			}
			record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		case "level":
			record.SetSeverityText(text)
			record.SetSeverityNumber(mapSeverity(text))
		case "requestId":
			record.Attributes().PutStr("faas.invocation_id", text)
		case "message":
			if err := record.Body().FromRaw(value); err != nil {
				return fmt.Errorf("message: %w", err)
			}
		default:
			if err := record.Attributes().PutEmpty(name).FromRaw(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func mapSeverity(text string) plog.SeverityNumber {
	switch strings.ToUpper(text) {
	case "TRACE":
		return plog.SeverityNumberTrace
	case "DEBUG":
		return plog.SeverityNumberDebug
	case "INFO":
		return plog.SeverityNumberInfo
	case "WARN", "WARNING":
		return plog.SeverityNumberWarn
	case "ERROR":
		return plog.SeverityNumberError
	case "FATAL", "CRITICAL":
		return plog.SeverityNumberFatal
	}
	return plog.SeverityNumberUnspecified
}
