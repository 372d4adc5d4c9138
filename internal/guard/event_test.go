// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

func parse(body string) event { return parseEvent(&http1.Response{Body: []byte(body)}) }

func TestParseEvent(t *testing.T) {
	for body, want := range map[string]event{
		`{"eventType":"INVOKE","deadlineMs":1775516174092,"requestId":"3da1","invokedFunctionArn":"arn:aws:lambda",` +
			`"tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1;Parent=2"}}`: {kind: "INVOKE", deadlineMs: 1775516174092},
		`{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":1775516176092}`:            {kind: "SHUTDOWN", deadlineMs: 1775516176092},
		" {\n\t\"deadlineMs\" : 676051 ,\r\n \"eventType\" : \"INVOKE\" } ":                          {kind: "INVOKE", deadlineMs: 676051},
		`{"tracing":{"eventType":"SHUTDOWN","a":[1,{"deadlineMs":5}],"b":"}"},"eventType":"INVOKE"}`: {kind: "INVOKE"},
		`{"deadlineMs":"1775516176092","eventType":"INVOKE"}`:                                        {kind: "INVOKE", deadlineMs: 1775516176092},
		`{"deadlineMs":1775516176092.75,"eventType":"INVOKE"}`:                                       {kind: "INVOKE", deadlineMs: 1775516176092},
		`{"deadlineMs":null,"eventType":"INVOKE"}`:                                                   {kind: "INVOKE"},
		`{"deadlineMs":true,"x":"\"","eventType":"INVOKE"}`:                                          {kind: "INVOKE"},
		`{"deadlineMs":1e300,"eventType":"INVOKE"}`:                                                  {kind: "INVOKE"},
		`{"deadlineMs":99999999999999999999,"eventType":"INVOKE"}`:                                   {kind: "INVOKE"},
		`{"deadlineMs":{"a":[]},"eventType":"INVOKE"}`:                                               {kind: "INVOKE"},
		`{"eventType":7}`:                {},
		`{}`:                             {},
		``:                               {},
		`[]`:                             {},
		`{"eventType":"INVOKE`:           {},
		`{"eventType":"INVOKE","x":[`:    {kind: "INVOKE"},
		`{"eventType" "INVOKE"}`:         {},
		`{eventType:"INVOKE"}`:           {},
		strings.Repeat(`{"a":`, 100_000): {},
		strings.Repeat(`[`, 100_000):     {},
	} {
		got := parse(body)
		got.response = nil
		require.Equal(t, want, got, "%.80s", body)
	}
}

func TestDeadline(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	require.Zero(t, event{}.deadline(now))
	require.Zero(t, event{deadlineMs: -5}.deadline(now))
	require.Equal(t, 3*time.Second, event{deadlineMs: 1_800_000_003_000}.deadline(now).Sub(now))
	require.Equal(t, -time.Second, event{deadlineMs: 1_799_999_999_000}.deadline(now).Sub(now))
	require.Equal(t, 676051*time.Millisecond, event{deadlineMs: 676051}.deadline(now).Sub(now), "time remaining")
}

func TestEventWithCounters(t *testing.T) {
	e := event{response: &http1.Response{Header: make(http1.Header, 0, 4)}}
	require.Equal(t, e, e.with(contract.Counters{}))
	told := e.with(contract.Counters{Deaths: 2})
	require.Equal(t, 2, int(contract.ParseCounters(told.response.Header.Get(contract.HeaderCounters)).Deaths))
	require.Empty(t, e.response.Header[:1][0].Name, "Lambda's answer is not written to")
}

// FuzzParseEvent compares with encoding/json wherever that has no doubts.
func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"eventType":"INVOKE","deadlineMs":1775516174092,"tracing":{"value":"a\"b"}}`))
	f.Add([]byte(`{"a":[{},[],"\\",1.5e3,null],"eventType":"SHUTDOWN"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := parseEvent(&http1.Response{Body: body})
		var fields map[string]json.RawMessage
		if json.Unmarshal(body, &fields) != nil || strings.Contains(string(body), `\`) ||
			strings.Count(string(body), `"eventType"`) > 1 || strings.Count(string(body), "[")+strings.Count(string(body), "{") > maxNesting {
			return // a doubt
		}
		var kind string
		if json.Unmarshal(fields["eventType"], &kind) == nil && json.Valid([]byte(`"`+kind+`"`)) {
			require.Equal(t, strings.ToValidUTF8(kind, "\ufffd"), strings.ToValidUTF8(got.kind, "\ufffd"))
		}
	})
}
