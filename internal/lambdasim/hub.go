// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// replayLimit bounds what is kept for subscribers that come later, in events. Nothing is kept after Init.
const replayLimit = 10_000

// hub takes the events of one generation of processes and hands them to the subscribers.
type hub struct {
	gate    *gate
	jsonLog bool
	tenant  string
	faults  TelemetryFaults
	observe func(Record)

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu          sync.Mutex
	closed      bool // no subscriptions any more
	history     []event
	subscribers []*subscriber
}

// event is an event before it is encoded for a subscriber, which depends on the schema version.
type event struct {
	time      time.Time
	eventType telemetryapi.EventType
	stream    telemetryapi.Stream
	record    json.RawMessage // as it is with objects
	text      string          // of a log line
}

func newHub(g *gate, jsonLog bool, observe func(Record)) *hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &hub{gate: g, jsonLog: jsonLog, observe: observe, ctx: ctx, cancel: cancel}
}

// emit adds a platform event that happens now.
func (h *hub) emit(eventType telemetryapi.EventType, record any) {
	h.add(event{eventType: eventType, stream: telemetryapi.StreamPlatform, record: marshal(record)})
}

// line adds a line of function or extension.
func (h *hub) line(stream telemetryapi.Stream, text string) {
	e := event{eventType: telemetryapi.EventType(stream), stream: stream, text: text}
	if h.jsonLog && isObject(text) {
		e.record = json.RawMessage(text)
		if stream == telemetryapi.StreamFunction {
			e.record = withTenant(e.record, h.tenant)
		}
	} else {
		e.record = marshal(text)
	}
	h.add(e)
}

func (h *hub) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Inside the lock, so that the order of times is that of deliveries.
	e.time = time.Now()
	h.observe(Record{Time: e.time, Type: e.eventType, Record: e.record})
	if !h.closed && len(h.history) < replayLimit {
		h.history = append(h.history, e)
	}
	for _, s := range h.subscribers {
		if s.wants(e.stream) {
			s.push(h.encode(e, s))
		}
	}
}

// encode renders an event for a subscriber.
func (h *hub) encode(e event, s *subscriber) item {
	if h.faults.Strings {
		return e.encode(schemaWithoutObjects)
	}
	return e.encode(s.sub.schemaVersion)
}

// turnOver begins an invocation: what is kept back of the one before may go.
func (h *hub) turnOver() { h.release(h.faults.Delay) }

// letGo ends the last one.
func (h *hub) letGo() { h.release(false) }

func (h *hub) release(holding bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subscribers {
		s.release(holding)
	}
}

// settled reports whether no event of a type is on its way to a subscriber.
func (h *hub) settled(eventType telemetryapi.EventType) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.ContainsFunc(h.subscribers, func(s *subscriber) bool { return !s.settled(eventType) })
}

// subscribe starts the delivery to a subscriber, beginning with what happened before. It returns false after
// closeSubscriptions.
func (h *hub) subscribe(s *subscriber) bool {
	s.dropped = func(records, size int) (item, bool) { return h.logsDropped(s, records, size) }
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return false
	}
	for _, e := range h.history {
		if s.wants(e.stream) {
			s.push(h.encode(e, s))
		}
	}
	h.subscribers = append(h.subscribers, s)
	h.mu.Unlock()

	h.emit(telemetryapi.EventTelemetrySubscription, subscriptionRecord{
		Name: s.extension, State: "Subscribed", Types: s.sub.types,
	})
	h.wg.Go(func() { s.run(h.ctx) })
	return true
}

// logsDropped makes the event that tells a subscriber about its losses.
func (h *hub) logsDropped(s *subscriber, records, size int) (item, bool) {
	e := event{
		time:      time.Now(),
		eventType: telemetryapi.EventLogsDropped,
		stream:    telemetryapi.StreamPlatform,
		record:    marshal(logsDroppedRecord{DroppedBytes: size, DroppedRecords: records, Reason: slowConsumer}),
	}
	h.mu.Lock()
	h.observe(Record{Time: e.time, Type: e.eventType, Record: e.record})
	h.mu.Unlock()
	return h.encode(e, s), s.wants(telemetryapi.StreamPlatform)
}

// closeSubscriptions ends the time for subscriptions, and with it the need for a history.
func (h *hub) closeSubscriptions() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.history = nil
}

// close ends all deliveries and waits for them.
func (h *hub) close() {
	h.closeSubscriptions()
	h.cancel()
	h.wg.Wait()
}

func (h *hub) reports(generation int) []TelemetryReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	reports := make([]TelemetryReport, 0, len(h.subscribers))
	for _, s := range h.subscribers {
		reports = append(reports, s.report(generation))
	}
	return reports
}

func (e event) encode(schemaVersion string) item {
	record := e.record
	if schemaVersion == schemaWithoutObjects && e.stream != telemetryapi.StreamPlatform {
		record = marshal(e.line())
	}
	var b bytes.Buffer
	b.Grow(len(record) + 80)
	b.WriteString(`{"time":"`)
	b.WriteString(formatTime(e.time))
	b.WriteString(`","type":"`)
	b.WriteString(string(e.eventType))
	b.WriteString(`","record":`)
	b.Write(record)
	b.WriteByte('}')
	return item{eventType: e.eventType, text: e.text, body: b.Bytes()}
}

// line is the text of a log line as Lambda passes it on.
func (e event) line() string {
	if len(e.record) > 0 && e.record[0] != '"' {
		return string(e.record)
	}
	return e.text
}

// withTenant adds the tenant to a function's JSON line, unless the function's runtime has done it.
func withTenant(line json.RawMessage, tenant string) json.RawMessage {
	var fields map[string]json.RawMessage
	if tenant == "" || json.Unmarshal(line, &fields) != nil || fields["tenantId"] != nil {
		return line
	}
	rest := bytes.TrimPrefix(bytes.TrimSpace(line), []byte("{"))
	head := append([]byte(`{"tenantId":`), marshal(tenant)...)
	if len(fields) > 0 {
		head = append(head, ',')
	}
	return append(head, rest...)
}

func isObject(text string) bool {
	trimmed := bytes.TrimSpace([]byte(text))
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed)
}

// marshal renders the records of this package and strings, which cannot fail. HTML is not escaped, because Lambda does
// not do it either.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("lambdasim: record does not marshal: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
