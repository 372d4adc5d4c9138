// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWakeAfter(t *testing.T) {
	t.Parallel()
	woken, stop := wakeAfter(time.Millisecond)
	<-woken
	stop()

	woken, stop = wakeAfter(time.Hour)
	select {
	case <-woken:
		require.Fail(t, "too early")
	default:
	}
	stop()
	<-woken
}
