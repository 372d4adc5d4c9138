// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Strategy says when data leaves the environment.
type Strategy string

const (
	// End delivers at the end of each invocation, and holds the environment until that is done.
	End Strategy = "end"
	// Periodic delivers while an invocation runs, once an interval has passed since the last delivery.
	Periodic Strategy = "periodic"
	// Continuous delivers all the time while an invocation runs.
	Continuous Strategy = "continuous"
	// Adaptive is End while invocations are rare and Periodic while they are frequent.
	Adaptive Strategy = "adaptive"
)

// ParseStrategy reads a strategy as users write it: one of the four names, or a name that Datadog's extension has for
// it, in any case, and optionally a comma and a number of milliseconds ("periodically,10000"). The interval is 0 if
// there is none. The error names what is allowed.
func ParseStrategy(text string) (Strategy, time.Duration, error) {
	name, number, hasInterval := strings.Cut(text, ",")
	strategy := named(name)
	if strategy == "" {
		return "", 0, fmt.Errorf("unknown flush strategy %q: it is one of %s (or default), %s (or periodically), "+
			"%s (or race, continuously) and %s", strings.TrimSpace(name), Adaptive, Periodic, Continuous, End)
	}
	if !hasInterval {
		return strategy, 0, nil
	}
	// Without a sign, and 32 bits (seven weeks) do not overflow a time.Duration.
	ms, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
	if err != nil || ms == 0 {
		return "", 0, fmt.Errorf("the interval %q of flush strategy %s is not a number of milliseconds from 1 to %d, "+
			"as in %q", strings.TrimSpace(number), strategy, uint32(1<<32-1), string(strategy)+",10000")
	}
	return strategy, time.Duration(ms) * time.Millisecond, nil
}

// named is "" for names that nobody knows.
func named(name string) Strategy {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "end":
		return End
	case "periodic", "periodically":
		return Periodic
	case "continuous", "continuously", "race":
		return Continuous
	case "adaptive", "default":
		return Adaptive
	default:
		return ""
	}
}
