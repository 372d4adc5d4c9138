// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

// Loss is why something that was accepted goes no further. The text is for users.
type Loss string

// What a Listener loses, and how it counts it.
const (
	// LossOversized is a body that is too large to be read. Nobody knows what is in it: one for each body. Lambda keeps
	// deliveries small, so that it is likely to be one huge record.
	LossOversized Loss = "the delivery was too large"
	// LossUndecodable is what is left of a body from where it stops being a JSON array of events: one for each body.
	LossUndecodable Loss = "the delivery was not readable"
	// LossMalformed is an array element that is not an event: one for each element.
	LossMalformed Loss = "not an event"
	// LossPanic is a delivery whose Handle panicked: one for each event.
	LossPanic Loss = "a component panicked"
	// LossAbandoned is a body that Shutdown had no time for: one for each body, which is the least that is in it.
	// Counting the events would take the time that is not there.
	LossAbandoned Loss = "not passed on before shutdown"
)

// Losses are all of them.
func Losses() []Loss {
	return []Loss{LossOversized, LossUndecodable, LossMalformed, LossPanic, LossAbandoned}
}
