// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

func TestJudgeInvocation(t *testing.T) {
	good := func() lambdasim.Invocation {
		return lambdasim.Invocation{
			Number: 7, Status: lambdasim.StatusSuccess, PlatformStatus: lambdasim.StatusSuccess,
			Response: []byte(`{"order_id":"order-7"}`), Duration: timeout - deadlineMargin,
		}
	}
	require.NoError(t, judgeInvocation(good()))
	for name, spoil := range map[string]func(*lambdasim.Invocation){
		"the function failed":          func(i *lambdasim.Invocation) { i.Status = lambdasim.StatusError },
		"the extensions took too long": func(i *lambdasim.Invocation) { i.PlatformStatus = lambdasim.StatusTimeout },
		"another's response":           func(i *lambdasim.Invocation) { i.Response = []byte(`{"order_id":"order-6"}`) },
		"no response":                  func(i *lambdasim.Invocation) { i.Response = nil },
		"past the bound":               func(i *lambdasim.Invocation) { i.Duration = timeout - time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			inv := good()
			spoil(&inv)
			require.Error(t, judgeInvocation(inv))
		})
	}
}

func TestDroppedItems(t *testing.T) {
	require.Equal(t, 12, droppedItems(`[function] {"msg":"count","count":5}
[extension otelcol-lambda] {"level":"warn","msg":"Data was dropped","items":"spans","count":9,"reason":"x"}
[extension otelcol-lambda] {"level":"warn","msg":"Data was dropped","items":"log records","count":3,"reason":"x"}
[extension otelcol-lambda] Data was dropped
`))
}
