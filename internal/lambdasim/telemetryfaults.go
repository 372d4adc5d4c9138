// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// TelemetryFaults say what goes wrong with the delivery of telemetry. The zero value has no faults. With the same Seed
// the same lines are dropped and the same deliveries, by their number, are made twice.
type TelemetryFaults struct {
	// Redeliver is the share of accepted deliveries that come a second time, from 0 to 1.
	Redeliver float64
	// Drop is the share of log lines that are dropped, which a platform.logsDropped tells, from 0 to 1.
	Drop float64
	// Delay has everything that happens in an invocation delivered during the next one, or during Shutdown.
	Delay bool
	// LateInvoke has extensions get INVOKE only after the function is done and they have been told so.
	LateInvoke bool
	// Strings has the records of log lines be strings, whatever the schema version.
	Strings bool
	// Seed of the random choices.
	Seed uint64
}

// The names of faults, as ParseTelemetryFaults reads them.
const (
	faultRedeliver  = "redeliver"
	faultDrop       = "drop"
	faultDelay      = "delay"
	faultLateInvoke = "late-invoke"
	faultStrings    = "strings"
	faultSeed       = "seed"
)

// ParseTelemetryFaults reads faults joined by commas: redeliver and drop, each with a share such as `=0.3` or without
// one for all, delay, late-invoke, strings, and seed=N. An empty text has none.
func ParseTelemetryFaults(text string) (TelemetryFaults, error) {
	var f TelemetryFaults
	if strings.TrimSpace(text) == "" {
		return f, nil
	}
	seen := map[string]bool{}
	for word := range strings.SplitSeq(text, ",") {
		name, value, hasValue := strings.Cut(strings.TrimSpace(word), "=")
		if seen[name] {
			return TelemetryFaults{}, fmt.Errorf("`%s` is given twice", name)
		}
		seen[name] = true
		if err := f.set(name, value, hasValue); err != nil {
			return TelemetryFaults{}, err
		}
	}
	return f, errors.Join(f.validate()...)
}

func (f *TelemetryFaults) set(name, value string, hasValue bool) error {
	switch name {
	case faultRedeliver:
		return parseShare(name, value, hasValue, &f.Redeliver)
	case faultDrop:
		return parseShare(name, value, hasValue, &f.Drop)
	case faultSeed:
		seed, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fmt.Errorf("`seed` needs a whole number, got %q", value)
		}
		f.Seed = seed
		return nil
	}
	flags := map[string]*bool{faultDelay: &f.Delay, faultLateInvoke: &f.LateInvoke, faultStrings: &f.Strings}
	flag := flags[name]
	switch {
	case flag == nil:
		return fmt.Errorf("unknown telemetry fault %q: use `redeliver`, `drop`, `delay`, `late-invoke`, `strings` or `seed`",
			name)
	case hasValue:
		return fmt.Errorf("`%s` takes no value", name)
	}
	*flag = true
	return nil
}

func parseShare(name, value string, hasValue bool, to *float64) error {
	if !hasValue {
		*to = 1
		return nil
	}
	share, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("`%s` needs a share from 0 to 1, got %q", name, value)
	}
	*to = share
	return nil
}

func (f TelemetryFaults) validate() []error {
	var errs []error
	for name, share := range map[string]float64{faultRedeliver: f.Redeliver, faultDrop: f.Drop} {
		// Written so that not-a-number is refused as well.
		if !(share >= 0 && share <= 1) {
			errs = append(errs, fmt.Errorf("telemetry fault `%s`: share %v is not from 0 to 1", name, share))
		}
	}
	if f.Delay && f.LateInvoke {
		errs = append(errs, errors.New("telemetry faults `delay` and `late-invoke` exclude each other"))
	}
	return errs
}

// chance decides whom a fault hits.
type chance struct {
	share  float64
	random *rand.Rand
}

// newChance makes one whose decisions depend on the seed and on which one it is.
func newChance(share float64, seed, which uint64) chance {
	return chance{share: share, random: rand.New(rand.NewPCG(seed, which))} //nolint:gosec // It has to be repeatable.
}

// hits decides. That of the zero chance is always no.
func (c chance) hits() bool { return c.share > 0 && c.random.Float64() < c.share }
