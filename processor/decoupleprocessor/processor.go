// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

const (
	// maxInFlight bounds the deliveries under way at once. More than one, so that a request that hangs does not hold up
	// what came after it; few, because each may hold a connection, of which the function has its share too.
	maxInFlight = 4

	// heldProbe is how long a flush that holds the environment waits to see whether a backend that was down is back. It is
	// next to nothing, because the question is asked while the handler runs, and an answer that comes after the freeze is
	// read before the next flush.
	heldProbe = 3 * time.Millisecond

	// probe is how long a flush that holds nobody up waits for that before it takes the backend to hang.
	probe = time.Second

	// heldRetry is the longest wait for the next try for which a flush holds the environment. It lets a hiccup pass: four
	// tries in a third of a second. A backend that asks for more patience than that gets it while nobody waits.
	heldRetry = 250 * time.Millisecond

	// shutdownTimeout bounds the last delivery where no lifecycle sets a deadline.
	shutdownTimeout = 5 * time.Second

	// crowd is how many full requests may wait while as many as allowed are under way. A sender that brings more is faster
	// than the backend, and is asked to wait for a moment; else the queue, and the function's memory with it, would fill up
	// to its bound before anybody is slowed down.
	crowd = 4
	// crowdWait is how long it is asked to wait. The function may be waiting with it.
	crowdWait = 100 * time.Millisecond

	// cancelTimeout bounds the wait for deliveries to notice that they are cancelled.
	cancelTimeout = 100 * time.Millisecond

	// notDelivered is the reason for data dropped at shutdown. Some of it may have arrived: a delivery that is
	// cancelled does not learn its outcome.
	notDelivered = "not delivered before shutdown"

	// refused is the reason for data that the backend will not take at any time.
	refused = "refused by the backend"

	// queueFull is the reason for data dropped to make room.
	queueFull = "the queue was full"
)

var (
	errQueueFull = errors.New("the queue of the decouple processor is full: " +
		"the backend takes data more slowly than it comes (`max_queue_bytes` is its bound)")
	errStopped = errors.New("the decouple processor is shut down")
	errKept    = errors.New("the backend does not take data; it is kept for a later try")
)

// item is data with its measures, which are taken once.
type item[T any] struct {
	data  T
	count int
	bytes int
	// entry is the file of data that came from disk, nil for other data.
	entry *spool.Entry
	// since is when it was accepted, by the wall clock.
	since time.Time
	// order is the number of the oldest data in it, 0 for data that came from disk.
	order int
}

var _ lambdaextension.Holder = (*decouple[ptrace.Traces])(nil)

// decouple is the queue of one pipeline and what sends from it.
type decouple[T any] struct {
	cfg    *Config
	sig    signal[T]
	logger *zap.Logger
	name   string // of the pipeline's spooled data
	id     string // of the component

	lifecycle lambdaextension.Lifecycle // nil outside a collector with the lambda extension
	leave     func()
	// sending is the context of all deliveries; only the end of the environment cancels them, since a request that is
	// cancelled may have arrived and would be sent twice.
	sending context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	queue   []item[T]
	bytes   int // in queue and in flight
	flights []*flight[T]
	spare   *flight[T] // has landed, and waits for the next delivery
	flushes int        // how many Flush calls wait for all there is
	backoff backoff
	timer   *time.Timer // wakes up a try that the backoff has put off
	final   *time.Timer // gives up what is left when the environment ends before Shutdown
	started bool
	stopped bool
	givenUp bool
	dropped map[string]int
	// accepted is the order of the newest data. What is before passing is to leave although no Flush waits for all there is.
	accepted, passing int
	// changed is closed when something a Flush waits for may have changed. It is there if somebody waits.
	changed chan struct{}
	// waiters are flushes of which nobody waits on a goroutine.
	waiters []*waiter
}

func newDecouple[T any](set processor.Settings, cfg *Config, sig signal[T]) *decouple[T] {
	return &decouple[T]{
		cfg:     cfg,
		sig:     sig,
		logger:  set.Logger,
		name:    sig.kind + "/" + set.ID.String(),
		id:      set.ID.String(),
		dropped: map[string]int{},
	}
}

// Capabilities tells that merging changes the data.
func (*decouple[T]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start joins the flushes of the host's lifecycle, if it has one.
func (d *decouple[T]) Start(_ context.Context, host component.Host) error {
	if d.cfg.MaxQueueSize > 0 {
		d.logger.Warn("`max_queue_size` counts requests and has no effect; `max_queue_bytes` bounds the queue",
			zap.Int("max_queue_bytes", d.cfg.MaxQueueBytes))
	}
	lifecycle, ok := lambdaextension.FindLifecycle(host)
	if !ok {
		d.logger.Info("There is no lambda extension, so data is delivered as it comes; " +
			"add `lambda` to `service::extensions` to have it delivered before Lambda freezes the environment")
	}
	d.mu.Lock()
	d.sending, d.cancel = context.WithCancel(context.Background())
	d.started = true
	if ok {
		d.lifecycle = lifecycle
	}
	d.mu.Unlock()
	if ok {
		leave, give, forget := lifecycle.Join(d), lifecycle.ReserveSpool(d.name), d.watch(lifecycle.Health())
		d.leave = func() { leave(); give(); forget() }
	}
	return nil
}

// Shutdown makes a last try within the environment's deadline and reports what could not be delivered.
func (d *decouple[T]) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if !d.started || d.stopped {
		d.stopped = true
		d.mu.Unlock()
		return nil
	}
	d.stopped = true
	d.mu.Unlock()
	if d.leave != nil {
		defer d.leave()
	}

	deadline := time.Now().Add(shutdownTimeout)
	if d.lifecycle != nil {
		if end := d.lifecycle.ShutdownDeadline(); !end.IsZero() {
			deadline = end
		}
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	_ = d.Flush(ctx) // what it could not deliver is counted below

	d.mu.Lock()
	defer d.mu.Unlock()
	for _, timer := range []*time.Timer{d.timer, d.final} {
		if timer != nil {
			timer.Stop()
		}
	}
	d.cancel()
	if d.spare != nil {
		close(d.spare.next)
		d.spare = nil
	}
	ctx, cancel = context.WithTimeout(context.Background(), cancelTimeout)
	defer cancel()
	for len(d.flights) > 0 && d.await(ctx) == nil {
		// The data of a cancelled delivery comes back to the queue.
	}
	d.giveUp()
	return nil
}

// giveUp keeps what is left on disk or in the log, or counts it as dropped, and says what has been dropped in the
// processor's life. It does so once.
func (d *decouple[T]) giveUp() {
	if d.givenUp {
		return
	}
	d.givenUp = true
	left := d.queue
	for _, f := range d.flights {
		left = append(left, f.item)
	}
	saved := 0
	last := d.lastResort()
	for _, it := range left {
		if d.save(it) {
			saved += it.count
		} else {
			last.take(it)
		}
	}
	d.abandonDisk(last)
	if saved > 0 {
		d.logger.Info("Data is kept on disk for the next process of this environment",
			zap.String("items", d.sig.name), zap.Int("count", saved))
	}
	d.queue, d.bytes = nil, 0
	last.report()
	for reason, count := range d.dropped {
		if reason == writtenToLog {
			continue // it can be had back
		}
		d.logger.Warn("Data was dropped", zap.String("items", d.sig.name), zap.Int("count", count), zap.String("reason", reason))
	}
}

// giveUpAt gives up at the end of the time that the lifecycle leaves. Receivers are shut down before this processor, and one
// that takes its time must not have data vanish without a word.
func (d *decouple[T]) giveUpAt(deadline time.Time) {
	if d.final != nil || deadline.IsZero() {
		return
	}
	d.final = time.AfterFunc(time.Until(deadline), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.giveUp()
	})
}

// accept takes data over from the pipeline, or says why not. It does not wait, but for a moment where there is a crowd.
func (d *decouple[T]) accept(data T) error {
	count := d.sig.count(data)
	if count == 0 {
		return nil
	}
	if d.cfg.Discard != "" {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drop(d.cfg.Discard, count)
		return nil
	}
	it := item[T]{data: data, count: count, bytes: d.sig.bytes(data), since: time.Now().Round(0)}

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crowded() {
		d.thin()
	}
	switch {
	case d.stopped, d.givenUp:
		return errStopped
	case !d.fits(it.bytes) && !d.makeRoom(it.bytes):
		d.dispatch()
		if d.cfg.Overflow == overflowDropOldest {
			// All that is in the queue's place is on its way, which is older but not to be had back.
			d.drop(queueFull, count)
			return nil
		}
		return errQueueFull
	}
	d.enqueue(it)
	d.dispatch()
	return nil
}

// crowded reports whether data comes faster than a backend that is well takes it.
func (d *decouple[T]) crowded() bool {
	return !d.stopped && !d.backoff.failing() && len(d.flights) >= maxInFlight && d.waiting() >= crowd*d.cfg.MaxRequestBytes
}

// thin waits until there is no crowd any more, or for crowdWait.
func (d *decouple[T]) thin() {
	ctx, cancel := context.WithTimeout(context.Background(), crowdWait)
	defer cancel()
	for d.crowded() && d.await(ctx) == nil {
		// A delivery has ended.
	}
}

// drop counts items that will not be delivered.
func (d *decouple[T]) drop(reason string, count int) {
	d.dropped[reason] += count
	if d.lifecycle != nil {
		d.lifecycle.Health().Add(health.DroppedItems, int64(count),
			health.Attribute{Key: health.AttrSignal, Value: d.sig.kind}, health.Attribute{Key: health.AttrReason, Value: reason})
	}
}

// enqueue adds data to the queue, in pieces of the size of a request if it is larger.
func (d *decouple[T]) enqueue(it item[T]) {
	d.accepted++
	it.order = d.accepted
	if it.bytes <= d.cfg.MaxRequestBytes {
		d.bytes += it.bytes
		d.queue = append(d.queue, it)
		return
	}
	for _, data := range d.sig.split(d.sig.own(it.data), d.cfg.MaxRequestBytes) {
		piece := item[T]{data: data, count: d.sig.count(data), bytes: d.sig.bytes(data), since: it.since, order: it.order}
		d.bytes += piece.bytes
		d.queue = append(d.queue, piece)
	}
}

// fits reports whether the queue takes so many bytes. Data that is larger than the whole queue is in memory already; an
// empty queue takes it, or nobody ever would.
func (d *decouple[T]) fits(bytes int) bool {
	return d.bytes == 0 || d.bytes+bytes <= d.cfg.MaxQueueBytes
}

// makeRoom drops the oldest data if the policy is to do so. By default that is while the backend takes none: refusing new
// data would have the function's SDK try again, on the function's time and in vain; where the backend is well, it is the
// way to slow down a sender that is too fast.
func (d *decouple[T]) makeRoom(bytes int) bool {
	if d.cfg.Overflow == overflowReject || d.cfg.Overflow != overflowDropOldest && !d.backoff.failing() {
		return false
	}
	if d.dropped[queueFull] == 0 {
		d.logger.Warn("The queue is full: the oldest data is dropped from here on",
			zap.String("items", d.sig.name), zap.Int("max_queue_bytes", d.cfg.MaxQueueBytes))
	}
	for len(d.queue) > 0 && !d.fits(bytes) {
		d.drop(queueFull, d.queue[0].count)
		d.discard(d.queue[0].entry)
		d.bytes -= d.queue[0].bytes
		d.queue[0] = item[T]{} // what is dropped must not stay in memory
		d.queue = d.queue[1:]
	}
	return d.fits(bytes)
}

// Signal tells the lifecycle what this is a queue of.
func (d *decouple[T]) Signal() string { return d.sig.kind }

// Drain implements lambdaextension.Participant. What the queue holds is delivered by Flush.
func (*decouple[T]) Drain(context.Context) bool { return false }

// Flush implements lambdaextension.Participant: it returns when everything is delivered, or when there is no point in
// waiting because the next try comes after ctx has ended, or when ctx ends. Data that is not delivered stays queued,
// and a delivery under way goes on. Everything is what there is when nobody waits for the flush, and else what comes
// meanwhile as well.
func (d *decouple[T]) Flush(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Where the backend was down before, one try may find it back; only a failure that is new is worth holding the
	// environment for.
	patient := !d.backoff.failing()
	// The lifecycle gives flushes that nobody waits for no deadline.
	_, held := ctx.Deadline()
	d.load()
	if d.lifecycle != nil {
		d.giveUpAt(d.lifecycle.ShutdownDeadline())
	}
	if !held && patient && !d.last() {
		if done, err := d.pass(ctx); done || err != nil {
			return err
		}
	}
	d.flushes++
	defer func() { d.flushes-- }()
	if end, ok := ctx.Deadline(); ok && d.last() {
		began := time.Now()
		timer := time.AfterFunc(time.Until(end)/2, func() { d.abandon(began) })
		defer timer.Stop()
	}
	if !patient && !d.last() {
		wait := probe
		if held {
			wait = heldProbe
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
		if held {
			_, stop := wakeAfter(wait) // begins later than ctx, which is due by then
			defer stop()
		}
	}
	return d.deliverAll(ctx, patient, held)
}

// deliverAll waits for everything to be delivered for as long as there is hope.
func (d *decouple[T]) deliverAll(ctx context.Context, patient, held bool) error {
	for {
		d.dispatch()
		if d.delivered() {
			return nil
		}
		if d.hopeless(ctx, patient, held) {
			return errKept
		}
		if err := d.await(ctx); err != nil {
			// A caller that lost interest says nothing about the backend.
			if errors.Is(err, context.DeadlineExceeded) {
				d.overdue()
			}
			return errKept
		}
	}
}

// pass has what is queued leave, and returns when it is delivered, or ctx ends. What comes meanwhile waits for more, and
// leaves together with it: the invocation that goes on beside a delivery would have its data sent in a request of its own.
// It is not done if a delivery fails, or deliveries hang.
func (d *decouple[T]) pass(ctx context.Context) (done bool, err error) {
	limit := d.accepted + 1
	for !d.backoff.failing() {
		d.passing = max(d.passing, limit) // also after a failure that another delivery has made good
		d.dispatch()
		switch {
		case d.passed(limit):
			return true, nil
		case d.fresh() == 0:
			return false, nil
		case d.await(ctx) != nil:
			return false, errKept
		}
	}
	return false, nil
}

// passed reports whether all that came before a certain order is delivered, but for what a flush has waited for in vain.
func (d *decouple[T]) passed(limit int) bool {
	if len(d.queue) > 0 && d.queue[0].order < limit {
		return false
	}
	for _, f := range d.flights {
		if f.item.order < limit && !f.overdue {
			return false
		}
	}
	return true
}

// LeftBehind implements lambdaextension.Holder.
func (d *decouple[T]) LeftBehind() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.backoff.failing() || len(d.flights) > 0
}

// delivered reports whether nothing is left that a flush could wait for.
func (d *decouple[T]) delivered() bool { return len(d.queue) == 0 && len(d.flights) == 0 }

// hopeless reports whether a flush need not wait: nothing can change before ctx ends, or it is not to wait for the
// next try.
func (d *decouple[T]) hopeless(ctx context.Context, patient, held bool) bool {
	if d.fresh() > 0 || d.last() && len(d.flights) > 0 {
		return false
	}
	if len(d.queue) == 0 || len(d.flights) >= d.maxFlights() {
		return true
	}
	if !patient && !d.last() {
		return true
	}
	wait := d.retryIn()
	if held && !d.last() && wait > heldRetry {
		return true
	}
	end, ok := ctx.Deadline()
	return ok && time.Now().Add(wait).After(end)
}

// fresh counts the deliveries that no flush has waited for in vain.
func (d *decouple[T]) fresh() int {
	n := 0
	for _, f := range d.flights {
		if !f.overdue {
			n++
		}
	}
	return n
}

// maxFlights bounds the deliveries under way. At the end of the environment, the ones that hang must not keep the rest
// from being tried.
func (d *decouple[T]) maxFlights() int {
	if d.last() {
		return 2 * maxInFlight
	}
	return maxInFlight
}

// overdue marks the deliveries that a flush has waited for in vain, and takes them for a sign that the backend hangs.
func (d *decouple[T]) overdue() {
	late := false
	for _, f := range d.flights {
		if !f.overdue {
			f.overdue, late = true, true
		}
	}
	if late {
		d.setBack(stallBackoff, errors.New("the backend has not answered by the end of the flush"))
	}
}

// abandon cancels the deliveries that a flush has waited for in vain, and those that were under way before, so that they
// are tried once more. It is for the end of the environment: their data may arrive twice then, where it would otherwise be
// lost.
func (d *decouple[T]) abandon(before time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flights {
		if f.overdue || f.began.Before(before) {
			f.cancel(context.Canceled)
		}
	}
}

// last reports whether the environment is about to end.
func (d *decouple[T]) last() bool {
	return d.stopped || d.lifecycle != nil && !d.lifecycle.ShutdownDeadline().IsZero()
}

// retryIn is how long to wait for the next try.
func (d *decouple[T]) retryIn() time.Duration {
	if d.last() {
		return d.backoff.wait(time.Now(), lastBackoff)
	}
	return d.backoff.wait(time.Now(), 0)
}

// due reports whether the oldest of what is queued should leave now.
func (d *decouple[T]) due() bool {
	return d.flushes > 0 || d.queue[0].order < d.passing ||
		d.lifecycle == nil || d.lifecycle.Schedule() == lambdaextension.ScheduleContinuous ||
		// What fills a request gets no better by waiting, and takes memory.
		d.waiting() >= d.cfg.MaxRequestBytes ||
		// A queue that fills up during a long invocation must not begin to refuse data before its end.
		d.bytes > d.cfg.MaxQueueBytes/2
}

// waiting is how many bytes are in the queue and not on their way.
func (d *decouple[T]) waiting() int {
	bytes := d.bytes
	for _, f := range d.flights {
		bytes -= f.item.bytes
	}
	return bytes
}

// dispatch starts the deliveries that are due, or a timer for the next try.
func (d *decouple[T]) dispatch() {
	for d.started && d.sending.Err() == nil && len(d.queue) > 0 && len(d.flights) < d.maxFlights() && d.due() {
		if d.backoff.failing() {
			if wait := d.retryIn(); wait > 0 {
				d.wakeIn(wait)
				return
			}
			if d.fresh() > 0 {
				return // one try at a time tells whether the backend is back
			}
		}
		d.depart(d.take())
	}
}

// take removes the oldest data from the queue, as much as fits into one request.
func (d *decouple[T]) take() item[T] {
	it := d.queue[0]
	i := 1
	// What has a file of its own travels alone, so that its fate is the file's.
	for ; i < len(d.queue) && it.entry == nil && d.queue[i].entry == nil && it.bytes+d.queue[i].bytes <= d.cfg.MaxRequestBytes; i++ {
		d.sig.merge(it.data, d.queue[i].data)
		it.count += d.queue[i].count
		it.bytes += d.queue[i].bytes
	}
	rest := copy(d.queue, d.queue[i:])
	clear(d.queue[rest:]) // what is delivered must not stay in memory
	d.queue = d.queue[:rest]
	return it
}

// settle decides on the fate of what a delivery had.
func (d *decouple[T]) settle(it item[T], err error) {
	switch {
	case err == nil:
		d.count(health.SentItems, it.count)
		d.count(health.SentRequests, 1)
		d.bytes -= it.bytes
		d.discard(it.entry)
		if d.backoff.failing() {
			d.logger.Info("The backend takes data again", zap.String("items", d.sig.name))
		}
		d.backoff.succeed()
	case permanent(err):
		d.bytes -= it.bytes
		d.discard(it.entry)
		d.count(health.FailedRequests, 1)
		d.drop(refused, it.count)
		d.logger.Error("The backend refused data for good; it is dropped",
			zap.String("items", d.sig.name), zap.Int("count", it.count), zap.Error(err))
		// An answer is an answer: the backend is there.
		d.backoff.succeed()
	default:
		d.count(health.FailedRequests, 1)
		d.bytes -= it.bytes
		it = d.remains(it, err)
		it.data = d.sig.own(it.data) // newer data may be merged into it
		d.bytes += it.bytes
		// The oldest data goes first at the next try, too.
		d.queue = append([]item[T]{it}, d.queue...)
		d.setBack(max(initialBackoff, throttle(err)), err)
	}
}

// remains is what is still to be delivered of an item after a failure.
func (d *decouple[T]) remains(it item[T], err error) item[T] {
	if len(causes(err)) > 1 {
		return it // each exporter may have failed on another part
	}
	part, ok := d.sig.failed(err)
	if !ok {
		return it
	}
	return item[T]{data: part, count: d.sig.count(part), bytes: d.sig.bytes(part), entry: it.entry, since: it.since, order: it.order}
}

// setBack postpones the next try after a failure.
func (d *decouple[T]) setBack(least time.Duration, err error) {
	if !d.backoff.failing() && d.sending.Err() == nil {
		// Once per run of failures: the exporter logs each of them.
		d.logger.Warn("The backend does not take data; it is kept and tried again",
			zap.String("items", d.sig.name), zap.Int("queued_bytes", d.bytes), zap.Error(err))
	}
	d.backoff.fail(time.Now(), least)
	d.passing = 0 // what has failed waits for a flush that tries again
}

// wakeIn dispatches again after a while.
func (d *decouple[T]) wakeIn(wait time.Duration) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.dispatch()
	})
}

// announce wakes up everybody in await.
func (d *decouple[T]) announce() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	d.tell()
}

// await gives up the lock until something has changed or ctx ends.
func (d *decouple[T]) await(ctx context.Context) error {
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	changed := d.changed
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
