// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/stretchr/testify/require"
)

func TestCheckout(t *testing.T) {
	t.Parallel()
	charged := map[string]any{"level": "INFO", "msg": "order charged", "order.id": "o-1"}
	declined := map[string]any{"level": "ERROR", "msg": "order declined", "order.id": "o-1"}
	for name, tt := range map[string]struct {
		event    string
		answer   string
		err      error
		text     []string
		json     map[string]any
		exitCode int
		took     time.Duration
	}{
		"success": {
			event: `{"orderId":"o-1"}`, answer: `{"orderId":"o-1"}`,
			text: []string{"order o-1 received"}, json: charged,
		},
		"lines": {
			event: `{"orderId":"o-1","lines":2}`, answer: `{"orderId":"o-1"}`,
			text: []string{"order o-1 received", "item 1 of order o-1", "item 2 of order o-1"}, json: charged,
		},
		"sleep": {
			event: `{"orderId":"o-1","sleepMs":1500}`, answer: `{"orderId":"o-1"}`,
			text: []string{"order o-1 received"}, json: charged, took: 1500 * time.Millisecond,
		},
		"request id": {
			event: `{}`, answer: `{"orderId":"r-1"}`,
			text: []string{"order r-1 received"},
			json: map[string]any{"level": "INFO", "msg": "order charged", "order.id": "r-1"},
		},
		"failure": {
			event: `{"orderId":"o-1","fail":true}`, err: errDeclined,
			text: []string{"order o-1 received"}, json: declined,
		},
		"crash": {
			event: `{"orderId":"o-1","crash":true}`, exitCode: 1,
			text: []string{"order o-1 received"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				code := 0
				c := newCheckout(&out, func(c int) { code = c; panic("exited") })
				ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "r-1"})
				start := time.Now()
				invoke := func() {
					answer, err := lambda.NewHandler(c.handle).Invoke(ctx, []byte(tt.event))
					require.ErrorIs(t, err, tt.err)
					if tt.err == nil {
						require.JSONEq(t, tt.answer, string(answer))
					}
				}
				if tt.exitCode != 0 {
					require.PanicsWithValue(t, "exited", invoke)
				} else {
					invoke()
				}
				require.Equal(t, tt.exitCode, code)
				require.Equal(t, tt.took, time.Since(start))
				lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
				require.Equal(t, tt.text, lines[:len(tt.text)])
				lines = lines[len(tt.text):]
				if tt.json == nil {
					require.Empty(t, lines)
					return
				}
				require.Len(t, lines, 1)
				var logged map[string]any
				require.NoError(t, json.Unmarshal([]byte(lines[0]), &logged))
				require.Contains(t, logged, "time")
				delete(logged, "time")
				require.Equal(t, tt.json, logged)
			})
		})
	}
}
