// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The limits of W3C Trace Context, in bytes.
const (
	maxTraceStateSize = 1024
	maxKeySize        = 256
	maxTenantSize     = 241
	maxSystemSize     = 14
	maxValueSize      = 256

	// W3C allows 32. The original fails at the 32nd, and so does this.
	maxMembers = 31
)

var errTraceStateSize = errors.New("invalid tracestate size")

// W3CTraceState is a tracestate, in which the member of OpenTelemetry can be read and changed.
type W3CTraceState struct {
	ot     OpenTelemetryTraceState
	others []string
}

// NewW3CTraceState reads a tracestate. It fails for one that is not well-formed, and returns an empty one. It fails,
// too, where members are too many or too large, or a threshold or randomness cannot be read, and returns what is left
// without them.
func NewW3CTraceState(input string) (W3CTraceState, error) {
	var ts W3CTraceState
	if len(input) > maxTraceStateSize {
		return ts, errTraceStateSize
	}
	var count int
	var failed error
	for member := range strings.SplitSeq(strings.TrimSuffix(input, ","), ",") {
		count++
		member = strings.Trim(member, " \t")
		if member == "" {
			continue
		}
		key, value, found := strings.Cut(member, "=")
		if !found || !isKey(key) || !isValue(value) {
			return W3CTraceState{}, strconv.ErrSyntax
		}
		switch {
		case count > maxMembers:
		case isKeyTooLarge(key):
			failed = join(failed, errTraceStateSize)
		default:
			failed = join(failed, ts.add(member))
		}
	}
	if count > maxMembers {
		return ts, errTraceStateSize
	}
	return ts, failed
}

func (ts *W3CTraceState) add(member string) error {
	value, found := strings.CutPrefix(member, "ot=")
	if !found {
		ts.others = append(ts.others, member)
		return nil
	}
	var err error
	ts.ot, err = newOpenTelemetryTraceState(value)
	return err
}

// OTelValue is the member of OpenTelemetry, to be read and changed.
func (ts *W3CTraceState) OTelValue() *OpenTelemetryTraceState { return &ts.ot }

// Serialize writes the tracestate, with the member of OpenTelemetry at the front, where W3C wants one that has changed.
func (ts *W3CTraceState) Serialize(w io.StringWriter) error {
	members := ts.others
	if ot := ts.ot.serialize(); ot != "" {
		members = append([]string{"ot=" + ot}, members...)
	}
	_, err := w.WriteString(strings.Join(members, ","))
	return err
}

// OpenTelemetryTraceState is the member of OpenTelemetry in a tracestate.
type OpenTelemetryTraceState struct {
	randomness Randomness
	rvalue     string
	threshold  Threshold
	tvalue     string
	others     []string
}

// newOpenTelemetryTraceState reads the value of the member, which W3C limits to the size that OpenTelemetry does.
func newOpenTelemetryTraceState(input string) (OpenTelemetryTraceState, error) {
	var ts OpenTelemetryTraceState
	var failed error
	for field := range strings.SplitSeq(input, ";") {
		key, value, found := strings.Cut(field, ":")
		if !found || !begins(key, isLower, isLowerOrDigit) || !consists(value, isOTelChar) {
			return OpenTelemetryTraceState{}, strconv.ErrSyntax
		}
		failed = join(failed, ts.set(key, value))
	}
	return ts, failed
}

func (ts *OpenTelemetryTraceState) set(key, value string) error {
	var err error
	switch key {
	case "rv":
		ts.rvalue = value
		if ts.randomness, err = RValueToRandomness(value); err != nil {
			ts.rvalue = ""
		}
	case "th":
		ts.tvalue = value
		if ts.threshold, err = TValueToThreshold(value); err != nil {
			ts.tvalue = ""
		}
	default:
		ts.others = append(ts.others, key+":"+value)
	}
	return err
}

// RValueRandomness is the explicit randomness, if there is any.
func (ts *OpenTelemetryTraceState) RValueRandomness() (Randomness, bool) {
	return ts.randomness, ts.rvalue != ""
}

// SetRValue makes a randomness explicit.
func (ts *OpenTelemetryTraceState) SetRValue(r Randomness) {
	ts.randomness, ts.rvalue = r, r.RValue()
}

// TValueThreshold is the threshold that was sampled with, if there is any.
func (ts *OpenTelemetryTraceState) TValueThreshold() (Threshold, bool) {
	return ts.threshold, ts.tvalue != ""
}

// UpdateTValueWithSampling sets the threshold, or removes it with NeverSampleThreshold. It fails with
// ErrInconsistentSampling, and changes nothing, if there is a greater one.
func (ts *OpenTelemetryTraceState) UpdateTValueWithSampling(t Threshold) error {
	if ts.tvalue != "" && ThresholdLessThan(t, ts.threshold) {
		return ErrInconsistentSampling
	}
	ts.threshold, ts.tvalue = t, t.TValue()
	return nil
}

// ClearTValue removes the threshold.
func (ts *OpenTelemetryTraceState) ClearTValue() {
	ts.threshold, ts.tvalue = AlwaysSampleThreshold, ""
}

// serialize is the value of the member, and empty if there is none.
func (ts *OpenTelemetryTraceState) serialize() string {
	var fields []string
	if ts.rvalue != "" {
		fields = append(fields, "rv:"+ts.rvalue)
	}
	if ts.tvalue != "" {
		fields = append(fields, "th:"+ts.tvalue)
	}
	return strings.Join(append(fields, ts.others...), ";")
}

// isKey is for `simple` and for `tenant@system`.
func isKey(key string) bool {
	tenant, system, found := strings.Cut(key, "@")
	if !found {
		return begins(key, isLower, isKeyChar)
	}
	return begins(tenant, isLowerOrDigit, isKeyChar) && begins(system, isLower, isKeyChar)
}

func isKeyTooLarge(key string) bool {
	tenant, system, found := strings.Cut(key, "@")
	return len(key) > maxKeySize || found && (len(tenant) > maxTenantSize || len(system) > maxSystemSize)
}

func isValue(value string) bool {
	return value != "" && len(value) <= maxValueSize && !strings.HasSuffix(value, " ") && consists(value, isValueChar)
}

// begins says whether s has a first byte, and each other byte, as required.
func begins(s string, first, other func(byte) bool) bool {
	return s != "" && first(s[0]) && consists(s[1:], other)
}

func consists(s string, each func(byte) bool) bool {
	for i := range len(s) {
		if !each(s[i]) {
			return false
		}
	}
	return true
}

func isLower(c byte) bool        { return 'a' <= c && c <= 'z' }
func isLowerOrDigit(c byte) bool { return isLower(c) || '0' <= c && c <= '9' }
func isKeyChar(c byte) bool      { return isLowerOrDigit(c) || c == '_' || c == '-' || c == '*' || c == '/' }
func isValueChar(c byte) bool    { return ' ' <= c && c <= '~' && c != ',' && c != '=' }

func isOTelChar(c byte) bool {
	return isLowerOrDigit(c) || 'A' <= c && c <= 'Z' || c == '.' || c == '_' || c == '-'
}

// join makes one of two errors that may both be nil, for a line of a log.
func join(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return fmt.Errorf("%w; %w", first, second)
	}
}
