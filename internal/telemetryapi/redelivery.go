// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import "hash/maphash"

// rememberedDeliveries is how many deliveries are remembered. One that Lambda did not see the answer to comes again
// before, or soon after, what Lambda has collected meanwhile.
const rememberedDeliveries = 64

// Redeliveries recognizes deliveries that have come before: Lambda repeats one when it did not see the answer.
// It is not for use by several goroutines at a time.
type Redeliveries struct {
	seed maphash.Seed
	// seen is a ring: next is where the oldest entry is.
	seen [rememberedDeliveries]delivery
	next int
}

// delivery tells bodies apart, by all that is worth keeping of them. The zero value is that of no body: empty ones are
// not remembered.
type delivery struct {
	hash   uint64
	length int
}

// NewRedeliveries returns a Redeliveries that has seen nothing.
func NewRedeliveries() *Redeliveries {
	return &Redeliveries{seed: maphash.MakeSeed()}
}

// Observe reports whether the delivery is one of the last 64 again, and remembers it if it is not. batch is what Decode
// made of body. It is to be called for what is going to be handled only: a delivery that was refused has to come again.
func (r *Redeliveries) Observe(body []byte, batch Batch) bool {
	if !unique(body, batch) {
		return false
	}
	d := delivery{hash: maphash.Bytes(r.seed, body), length: len(body)}
	for _, s := range r.seen {
		if s == d {
			return true
		}
	}
	r.seen[r.next] = d
	r.next = (r.next + 1) % len(r.seen)
	return false
}

// unique reports whether no other delivery can have the same text, which is for the times in it to say. A delivery that
// Lambda sent when it was full can hold lines of one millisecond only, and a function that writes the same line in a
// tight loop fills the next one just so. Others lie in Lambda's buffer for longer than that.
func unique(body []byte, batch Batch) bool {
	if len(batch.Events) == 0 {
		return false
	}
	first := batch.Events[0].Time
	for _, event := range batch.Events {
		if !event.Time.Equal(first) {
			return true
		}
	}
	full := len(batch.Events)+batch.Malformed >= minBufferItems || len(body) >= minBufferBytes
	return !full && !first.IsZero()
}
