// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"errors"
	"math"
	"strconv"
	"testing"
)

func TestProbabilityToThresholdWithPrecision(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fraction  float64
		precision int
		want      string
	}{
		{1, 0, "0"},
		{1, 4, "0"},
		{0.5, 0, "8"},
		{0.25, 3, "c"},
		{1. / 3, 0, "aaaaaaaaaaaaac"},
		{1. / 3, 14, "aaaaaaaaaaaaac"},
		{1. / 3, 1, "b"},
		{1. / 3, 3, "aab"},
		{1. / 3, 99, "aaaaaaaaaaaaac"},
		{1. / 3, -99, "0"},
		// Of these, one and two digits that say nothing come before those that count.
		{0.01, 4, "fd70a"},
		{0.001, 4, "ffbe77"},
		{0.99, 4, "028f6"},
		{0.999, 4, "004189"},
		{MinSamplingProbability, 1, "ffffffffffffff"},
		{math.Nextafter(1, 0), 1, "00000000000008"},
	} {
		threshold, err := ProbabilityToThresholdWithPrecision(test.fraction, test.precision)
		if err != nil || threshold.TValue() != test.want {
			t.Errorf("%v in %d digits: %q, %v", test.fraction, test.precision, threshold.TValue(), err)
		}
	}
	for _, fraction := range []float64{
		0, -1, math.Nextafter(MinSamplingProbability, 0), math.Nextafter(1, 2), math.Inf(1), math.NaN(),
	} {
		threshold, err := ProbabilityToThresholdWithPrecision(fraction, 4)
		if !errors.Is(err, ErrProbabilityRange) || threshold != AlwaysSampleThreshold {
			t.Errorf("%v: %q, %v", fraction, threshold.TValue(), err)
		}
	}
}

func TestTValue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tvalue      string
		probability float64
		want        string
	}{
		{"0", 1, "0"},
		{"000", 1, "0"},
		{"8", 0.5, "8"},
		{"C00", 0.25, "c"},
		{"08", 0.96875, "08"},
		{"ffffffffffffff", MinSamplingProbability, "ffffffffffffff"},
	} {
		threshold, err := TValueToThreshold(test.tvalue)
		if err != nil || threshold.TValue() != test.want || threshold.Probability() != test.probability {
			t.Errorf("%s: %q for %v, %v", test.tvalue, threshold.TValue(), threshold.Probability(), err)
		}
	}
	for tvalue, want := range map[string]error{
		"":                errTValueEmpty,
		"000000000000000": errTValueSize,
		"g":               strconv.ErrSyntax,
		"-1":              strconv.ErrSyntax,
		"0x1":             strconv.ErrSyntax,
	} {
		if threshold, err := TValueToThreshold(tvalue); !errors.Is(err, want) || threshold != AlwaysSampleThreshold {
			t.Errorf("%s: %q, %v", tvalue, threshold.TValue(), err)
		}
	}
	if NeverSampleThreshold.TValue() != "" || NeverSampleThreshold.Probability() != 0 {
		t.Errorf("never: %q for %v", NeverSampleThreshold.TValue(), NeverSampleThreshold.Probability())
	}
}

func TestRValue(t *testing.T) {
	t.Parallel()
	for rvalue, want := range map[string]string{"00000000000001": "00000000000001", "ABCDEFABCDEFAB": "abcdefabcdefab"} {
		if randomness, err := RValueToRandomness(rvalue); err != nil || randomness.RValue() != want {
			t.Errorf("%s: %s, %v", rvalue, randomness.RValue(), err)
		}
	}
	for rvalue, want := range map[string]error{
		"":                errRValueSize,
		"0000000000000":   errRValueSize,
		"000000000000000": errRValueSize,
		"0000000000000g":  strconv.ErrSyntax,
	} {
		if randomness, err := RValueToRandomness(rvalue); !errors.Is(err, want) || randomness != (Randomness{}) {
			t.Errorf("%s: %s, %v", rvalue, randomness.RValue(), err)
		}
	}
}

func TestTraceIDToRandomness(t *testing.T) {
	t.Parallel()
	id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10}
	if rvalue := TraceIDToRandomness(id).RValue(); rvalue != "0a0b0c0d0e0f10" {
		t.Error(rvalue)
	}
}

func TestUnsigned(t *testing.T) {
	t.Parallel()
	randomness, err := UnsignedToRandomness(0xabc)
	if err != nil || randomness.RValue() != "00000000000abc" {
		t.Errorf("%s, %v", randomness.RValue(), err)
	}
	if randomness, err = UnsignedToRandomness(1 << 56); randomness != AllProbabilitiesRandomness || err == nil {
		t.Errorf("%s, %v", randomness.RValue(), err)
	}
	threshold, err := UnsignedToThreshold(0xabc)
	if err != nil || threshold.TValue() != "00000000000abc" {
		t.Errorf("%s, %v", threshold.TValue(), err)
	}
	if threshold, err = UnsignedToThreshold(1 << 56); threshold != NeverSampleThreshold || err == nil {
		t.Errorf("%s, %v", threshold.TValue(), err)
	}
}

func TestShouldSample(t *testing.T) {
	t.Parallel()
	half := Threshold{steps / 2}
	for _, test := range []struct {
		threshold  Threshold
		randomness Randomness
		want       bool
	}{
		{AlwaysSampleThreshold, Randomness{}, true},
		{half, Randomness{steps/2 - 1}, false},
		{half, Randomness{steps / 2}, true},
		{Threshold{steps - 1}, AllProbabilitiesRandomness, true},
		{NeverSampleThreshold, AllProbabilitiesRandomness, false},
	} {
		if got := test.threshold.ShouldSample(test.randomness); got != test.want {
			t.Errorf("threshold %q, randomness %s: %v", test.threshold.TValue(), test.randomness.RValue(), got)
		}
	}
	if !ThresholdLessThan(AlwaysSampleThreshold, half) || ThresholdLessThan(half, half) {
		t.Error("less than")
	}
}
