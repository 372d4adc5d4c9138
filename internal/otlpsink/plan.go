// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import "time"

// faultSet decides which faults hit a request. It is not safe for concurrent use.
type faultSet struct {
	since  time.Time
	faults []*activeFault
}

type activeFault struct {
	Fault
	reached int
	hits    int
}

// plan is what happens to one request.
type plan struct {
	latency time.Duration
	// fault decides about the request; its Action is empty when none does.
	fault Fault
	// until is when a hang ends by itself. Zero means never.
	until time.Time
}

func newFaultSet(faults []Fault, now time.Time) *faultSet {
	s := &faultSet{since: now}
	for _, f := range faults {
		s.faults = append(s.faults, &activeFault{Fault: f})
	}
	return s
}

// next takes the next request into account.
func (s *faultSet) next(signal Signal, transport Transport, now time.Time) plan {
	var p plan
	for _, f := range s.faults {
		if f.Action == ActionRefuse || !f.matches(signal, transport) || !s.active(f.Fault, now) || !f.take() {
			continue
		}
		if f.Action == ActionLatency {
			p.latency += f.Latency
			continue
		}
		p.fault = f.Fault
		p.until = s.end(f.Fault)
		break
	}
	return p
}

func (f *activeFault) matches(signal Signal, transport Transport) bool {
	return (f.Signal == "" || f.Signal == signal) && (f.Transport == "" || f.Transport == transport)
}

func (f *activeFault) take() bool {
	f.reached++
	switch past := f.reached - f.Skip; {
	case past <= 0, f.Every > 1 && past%f.Every != 0, f.First > 0 && f.hits >= f.First:
		return false
	}
	f.hits++
	return true
}

func (s *faultSet) active(f Fault, now time.Time) bool {
	end := s.end(f)
	return !now.Before(s.since.Add(f.From)) && (end.IsZero() || now.Before(end))
}

func (s *faultSet) end(f Fault) time.Time {
	if f.For == 0 {
		return time.Time{}
	}
	return s.since.Add(f.From + f.For)
}

// refusing says whether connections are refused at the moment, and when that may change (zero: never).
func (s *faultSet) refusing(transport Transport, now time.Time) (refuse bool, change time.Time) {
	for _, f := range s.faults {
		if f.Action != ActionRefuse || !f.matches("", transport) {
			continue
		}
		refuse = refuse || s.active(f.Fault, now)
		for _, t := range []time.Time{s.since.Add(f.From), s.end(f.Fault)} {
			if t.After(now) && (change.IsZero() || t.Before(change)) {
				change = t
			}
		}
	}
	return refuse, change
}
