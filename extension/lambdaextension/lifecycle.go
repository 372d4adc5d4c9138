// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// Lifecycle is how a component learns when Lambda runs, freezes and ends the environment. A component looks it up in
// its Start with FindLifecycle; there is none when the collector does not carry the lambda extension.
type Lifecycle interface {
	// Join adds a participant to every flush until leave is called. Components join in Start: the collector starts
	// them from the exporters to the receivers, so the order of joining is the data flow in reverse, and a flush
	// visits them in the opposite order.
	Join(p Participant) (leave func())

	// SubscribeTelemetry asks for events of the Telemetry API. Lambda accepts one subscription per extension, made
	// during Init, so everything asked for before the collector reports its pipelines ready goes into one; later
	// calls fail.
	SubscribeTelemetry(s TelemetrySubscriber) (cancel func(), err error)

	// Registration is what Lambda answered when the extension registered. Fields are empty outside Lambda.
	Registration() extensionsapi.Registration

	// ObserveTraces is called with traces that a component is about to take from the function. taken is to be called when
	// it has: the end of an invocation may be seen in them, upon which everything that was taken is delivered.
	ObserveTraces(td ptrace.Traces) (taken func())

	// FunctionSpans is what is known of the spans that the function itself makes, once somebody has called Use on it.
	FunctionSpans() *FunctionSpans

	// OnInvoke has begin called when Lambda says that an invocation begins, until leave is called. It is called before
	// anything else is done about the invocation, and must return at once. There are no such calls on Managed Instances.
	OnInvoke(begin func()) (leave func())

	// Health is where a component counts what happens to it that users should know of, such as data it has to drop.
	Health() *health.Registry

	// ReserveSpool announces that a component keeps data in the spool under a name, until give is called.
	ReserveSpool(name string) (give func())

	// Spool keeps what could not be delivered for the next process of the environment. It is nil where there is none:
	// outside Lambda, switched off, as long as there was no need for it, or if the name is reserved more than once.
	// lasting says that another process will follow in the environment, so that what is put there now has a future.
	Spool(name string) (s *spool.Spool, lasting bool)

	// LastResort returns what writes a line to the log, for data that can neither be delivered nor kept in the spool when
	// the process ends. It is nil unless the configuration asks for it. The line has its end with it, and is written in
	// one piece. After an error there is no use in going on: the time for it is over, or the log takes no more.
	LastResort() (write func(line []byte) error)

	// Schedule says when data leaves. It changes from ScheduleFlush to ScheduleContinuous when there turns out to be no
	// Telemetry API, and back if its events come after all.
	Schedule() Schedule

	// LastCall reports whether the environment is ending and Lambda has told all that it tells in time. Before that, more may
	// come even if the environment ends already.
	LastCall() bool

	// ShutdownDeadline is when the components must be done once the environment is ending; before that it is the zero
	// time. When it is set, there is no later opportunity to deliver.
	ShutdownDeadline() time.Time
}

// Schedule says who decides when data leaves the collector.
type Schedule int

const (
	// ScheduleContinuous means that data should leave as soon as it arrives: nothing will say when an invocation is
	// over. It holds outside Lambda, and where the Telemetry API is not to be had.
	ScheduleContinuous Schedule = iota
	// ScheduleFlush means that the lifecycle calls Flush when data should leave.
	ScheduleFlush
)

// Participant is a component that holds data and can be told to pass it on. Its methods may be called while another
// Flush is under way: what an invocation left behind is delivered during the next one, whose end asks again.
type Participant interface {
	// Drain passes what the component holds to the next one, without waiting for a backend, and reports whether there
	// was anything. Drains run in the order of the data flow, one at a time.
	Drain(ctx context.Context) (moved bool)

	// Flush delivers what the component holds and returns when it is delivered or ctx ends, whichever is first. Work
	// may go on after ctx has ended. Flushes of all participants run at the same time, after the drains. ctx has a
	// deadline if the environment is held for the flush, and none if nobody waits for it: then what comes meanwhile may
	// wait for the next one. If ctx has ended already, what the component holds is to be sent, and not to be waited for.
	Flush(ctx context.Context) error
}

// Holder is a Participant that keeps what it could not deliver.
type Holder interface {
	Participant

	// LeftBehind reports whether there is something that an earlier flush has left behind. It is delivered while the next
	// invocation's handler runs. What is merely new leaves together with what comes yet.
	LeftBehind() bool

	// FlushThen is Flush for a caller that does not spend a goroutine on the wait: it returns at once. done is called once,
	// with what Flush would return, by anybody and perhaps before FlushThen returns. It must return at once, too.
	FlushThen(ctx context.Context, done func(error))
}

// TelemetrySubscriber is one component's wish for events of the Telemetry API.
type TelemetrySubscriber struct {
	// Streams are the streams the component wants. It is given events of these only.
	Streams []telemetryapi.Stream
	// Port is the TCP port it would have the listener use; 0 leaves the choice to the kernel.
	Port int
	// Consume is called with the events of one delivery, in the order Lambda sent them, one call at a time. The slice
	// is shared between subscribers and must not be changed.
	Consume func(ctx context.Context, events []telemetryapi.Event)
}

// FindLifecycle returns the Lifecycle among the host's extensions.
func FindLifecycle(host component.Host) (Lifecycle, bool) {
	for _, ext := range host.GetExtensions() {
		if l, ok := ext.(Lifecycle); ok {
			return l, true
		}
	}
	return nil, false
}
