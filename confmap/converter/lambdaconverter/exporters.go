// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/loopback"
)

// endpointEnv is the variable from which the layer's default configuration takes the endpoint of its exporter.
const endpointEnv = "OTELCOL_LAMBDA_OTLP_ENDPOINT"

// isOTLP tells the collector's OTLP exporters, by their names of today and of before.
func isOTLP(id string) bool {
	return isOTLPHTTP(id) || typeOf(id) == "otlp" || typeOf(id) == "otlp_grpc"
}

func isOTLPHTTP(id string) bool {
	return typeOf(id) == "otlp_http" || typeOf(id) == "otlphttp"
}

// hasQueue tells exporter types that are known to have the key `sending_queue`. A key an exporter does not know would
// stop the collector, so types that are not known are left alone. Underscores are left out, because exporters are being
// renamed from `otlphttp` to `otlp_http` one by one.
func hasQueue(id string) bool {
	_, found := slices.BinarySearch([]string{
		"awskinesis", "awss3", "clickhouse", "coralogix", "datadog", "dynatrace", "elasticsearch", "googlecloud",
		"googlecloudpubsub", "googlemanagedprometheus", "humio", "influxdb", "jaeger", "kafka", "logzio", "loki", "mezmo",
		"observiq", "opencensus", "otlp", "otlpgrpc", "otlphttp", "pulsar", "sapm", "signalfx", "skywalking", "splunkhec",
		"sumologic", "tanzuobservability", "zipkin",
	}, strings.ReplaceAll(typeOf(id), "_", ""))
	return found
}

// exporter returns the configuration of a defined exporter. ok is false if it is not a map.
func (d *document) exporter(id string) (cfg map[string]any, ok bool) {
	return d.section("exporters", id)
}

// removeExportersWithoutEndpoint takes OTLP exporters that have no endpoint out of the pipelines, where they would stop
// the collector from starting. It returns the pipelines that have no exporter left, and why.
func removeExportersWithoutEndpoint(d *document, lookup lookupEnv) (discarding []string, reason string) {
	var blamed []string
	for _, id := range d.ids("exporters") {
		cfg, ok := d.exporter(id)
		if !ok || !isOTLP(id) || hasEndpoint(id, cfg, "") {
			continue
		}
		everywhere := true
		for _, signal := range []string{"traces", "metrics", "logs", "profiles"} {
			everywhere = everywhere && !hasEndpoint(id, cfg, signal)
		}
		var edits []edit
		var left []string
		for _, p := range d.pipelines("traces", "metrics", "logs", "profiles") {
			if hasEndpoint(id, cfg, p.signal) {
				continue
			}
			kept := slices.DeleteFunc(slices.Clone(p.exporters), func(e string) bool { return canonical(e) == canonical(id) })
			if len(kept) == len(p.exporters) {
				continue
			}
			left = append(left, p.name)
			if len(kept) == 0 {
				// The collector wants an exporter in every pipeline.
				kept = []string{nopID}
				if _, defined := d.key("exporters", nopID); !defined {
					edits = append(edits, set(map[string]any{}, "exporters", nopID))
				}
				discarding = append(discarding, p.name)
				blamed = append(blamed, "`"+canonical(id)+"`")
			}
			edits = append(edits, set(anyList(kept), "service", "pipelines", p.name, "exporters"))
		}
		fields := []zap.Field{keyField("exporters", id, "endpoint"), zap.Strings("pipelines", left)}
		switch {
		case everywhere:
			// The definition alone would fail the collector's validation.
			edits = append(edits, remove("exporters", id))
			d.warn("the exporter has no endpoint and is left out; a pipeline that has no other exporter counts and drops "+
				"its data", append(fields, zap.String("hint", endpointHint(id, lookup))), edits...)
		case len(left) > 0:
			d.warn("the exporter has no endpoint for some signals and is left out of their pipelines; a pipeline that has "+
				"no other exporter counts and drops its data", append(fields, zap.String("hint",
				"set `endpoint`, or the endpoints of the other signals such as `logs_endpoint`")), edits...)
		}
	}
	switch blamed = slices.Compact(blamed); len(blamed) {
	case 0:
		return nil, ""
	case 1:
		return discarding, "exporter " + blamed[0] + " has no endpoint"
	default:
		return discarding, "exporters " + strings.Join(blamed, ", ") + " have no endpoint"
	}
}

// hasEndpoint tells whether the exporter knows where to send data of the signal, or of any signal if it is empty.
func hasEndpoint(id string, cfg map[string]any, signal string) bool {
	if !isBlankEndpoint(cfg["endpoint"]) {
		return true
	}
	return signal != "" && isOTLPHTTP(id) && !isBlankEndpoint(cfg[signal+"_endpoint"])
}

// isBlankEndpoint also covers a scheme that nothing follows: `https://${env:BACKEND}` without the variable.
func isBlankEndpoint(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		v = strings.TrimSpace(v)
		return v == "" || v == "http://" || v == "https://"
	}
	return false
}

func endpointHint(id string, lookup lookupEnv) string {
	if fromEnv, _ := lookup(endpointEnv); canonical(id) == "otlp_http" && isBlankEndpoint(fromEnv) {
		return "set the key or, with the layer's own configuration, the function's environment variable " + endpointEnv +
			", for example to https://otlp.example.com:4318"
	}
	if isOTLPHTTP(id) {
		return "set the key to the address of a backend, for example https://otlp.example.com:4318"
	}
	return "set the key to the address of a backend, for example https://otlp.example.com:4317"
}

// disableQueue switches the exporter's own queue off, unless the user has set it. Behind decouple, a queue in memory
// takes data that decouple then holds for delivered: a freeze stops the queue, and the end of the environment empties it
// into nowhere.
func disableQueue(d *document, id string) {
	cfg, ok := d.exporter(id)
	if !ok || !hasQueue(id) {
		return
	}
	fields := []zap.Field{keyField("exporters", id, "sending_queue")}
	if isNothing(cfg["sending_queue"]) {
		d.did("the exporter's queue is switched off: decouple is the queue",
			fields, set(map[string]any{"enabled": false}, "exporters", id, "sending_queue"))
		return
	}
	if queue, isMap := cfg["sending_queue"].(map[string]any); isMap && queue["enabled"] != false {
		d.warn("the exporter has a queue of its own: data in it counts as delivered, is frozen with the environment and "+
			"is lost when that ends", append(fields, zap.String("hint", "remove the key, and decouple delivers before the freeze")))
	}
}

// isNothing tells values by which a user has said nothing: null, and a variable that is empty.
func isNothing(value any) bool {
	return value == nil || value == ""
}

// disableRemoteWriteQueue switches off what prometheusremotewrite has instead of a queue, for the same reason.
func disableRemoteWriteQueue(d *document, id string) {
	cfg, ok := d.exporter(id)
	if ok && typeOf(id) == remoteWriteType && isNothing(cfg["remote_write_queue"]) {
		d.did("the exporter's queue is switched off: decouple is the queue",
			[]zap.Field{keyField("exporters", id, "remote_write_queue")},
			set(map[string]any{"enabled": false}, "exporters", id, "remote_write_queue"))
	}
}

// remoteWriteType is the exporter of Prometheus' remote write.
const remoteWriteType = "prometheusremotewrite"

// hasRetry tells exporter types that are known to have the key `retry_on_failure` and to tell failures that may pass from
// others when it is off.
func hasRetry(id string) bool {
	return isOTLP(id) || typeOf(id) == remoteWriteType || typeOf(id) == "clickhouse"
}

// disableRetry switches exporters' own retries off, unless the user has set them. decouple tries again by itself, in the
// next flush if need be; exporterhelper waits 5 s before its first retry, which is longer than a flush.
func disableRetry(d *document, id string) {
	cfg, ok := d.exporter(id)
	if ok && hasRetry(id) && isNothing(cfg["retry_on_failure"]) {
		d.did("the exporter's retries are switched off: decouple retries",
			[]zap.Field{keyField("exporters", id, "retry_on_failure")},
			set(map[string]any{"enabled": false}, "exporters", id, "retry_on_failure"))
	}
}

// disableTimeout takes away the OTLP exporters' own bound on a request, unless the user has set one. It runs on through a
// freeze, and would cancel a request on thaw whose answer has been waiting for just as long; decouple bounds a delivery by
// the time that the environment was awake.
func disableTimeout(d *document, id string) {
	cfg, ok := d.exporter(id)
	if ok && isOTLP(id) && isNothing(cfg["timeout"]) {
		d.did("the exporter's timeout is switched off: decouple bounds a delivery, not counting freezes",
			[]zap.Field{keyField("exporters", id, "timeout")}, set("0s", "exporters", id, "timeout"))
	}
}

const (
	// idleConnTimeout is for how long a connection that nobody uses may be used again, by the wall clock. Load balancers
	// close theirs after a minute (AWS ALB) or later (NLB and NAT gateways: 350 s), and in a freeze nobody sees that.
	idleConnTimeout = "50s"

	// keepaliveTime is after how long without a word a connection with a request under way is asked whether it is still
	// there. gRPC servers put up with few such questions by default (no more than one in five minutes), and requests that
	// take that long are rare.
	keepaliveTime = "30s"
	// keepaliveTimeout is for how long what was sent may go without TCP's acknowledgement (TCP_USER_TIMEOUT) before the
	// connection is given up. It is what finds a connection that died in a freeze without a word; the kernel's own limit
	// is 15 minutes.
	keepaliveTimeout = "5s"
)

// distrustConnections has the OTLP exporters drop connections that may have died in a freeze, unless the user has said
// something about them.
func distrustConnections(d *document, id string) {
	cfg, ok := d.exporter(id)
	if !ok || !isOTLP(id) || !isNothing(cfg["keepalive"]) {
		return
	}
	if !isOTLPHTTP(id) {
		d.did("a connection that died in a freeze is found out within seconds",
			[]zap.Field{keyField("exporters", id, "keepalive")},
			set(map[string]any{"time": keepaliveTime, "timeout": keepaliveTimeout}, "exporters", id, "keepalive"))
		return
	}
	// The exporter refuses the section beside the keys that it had before.
	for _, key := range []string{"idle_conn_timeout", "max_idle_conns", "max_idle_conns_per_host", "disable_keep_alives"} {
		if _, set := cfg[key]; set {
			return
		}
	}
	d.did("a connection that has not been used for that long is not used again: it may have died in a freeze",
		[]zap.Field{keyField("exporters", id, "keepalive", "idle_conn_timeout")},
		set(map[string]any{"idle_conn_timeout": idleConnTimeout}, "exporters", id, "keepalive"))
}

// writeBuffer is the memory of each connection for what is about to be written, in bytes. The exporters' own is 512 KiB,
// which they take when they connect: with three signals, more than the rest of the first invocation, at whose end Go would
// have garbage to collect. What a function sends after an invocation fits into this; what does not is written in two steps.
const writeBuffer = 16 << 10

// writeLess gives the connections of OTLP exporters a small buffer, unless the user has set its size.
func writeLess(d *document, id string) {
	cfg, ok := d.exporter(id)
	if ok && isOTLP(id) && isNothing(cfg["write_buffer_size"]) {
		d.did("a connection's buffer is as large as what a function sends after an invocation",
			[]zap.Field{keyField("exporters", id, "write_buffer_size")},
			set(writeBuffer, "exporters", id, "write_buffer_size"))
	}
}

// gzipLevel is gzip's fastest. What a function sends is small, and the time to compress it is billed: the default, 6, takes
// several times as long for a tenth fewer bytes.
const gzipLevel = 1

// compressFast has the OTLP/HTTP exporters compress with as little as possible of what is billed, as far as the user has not
// said how to compress.
func compressFast(d *document, id string) {
	cfg, ok := d.exporter(id)
	if !ok || !isOTLPHTTP(id) || !isNothing(cfg["compression_params"]) {
		return
	}
	kind := cfg["compression"]
	lambda, found := d.lambda()
	switch {
	case found && isNothing(kind) && isNothing(cfg["middlewares"]) && isNothing(cfg["auth"]):
		// Not behind an authenticator: it may sign the body, and would see it before it is compressed.
		d.did("the lambda extension compresses what the exporter sends, with gzip, where it is worth the CPU",
			[]zap.Field{keyField("exporters", id, "middlewares")},
			set("none", "exporters", id, "compression"),
			set([]any{map[string]any{"id": lambda}}, "exporters", id, "middlewares"))
	case isNothing(kind) && staysHere(id, cfg):
		sendPlain(d, id)
	case isNothing(kind) || kind == "gzip": // levels mean something else for the others, or nothing
		d.did("the exporter compresses at gzip's fastest level",
			[]zap.Field{keyField("exporters", id, "compression_params")},
			set(map[string]any{"level": gzipLevel}, "exporters", id, "compression_params"))
	}
}

// compressLess switches the compression of OTLP/gRPC exporters off where the data stays on this machine, unless the
// user has said how to compress. Elsewhere they compress with gzip.
func compressLess(d *document, id string) {
	cfg, ok := d.exporter(id)
	if ok && isOTLP(id) && !isOTLPHTTP(id) && isNothing(cfg["compression"]) && staysHere(id, cfg) {
		sendPlain(d, id)
	}
}

func sendPlain(d *document, id string) {
	d.did("the exporter does not compress: what it sends stays on this machine, where compression saves nothing",
		[]zap.Field{keyField("exporters", id, "compression")}, set("none", "exporters", id, "compression"))
}

// staysHere tells OTLP exporters that send to this machine and nowhere else.
func staysHere(id string, cfg map[string]any) bool {
	if !isOTLPHTTP(id) {
		return isLoopbackTarget(cfg["endpoint"])
	}
	endpoints := 0
	for _, key := range []string{"endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "profiles_endpoint"} {
		if isBlankEndpoint(cfg[key]) {
			continue
		}
		if !isLoopbackURL(cfg[key]) {
			return false
		}
		endpoints++
	}
	return endpoints > 0
}

// isLoopbackURL is for the endpoints of OTLP/HTTP.
func isLoopbackURL(endpoint any) bool {
	text, _ := endpoint.(string)
	u, err := url.Parse(text)
	return err == nil && loopback.Is(u.Hostname())
}

// isLoopbackTarget is for those of OTLP/gRPC: `host:port`, behind `http://`, `https://` or one of gRPC's own schemes that
// lead to a host, or a Unix socket.
func isLoopbackTarget(endpoint any) bool {
	target, _ := endpoint.(string)
	scheme, rest, found := strings.Cut(target, "://")
	if found {
		target = rest
	}
	switch scheme {
	case "unix":
		return found
	case "dns", "passthrough":
		// In front of the slash is who is asked for the name.
		_, target, _ = strings.Cut(target, "/")
	}
	host, _, err := net.SplitHostPort(target)
	return err == nil && loopback.Is(host)
}

// lambda returns the ID of the lambda extension that the service starts.
func (d *document) lambda() (id string, ok bool) {
	service, _ := d.section("service")
	listed, _ := idList(service["extensions"])
	for _, id := range listed {
		if typeOf(id) == lambdaType {
			return canonical(id), true
		}
	}
	return "", false
}
