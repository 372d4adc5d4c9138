// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package sampling stands in for the package of the same name, as far as the probabilistic sampler uses it: thresholds
// and randomness of 56 bits, and the tracestate that carries them.
//
// The original compiles a regular expression when a process starts, whether or not there is a sampler.
package sampling

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
)

const (
	// NumHexDigits is how many hexadecimal digits a threshold and a randomness have.
	NumHexDigits = 14
	// MinSamplingProbability is the smallest probability that a threshold can say: one in 2^56.
	MinSamplingProbability = 1 / float64(steps)

	bitsPerDigit = 4
	// steps is how many values a randomness can have.
	steps uint64 = 1 << (bitsPerDigit * NumHexDigits)
)

var (
	// ErrProbabilityRange is for a probability that no threshold can say.
	ErrProbabilityRange = errors.New("sampling probability out of the range [1/MaxAdjustedCount, 1]")
	// ErrInconsistentSampling is for a threshold below the one that was sampled with before.
	ErrInconsistentSampling = errors.New("cannot raise existing sampling probability")

	errTValueSize  = errors.New("t-value exceeds 14 hex digits")
	errTValueEmpty = errors.New("t-value is empty")
	errRValueSize  = errors.New("r-value must have 14 hex digits")
)

var (
	// AlwaysSampleThreshold lets everything through.
	AlwaysSampleThreshold = Threshold{}
	// NeverSampleThreshold lets nothing through. It has no t-value.
	NeverSampleThreshold = Threshold{steps}
	// AllProbabilitiesRandomness gets past every threshold but NeverSampleThreshold.
	AllProbabilitiesRandomness = Randomness{steps - 1}
)

// Randomness is what decides on an item: 56 random bits.
type Randomness struct{ value uint64 }

// TraceIDToRandomness takes the last 56 bits of a trace ID, which are random by the second level of W3C Trace Context.
// The original's parameter is a pcommon.TraceID, which can be assigned to this one.
func TraceIDToRandomness(id [16]byte) Randomness {
	return Randomness{binary.BigEndian.Uint64(id[8:]) % steps}
}

// UnsignedToRandomness fails for more than 56 bits, with AllProbabilitiesRandomness.
func UnsignedToRandomness(x uint64) (Randomness, error) {
	if x >= steps {
		return AllProbabilitiesRandomness, errRValueSize
	}
	return Randomness{x}, nil
}

// RValueToRandomness reads all 14 hexadecimal digits of an r-value.
func RValueToRandomness(s string) (Randomness, error) {
	if len(s) != NumHexDigits {
		return Randomness{}, errRValueSize
	}
	value, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return Randomness{}, err
	}
	return Randomness{value}, nil
}

// RValue is the randomness in 14 hexadecimal digits.
func (r Randomness) RValue() string { return digits(r.value) }

// Threshold is how many of the 2^56 randomnesses are not sampled: those below it.
type Threshold struct{ rejected uint64 }

// UnsignedToThreshold fails for more than 56 bits, with NeverSampleThreshold.
func UnsignedToThreshold(unsigned uint64) (Threshold, error) {
	if unsigned >= steps {
		return NeverSampleThreshold, errTValueSize
	}
	return Threshold{unsigned}, nil
}

// TValueToThreshold reads the 1 to 14 hexadecimal digits of a t-value, behind which there may be zeros missing. When it
// fails the threshold is AlwaysSampleThreshold.
func TValueToThreshold(s string) (Threshold, error) {
	switch {
	case s == "":
		return AlwaysSampleThreshold, errTValueEmpty
	case len(s) > NumHexDigits:
		return AlwaysSampleThreshold, errTValueSize
	}
	value, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return AlwaysSampleThreshold, err
	}
	return Threshold{value << (bitsPerDigit * (NumHexDigits - len(s)))}, nil
}

// ProbabilityToThresholdWithPrecision is the threshold for a probability, rounded to as many hexadecimal digits as
// precision says, or not rounded if it says 0. For a probability near 0 or near 1, the digits count from the first that
// is not f or not 0, as the others say next to nothing. When it fails the threshold is AlwaysSampleThreshold.
func ProbabilityToThresholdWithPrecision(fraction float64, precision int) (Threshold, error) {
	switch {
	case !(fraction >= MinSamplingProbability && fraction <= 1): // NaN too
		return AlwaysSampleThreshold, ErrProbabilityRange
	case fraction == 1:
		return AlwaysSampleThreshold, nil
	}
	rejected := steps - uint64(math.Round(fraction*float64(steps)))
	if precision == 0 {
		return Threshold{rejected}, nil
	}
	_, exponent := math.Frexp(min(fraction, 1-fraction))
	if dropped := NumHexDigits - precision + exponent/bitsPerDigit; dropped > 0 {
		unit := uint64(1) << (bitsPerDigit * dropped)
		rejected = (rejected + unit/2) &^ (unit - 1)
	}
	return Threshold{rejected}, nil
}

// Probability is the part of everything that is sampled, from 0 to 1.
func (t Threshold) Probability() float64 { return float64(steps-t.rejected) / float64(steps) }

// ShouldSample says whether an item of that randomness is sampled.
func (t Threshold) ShouldSample(r Randomness) bool { return r.value >= t.rejected }

// TValue is the threshold in hexadecimal digits, without zeros at the end. It is empty for NeverSampleThreshold.
func (t Threshold) TValue() string {
	if t == AlwaysSampleThreshold {
		return "0"
	}
	return strings.TrimRight(digits(t.rejected), "0")
}

// ThresholdLessThan says whether a lets more through than b.
func ThresholdLessThan(a, b Threshold) bool { return a.rejected < b.rejected }

// digits are the 14 hexadecimal digits of a value, and none for the one that has 15.
func digits(value uint64) string {
	if value >= steps {
		return ""
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, value)[1:])
}
