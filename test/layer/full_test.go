// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// envFullLayer names an unpacked layer of the full distribution for this machine. `make test-full` builds one and sets it.
const envFullLayer = "FULL_LAYER"

const (
	coreProgram = "collector"
	fullProgram = "collector-full"
)

func fullLayer(t *testing.T) string {
	t.Helper()
	layer := os.Getenv(envFullLayer)
	if layer == "" {
		t.Skip("make test-full builds the full layer, which takes minutes, and sets " + envFullLayer)
	}
	return layer
}

func newFullRig(t *testing.T, s setup) *rig {
	t.Helper()
	layer := fullLayer(t)
	s.options = func(o *lambdasim.Options) { o.LayerDir = layer }
	return newRig(t, s)
}

// program is the file that the guard runs.
func (r *rig) program(t *testing.T) string {
	t.Helper()
	file, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(r.collector(t)), "exe"))
	require.NoError(t, err)
	return filepath.Base(file)
}

// TestFullComponentsOfTheOpenTelemetryLayer has all components of that layer at work, under the names its users write.
// Nothing is changed that an item is recognised by, so that the account holds.
func TestFullComponentsOfTheOpenTelemetryLayer(t *testing.T) {
	const config = `
receivers:
  otlp:
    protocols:
      http: {endpoint: "localhost:@HTTP@"}
  telemetryapi:
    types: [platform, function]
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 100}
  probabilistic_sampler: {sampling_percentage: 100}
  attributes:
    actions: [{key: team, value: checkout, action: insert}]
  resource:
    attributes: [{key: deployment.environment.name, value: test, action: upsert}]
  span:
    include: {match_type: strict, span_names: [charge]}
    status: {code: Ok}
  filter:
    error_mode: ignore
    traces: {span: ['name == "validate item"']}
  transform:
    error_mode: ignore
    trace_statements: ['set(span.attributes["transformed"], true)']
    metric_statements: ['set(resource.attributes["transformed"], true)']
    log_statements: ['set(resource.attributes["transformed"], true)']
  batch: {timeout: 200ms}
  decouple: {max_queue_size: 200}
exporters:
  debug: {verbosity: normal}
  otlp: {endpoint: "@BACKEND_GRPC@", tls: {insecure: true}}
  otlphttp: {endpoint: "@BACKEND@", auth: {authenticator: sigv4auth}}
  prometheusremotewrite: {endpoint: "${env:PROMETHEUS}", auth: {authenticator: basicauth}}
extensions:
  basicauth:
    client_auth: {username: grafana, password: secret}
  sigv4auth: {region: eu-central-1, service: xray}
service:
  extensions: [basicauth, sigv4auth]
  pipelines:
    traces:
      receivers: [otlp, telemetryapi]
      processors: [memory_limiter, probabilistic_sampler, attributes, resource, span, filter, transform, batch, decouple]
      exporters: [otlphttp]
    metrics:
      receivers: [otlp, telemetryapi]
      processors: [memory_limiter, resource, filter, transform, batch, decouple]
      exporters: [otlp, prometheusremotewrite]
    logs:
      receivers: [otlp, telemetryapi]
      processors: [memory_limiter, resource, filter, transform, batch, decouple]
      exporters: [otlp, debug]
  telemetry:
    metrics: {level: none}
`
	prometheus := newRemoteWrite(t)
	r := newFullRig(t, setup{config: config, env: map[string]string{
		"PROMETHEUS":            prometheus.URL,
		"AWS_ACCESS_KEY_ID":     "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	}})
	r.init(t)
	for range 3 {
		r.succeedWith(t, `{"spans":2}`)
	}
	require.Equal(t, fullProgram, r.program(t))
	r.end(t)
	r.linesArrived(t)

	var filtered []string
	for _, span := range r.tap.Spans() {
		if span.Name() == "validate item" {
			filtered = append(filtered, span.ID)
		}
	}
	require.Len(t, filtered, 6)
	ledger := lambdasim.Account(r.tap.Identities(), r.sink.Identities())
	require.ElementsMatch(t, filtered, ledger.Lost, "what the filter drops, and nothing else")
	require.Empty(t, ledger.Duplicated)
	require.NotEmpty(t, r.sink.Points())

	for _, span := range r.sink.Spans() {
		team, _ := span.Attributes().Get("team")
		require.Equal(t, "checkout", team.Str(), span.Name())
		_, transformed := span.Attributes().Get("transformed")
		require.True(t, transformed, span.Name())
		environment, _ := span.Resource.Get("deployment.environment.name")
		require.Equal(t, "test", environment.Str())
		if span.Name() == "charge" {
			require.Equal(t, "Ok", span.Status().Code().String())
		}
	}
	for _, request := range r.sink.Requests() {
		if request.Signal == otlpsink.SignalTraces {
			require.Contains(t, request.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
			require.Contains(t, request.Header.Get("Authorization"), "/eu-central-1/xray/aws4_request")
		}
	}
	require.Contains(t, prometheus.written(), "checkout_orders")
	require.Contains(t, prometheus.written(), "otelcol_lambda_")
}

// remoteWrite is a Prometheus that keeps what is written to it by the user grafana.
type remoteWrite struct {
	*httptest.Server
	mu   sync.Mutex
	text bytes.Buffer
}

func newRemoteWrite(t *testing.T) *remoteWrite {
	t.Helper()
	w := &remoteWrite{}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *remoteWrite) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if user, password, _ := request.BasicAuth(); user != "grafana" || password != "secret" {
		response.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err == nil {
		// Snappy's block format is a part of S2's.
		body, err = s2.Decode(nil, body)
	}
	if err != nil {
		response.WriteHeader(http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(body)
	response.WriteHeader(http.StatusNoContent)
}

// written is the protocol buffer messages one after the other. Names stand in them as they are.
func (w *remoteWrite) written() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// A configuration that does with the core's components is run by the core's collector, which starts faster.
func TestFullLayerRunsTheCoreWhereItCan(t *testing.T) {
	r := newFullRig(t, setup{})
	r.init(t)
	r.succeed(t)
	require.Equal(t, coreProgram, r.program(t))
	r.end(t)
	r.nothingLost(t)
	r.linesArrived(t)
	require.NotContains(t, r.log.String(), "the full one is used")
}

// A configuration that needs more is run by the fuller collector, from Init on.
func TestFullLayerHandsOver(t *testing.T) {
	const config = `
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:@HTTP@"}}}
  telemetryapi: {types: [platform, function]}
processors:
  transform:
    trace_statements: ['set(span.attributes["by"], Concat(["order", span.name], " "))']
exporters:
  otlp_http: {endpoint: "@BACKEND@"}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [transform], exporters: [otlp_http]}
    logs: {receivers: [telemetryapi], exporters: [otlp_http]}
`
	r := newFullRig(t, setup{config: config})
	r.init(t)
	require.Equal(t, fullProgram, r.program(t))
	for range 3 {
		r.succeed(t)
	}
	r.end(t)
	r.linesArrived(t)
	r.says(t, "the full one is used")
	require.Len(t, r.sink.Spans(), len(r.tap.Spans()))
	require.NotEmpty(t, r.sink.Spans())
	for _, span := range r.sink.Spans() {
		by, _ := span.Attributes().Get("by")
		require.Equal(t, "order "+span.Name(), by.Str())
	}
}

// A provider counts as a component: a value that only the fuller collector can fetch makes the guard hand over.
func TestFullLayerHandsOverForAProvider(t *testing.T) {
	const config = `
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:@HTTP@"}}}
exporters:
  otlp_http: {endpoint: "@BACKEND@", headers: {"Api-Key": "${secretsmanager:backend#key}"}}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
`
	secretsManager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Name":"backend","SecretString":"{\"key\":\"s3cr3t\"}"}`))
	}))
	t.Cleanup(secretsManager.Close)
	r := newFullRig(t, setup{config: config, env: map[string]string{
		"AWS_ENDPOINT_URL":      secretsManager.URL,
		"AWS_ACCESS_KEY_ID":     "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "secret",
	}})
	r.init(t)
	require.Equal(t, fullProgram, r.program(t))
	r.succeed(t)
	r.end(t)
	requests := r.sink.Requests()
	require.NotEmpty(t, requests)
	for _, request := range requests {
		require.Equal(t, "s3cr3t", request.Header.Get("Api-Key"))
	}
}

// Traces that wait for their decision are not held back for good: the end of the environment decides.
func TestFullTailSampling(t *testing.T) {
	const config = `
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:@HTTP@"}}}
processors:
  tail_sampling:
    decision_wait: 10m
    policies: [{name: stored, type: string_attribute, string_attribute: {key: order.id, values: [kept]}}]
exporters:
  otlp_http: {endpoint: "@BACKEND@"}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [tail_sampling], exporters: [otlp_http]}
`
	r := newFullRig(t, setup{config: config})
	r.init(t)
	r.succeedWith(t, `{"order_id":"kept"}`)
	r.succeedWith(t, `{"order_id":"dropped"}`)
	require.Empty(t, r.sink.Spans())
	// The processor decides when the receiver has shut down, which waits for connections that were never used.
	r.tap.CloseIdleConnections()
	r.end(t)
	var kept []string
	for _, span := range r.tap.Spans() {
		if id, ok := span.Attributes().Get("order.id"); ok && id.Str() == "kept" {
			kept = append(kept, span.TraceID().String())
		}
	}
	require.NotEmpty(t, kept)
	require.NotEmpty(t, r.sink.Spans())
	for _, span := range r.sink.Spans() {
		require.Equal(t, kept[0], span.TraceID().String())
	}
}

// everyComponent has each component of the full distribution in it, with what it cannot do without.
const everyComponent = `
receivers:
  otlp: {protocols: {http: }}
  statsd:
  telemetryapi:
processors:
  attributes: {actions: [{key: a, value: b, action: insert}]}
  batch:
  cumulativetodelta:
  decouple:
  deltatocumulative:
  filter: {traces: {span: ['name == "x"']}}
  groupbyattrs: {keys: [host]}
  interval:
  coldstart:
  memory_limiter:
  metricstransform: {transforms: [{include: a, action: update, new_name: b}]}
  probabilistic_sampler: {sampling_percentage: 50}
  redaction: {allow_all_keys: true, blocked_values: ["4[0-9]{12}"]}
  resource: {attributes: [{key: a, value: b, action: insert}]}
  span: {name: {from_attributes: [a]}}
  tail_sampling: {policies: [{name: all, type: always_sample}]}
  transform: {trace_statements: ['set(span.name, "x")']}
exporters:
  awss3: {s3uploader: {region: eu-central-1, s3_bucket: b}}
  awsxray: {region: eu-central-1}
  clickhouse: {endpoint: "tcp://127.0.0.1:9000"}
  debug:
  file: {path: ./out.json}
  nop:
  otlp_grpc: {endpoint: "127.0.0.1:4317", auth: {authenticator: sigv4auth}}
  otlp_http: {endpoint: "http://127.0.0.1:4318", auth: {authenticator: headers_setter}}
  prometheusremotewrite: {endpoint: "http://127.0.0.1:9090/api/v1/write", auth: {authenticator: oauth2client}}
connectors:
  forward:
  spanmetrics:
extensions:
  basicauth: {client_auth: {username: u, password: p}}
  bearertokenauth: {token: t}
  headers_setter: {headers: [{key: a, value: b}]}
  lambda:
  oauth2client: {client_id: i, client_secret: s, token_url: "http://127.0.0.1:9/token"}
  sigv4auth: {region: eu-central-1, service: xray}
service:
  extensions: [basicauth, bearertokenauth, headers_setter, lambda, oauth2client, sigv4auth]
  pipelines:
    traces:
      receivers: [otlp, telemetryapi]
      processors:
        [memory_limiter, coldstart, attributes, filter, groupbyattrs, probabilistic_sampler, redaction, resource, span, tail_sampling,
         transform, batch, decouple]
      exporters: [awss3, awsxray, clickhouse, debug, file, nop, otlp_grpc, otlp_http, forward, spanmetrics]
    traces/forwarded: {receivers: [forward], exporters: [nop]}
    metrics:
      receivers: [otlp, telemetryapi, statsd, spanmetrics]
      processors: [cumulativetodelta, deltatocumulative, interval, metricstransform, batch, decouple]
      exporters: [prometheusremotewrite]
`

// TestFullConfigurations validates a configuration with every component, which includes what the Lambda converter changes:
// a key that an exporter does not know would stop the collector.
func TestFullConfigurations(t *testing.T) {
	program := filepath.Join(fullLayer(t), "otelcol-lambda", fullProgram)
	config := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(everyComponent), 0o600))
	validate := exec.CommandContext(t.Context(), program, "validate", "--config", config)
	validate.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret")
	out, err := validate.CombinedOutput()
	require.NoError(t, err, string(out))

	out, err = exec.CommandContext(t.Context(), program, "components").Output()
	require.NoError(t, err)
	var has map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(out, &has))
	var uses map[string]map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(everyComponent), &uses))
	for _, kind := range []string{"receivers", "processors", "exporters", "connectors", "extensions"} {
		var components []struct{ Name string }
		list := has[kind]
		require.NoError(t, list.Decode(&components), kind)
		var want, got []string
		for _, c := range components {
			want = append(want, withoutUnderscores(c.Name))
		}
		for name := range uses[kind] {
			got = append(got, withoutUnderscores(name))
		}
		require.ElementsMatch(t, want, got, "%s of the full distribution (first) and of this test", kind)
	}
}

// withoutUnderscores is the same for what a component was called before and is called now.
func withoutUnderscores(name string) string { return strings.ReplaceAll(name, "_", "") }

// maxFullBytes limits the fuller collector for linux/amd64, as budget_test.go does the core's.
const maxFullBytes = 65_500_000

func TestFullSize(t *testing.T) {
	info, err := os.Stat(filepath.Join(fullLayer(t), "otelcol-lambda", fullProgram))
	require.NoError(t, err)
	t.Logf("%d of at most %d bytes", info.Size(), maxFullBytes)
	require.LessOrEqual(t, info.Size(), int64(maxFullBytes))
}
