// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// ParseFaults reads faults joined by `;`, in the grammar of the package documentation. An empty text has none.
func ParseFaults(text string) ([]Fault, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var faults []Fault
	for part := range strings.SplitSeq(text, ";") {
		f, err := parseFault(part)
		if err != nil {
			return nil, fmt.Errorf("fault %q: %w", strings.TrimSpace(part), err)
		}
		faults = append(faults, f)
	}
	return faults, nil
}

func parseFault(text string) (Fault, error) {
	var f Fault
	seen := map[string]bool{}
	for i, word := range strings.Split(text, ",") {
		name, value, hasValue := strings.Cut(word, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if seen[name] {
			return Fault{}, fmt.Errorf("`%s` is given twice", name)
		}
		seen[name] = true
		set := f.setOption
		if i == 0 {
			set = f.setAction
		}
		if err := set(name, value, hasValue); err != nil {
			return Fault{}, err
		}
	}
	return f, f.Validate()
}

func (f *Fault) setAction(name, value string, hasValue bool) error {
	f.Action = Action(name)
	switch f.Action {
	case ActionStatus:
		return parseNumber(name, value, &f.Status)
	case ActionLatency:
		return parseDuration(name, value, &f.Latency)
	case ActionPartial:
		return parseNumber(name, value, &f.Rejected)
	case ActionHang, ActionHangBeforeRead, ActionClose, ActionReset, ActionAckLost, ActionRefuse:
		if hasValue {
			return fmt.Errorf("`%s` takes no value", name)
		}
		return nil
	case "":
		return fmt.Errorf("it is empty: start with one of %s", joinNames(actions()))
	default:
		return fmt.Errorf("unknown action %q: start with one of %s", name, joinNames(actions()))
	}
}

func (f *Fault) setOption(name, value string, _ bool) error {
	switch name {
	case "first":
		return parseNumber(name, value, &f.First)
	case "skip":
		return parseNumber(name, value, &f.Skip)
	case "every":
		return parseNumber(name, value, &f.Every)
	case "from":
		return parseDuration(name, value, &f.From)
	case "for":
		return parseDuration(name, value, &f.For)
	case "retry_after":
		return parseDuration(name, value, &f.RetryAfter)
	case "code":
		return parseCode(value, &f.Code)
	case "signal":
		f.Signal = Signal(value)
	case "transport":
		f.Transport = Transport(value)
	default:
		return fmt.Errorf("unknown option %q: use `first`, `skip`, `every`, `from`, `for`, `signal`, `transport`, "+
			"`retry_after` or `code`", name)
	}
	if value == "" {
		return fmt.Errorf("`%s` needs a value", name)
	}
	return nil
}

// parseNumber wants a number above zero: a zero would read as "not given".
func parseNumber(name, value string, to *int) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n == 0 {
		return fmt.Errorf("`%s` needs a whole number above zero, got %q", name, value)
	}
	*to = int(n)
	return nil
}

func parseDuration(name, value string, to *time.Duration) error {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return fmt.Errorf("`%s` needs a duration above zero such as `500ms` or `2s`, got %q", name, value)
	}
	*to = d
	return nil
}

func parseCode(value string, to *codes.Code) error {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		if strings.EqualFold(value, codeName(c)) {
			*to = c
			return nil
		}
	}
	return errors.New("`code` needs the name of a gRPC code other than OK, such as UNAVAILABLE, got " + strconv.Quote(value))
}

// codeName returns the name that the gRPC specification gives a code; codes.Code.String has Go's own spelling.
func codeName(c codes.Code) string {
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}
