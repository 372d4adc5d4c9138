// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// The tenant is in what the runtime gets, in the events of invocations, and in JSON lines.
func TestTenant(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), OnEvent: timeline.observe, TenantID: "blue", LogFormat: LogFormatJSON,
	})
	inv := invoke(t, e, work{Do: "tenant", Log: []string{`{"a":1}`, "text"}})
	require.Empty(t, inv.Message)
	require.Equal(t, `"blue"`, string(inv.Response))
	for _, eventType := range []string{"platform.start", "platform.runtimeDone", "platform.report"} {
		require.Equal(t, "blue", timeline.of(t, eventType)[0]["tenantId"], eventType)
	}
	require.NotContains(t, timeline.of(t, "platform.initStart")[0], "tenantId")
	require.NoError(t, e.Shutdown(testContext(t)))
	// The account is of what the function wrote.
	require.Equal(t, []string{`{"a":1}`, "text"}, e.Report().Telemetry[0].Function)
	timeline.mu.Lock()
	defer timeline.mu.Unlock()
	var lines []string
	for _, r := range timeline.records {
		if r.Type == telemetryapi.EventFunction {
			lines = append(lines, string(r.Record))
		}
	}
	require.Equal(t, []string{`{"tenantId":"blue","a":1}`, `"text"`}, lines)
}

func TestNoTenant(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{OnEvent: timeline.observe})
	require.Equal(t, `""`, string(invoke(t, e, work{Do: "tenant"}).Response))
	for _, eventType := range []string{"platform.start", "platform.runtimeDone", "platform.report"} {
		require.NotContains(t, timeline.of(t, eventType)[0], "tenantId")
	}
}

func TestTenantInLines(t *testing.T) {
	for line, want := range map[string]string{
		`{"a":1}`:                `{"tenantId":"b\"","a":1}`,
		`{}`:                     `{"tenantId":"b\""}`,
		` { "a" : 1 } `:          `{"tenantId":"b\"", "a" : 1 }`,
		`{"tenantId":"another"}`: `{"tenantId":"another"}`,
	} {
		require.Equal(t, want, string(withTenant([]byte(line), `b"`)))
		require.Equal(t, line, string(withTenant([]byte(line), "")))
	}
	h := newHub(newGate(), true, func(Record) {})
	defer h.close()
	h.tenant = "blue"
	h.line(telemetryapi.StreamFunction, `{"a":1}`)
	h.line(telemetryapi.StreamExtension, `{"a":1}`)
	require.Contains(t, string(h.history[0].encode(schemaWithoutObjects).body), `"record":"{\"tenantId\":\"blue\",\"a\":1}"`)
	require.Contains(t, string(h.history[1].encode(schemaManaged).body), `"record":{"a":1}`)
}
