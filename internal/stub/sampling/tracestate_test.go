// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

func serialized(t *testing.T, ts *W3CTraceState) string {
	t.Helper()
	var b strings.Builder
	if err := ts.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func x(n int) string { return strings.Repeat("x", n) }

func TestWellFormed(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		"":                       "",
		" \t":                    "",
		", ,":                    "",
		"a=b":                    "a=b",
		" a=b\t,\tc=d ":          "a=b,c=d",
		"a= b":                   "a= b",
		"a=!\"#$%&'()*+-./:;<>?": "a=!\"#$%&'()*+-./:;<>?",
		"a=@AZ[\\]^_`az{|}~":     "a=@AZ[\\]^_`az{|}~",
		"a09_-*/=b":              "a09_-*/=b",
		"0a@b=c":                 "0a@b=c",
		"a=b,a=c":                "a=b,a=c",

		"a=b,ot=k:;th:c00;rv:0000000000000A": "ot=rv:0000000000000A;th:c00;k:,a=b",
		"ot=a:AZ.az_09-;b1:c":                "ot=a:AZ.az_09-;b1:c",
		"ot=th:1;th:2,ot=a:b":                "ot=a:b",

		x(256) + "=" + x(256):             x(256) + "=" + x(256),
		x(241) + "@" + x(14) + "=v":       x(241) + "@" + x(14) + "=v",
		strings.Repeat("a=b,", 30):        strings.Repeat("a=b,", 29) + "a=b",
		strings.Repeat(",", 30) + "a=b":   "a=b",
		strings.Repeat(" ", 1021) + "a=b": "a=b",
		"a=b" + strings.Repeat(",", 31):   "a=b",
	} {
		ts, err := NewW3CTraceState(input)
		if err != nil {
			t.Errorf("%q: %v", input, err)
		}
		if got := serialized(t, &ts); got != want {
			t.Errorf("%q: %q", input, got)
		}
	}
}

// Of what is not well-formed nothing remains.
func TestNotWellFormed(t *testing.T) {
	t.Parallel()
	for _, member := range []string{
		"a", "=", "=b", "a=", "a= ", "a=b=c", "a =b", "A=b", "0=b", "_=b", "a.=b", "a=b\tc", "a=\x7f", "a=é", "é=a",
		"@b=c", "a@=c", "a@0=c", "a@b@c=d", "_@b=c", "A@b=c", "a@B=c", "a=" + x(257),
		"a=b" + strings.Repeat(",", 40) + "=",
	} {
		ts, err := NewW3CTraceState("k=v," + member)
		if !errors.Is(err, strconv.ErrSyntax) {
			t.Errorf("%q: %v", member, err)
		}
		if got := serialized(t, &ts); got != "" {
			t.Errorf("%q: %q", member, got)
		}
	}
}

func TestWhatRemains(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ input, want string }{
		{"k=v," + x(257) + "=v", "k=v"},
		{"k=v," + x(242) + "@b=v", "k=v"},
		{"k=v,a@" + x(15) + "=v", "k=v"},
		{strings.Repeat("k=v,", 31) + "a=b", strings.Repeat("k=v,", 30) + "k=v"},
		{"k=v" + strings.Repeat(",", 32), "k=v"},
		{"k=v" + strings.Repeat(" ", 1022), ""},
	} {
		ts, err := NewW3CTraceState(test.input)
		if !errors.Is(err, errTraceStateSize) {
			t.Errorf("%q: %v", test.input, err)
		}
		if got := serialized(t, &ts); got != test.want {
			t.Errorf("%q: %q", test.input, got)
		}
	}
	for _, test := range []struct {
		ot, want string
		errs     []error
	}{
		{";", "k=v", []error{strconv.ErrSyntax}},
		{"th:c;", "k=v", []error{strconv.ErrSyntax}},
		{"th", "k=v", []error{strconv.ErrSyntax}},
		{"a:b;B:c", "k=v", []error{strconv.ErrSyntax}},
		{"a:b;0:c", "k=v", []error{strconv.ErrSyntax}},
		{"a:b c", "k=v", []error{strconv.ErrSyntax}},
		{"a:b:c", "k=v", []error{strconv.ErrSyntax}},
		{"a:b;th:" + strings.Repeat("0", 15), "ot=a:b,k=v", []error{errTValueSize}},
		{"a:b;th:", "ot=a:b,k=v", []error{errTValueEmpty}},
		{"th:c;th:z", "k=v", []error{strconv.ErrSyntax}},
		{"th:z;th:c", "ot=th:c,k=v", []error{strconv.ErrSyntax}},
		{"rv:1;th:c", "ot=th:c,k=v", []error{errRValueSize}},
		{"rv:1;th:", "k=v", []error{errRValueSize, errTValueEmpty}},
	} {
		ts, err := NewW3CTraceState("ot=" + test.ot + ",k=v")
		for _, want := range test.errs {
			if !errors.Is(err, want) {
				t.Errorf("%q: %v", test.ot, err)
			}
		}
		if got := serialized(t, &ts); got != test.want {
			t.Errorf("%q: %q", test.ot, got)
		}
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	ts, err := NewW3CTraceState("a=b,ot=rv:12345678901234;th:8;k:v")
	if err != nil {
		t.Fatal(err)
	}
	ot := ts.OTelValue()
	randomness, explicit := ot.RValueRandomness()
	threshold, sampled := ot.TValueThreshold()
	if !explicit || randomness.RValue() != "12345678901234" || !sampled || threshold.Probability() != 0.5 {
		t.Fatalf("randomness %s, threshold %s", randomness.RValue(), threshold.TValue())
	}
	expect := func(want string) {
		t.Helper()
		if got := serialized(t, &ts); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	if err := ot.UpdateTValueWithSampling(Threshold{steps / 4}); !errors.Is(err, ErrInconsistentSampling) {
		t.Error(err)
	}
	expect("ot=rv:12345678901234;th:8;k:v,a=b")
	if err := ot.UpdateTValueWithSampling(Threshold{steps / 4 * 3}); err != nil {
		t.Error(err)
	}
	ot.SetRValue(AllProbabilitiesRandomness)
	expect("ot=rv:ffffffffffffff;th:c;k:v,a=b")
	if err := ot.UpdateTValueWithSampling(NeverSampleThreshold); err != nil {
		t.Error(err)
	}
	expect("ot=rv:ffffffffffffff;k:v,a=b")
	if err := ot.UpdateTValueWithSampling(AlwaysSampleThreshold); err != nil {
		t.Error(err)
	}
	expect("ot=rv:ffffffffffffff;th:0;k:v,a=b")
	ot.ClearTValue()
	expect("ot=rv:ffffffffffffff;k:v,a=b")
}

type broken struct{}

func (broken) WriteString(string) (int, error) { return 0, errors.ErrUnsupported }

func TestSerializeFails(t *testing.T) {
	t.Parallel()
	var ts W3CTraceState
	if err := ts.Serialize(broken{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// What remains of any input is well-formed, and is written as it is read.
func FuzzW3CTraceState(f *testing.F) {
	f.Add("ot=rv:12345678901234;th:c;k:v, 0a@b=c,d=e f ")
	f.Add(strings.Repeat("a=b,", 32))
	f.Fuzz(func(t *testing.T, input string) {
		ts, _ := NewW3CTraceState(input)
		first := serialized(t, &ts)
		again, err := NewW3CTraceState(first)
		if second := serialized(t, &again); err != nil || second != first {
			t.Fatalf("%q, then %q, %v", first, second, err)
		}
	})
}
