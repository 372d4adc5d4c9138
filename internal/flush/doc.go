// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package flush decides when the collector delivers data.
//
// Lambda freezes an environment as soon as the function and all extensions ask for the next event. Whoever delivers at
// the end of an invocation has to hold the environment: Lambda tells of the end up to 25 ms late, then comes a request.
// These 30 ms or so are billed, and the next invocation cannot have the environment meanwhile. Whoever does not hold
// it leaves data behind in a frozen environment, where it waits for the next invocation or for SHUTDOWN, minutes later.
//
// With invocations in quick succession the first is waste, since the next one comes before anybody has missed the
// data. With rare ones the second hurts, and the first does not. So [Adaptive] does what [End] does until it has seen
// traffic that is frequent and lasts: ten gaps of 10 s at most in the mean, and ten seconds. Then it delivers as
// [Periodic] does, at the start of an invocation and beside the handler, once the interval has passed. It goes back
// when the mean of ten gaps exceeds 30 s, or at once after a gap of a minute: that invocation delivers at its start
// what was left, and at its end what is its own. In between it stays as it is, so a steady rate never makes it swing,
// and no traffic makes it give up Periodic more than once a minute. An invocation that is longer than the interval
// delivers while it runs.
//
// Data that is delivered at a start is at most one interval and one gap old, and during or at the end of an invocation
// at most two intervals. What Adaptive cannot know is that an invocation is the last one for a while: of traffic that
// was frequent, what came after the last delivery waits. Those who cannot have that choose [End].
//
// A decision is a function of the settings, a [History] and the wall time. There are no timers, which a freeze would
// stop, no locks and no allocations: the caller keeps the history, and carries out the [Plan] within the deadlines
// that it knows.
//
// None of this is about Lambda Managed Instances, which are not frozen and run many invocations at once. There [Managed]
// decides, whatever the strategy is.
package flush
