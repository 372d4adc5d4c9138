// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"slices"
	"strings"

	"go.uber.org/zap"
)

const (
	lambdaType   = "lambda"
	decoupleType = "decouple"
	batchType    = "batch"
	// discardID is the decouple processor of pipelines that have nowhere to send their data to. It is not the plain
	// one, so that other pipelines can go on using that.
	discardID = "decouple/discard"
	nopID     = "nop"
)

// convert makes the configuration Lambda-safe in place, and returns what it did, in order. It depends on nothing but its
// arguments.
func convert(root map[string]any, lookup lookupEnv) []Change {
	d := &document{root: root}
	addLambdaExtension(d)
	// Exporters that cannot work go first: what is left in a pipeline decides what it needs.
	discarding, reason := removeExportersWithoutEndpoint(d, lookup)
	addDecouple(d, discarding, reason)
	removeBatch(d)
	branchOut(d)
	nameDecouples(d)
	for _, id := range d.ids("exporters") {
		disableQueue(d, id)
		disableRemoteWriteQueue(d, id)
		disableRetry(d, id)
		disableTimeout(d, id)
		distrustConnections(d, id)
		writeLess(d, id)
		compressFast(d, id)
		compressLess(d, id)
		readHeaders(d, id)
	}
	sizeMemoryLimiters(d, lookup)
	return d.changes
}

// addLambdaExtension sees to it that an extension of type lambda runs: without it nobody registers with Lambda, and
// nothing is flushed. It comes first, so that other extensions find it running.
func addLambdaExtension(d *document) {
	service, ok := d.section("service")
	if !ok {
		return
	}
	if _, ok = d.section("extensions"); !ok {
		return
	}
	listed, ok := idList(service["extensions"])
	if !ok {
		return
	}
	if slices.ContainsFunc(listed, func(id string) bool { return typeOf(id) == lambdaType }) {
		// `lambda` needs no configuration; a name, such as `lambda/x`, says that there should be one.
		listsPlain := slices.ContainsFunc(listed, func(id string) bool { return canonical(id) == lambdaType })
		if _, defined := d.key("extensions", lambdaType); listsPlain && !defined {
			d.did("the lambda extension is defined, because the service lists it",
				[]zap.Field{keyField("extensions", lambdaType)}, set(map[string]any{}, "extensions", lambdaType))
		}
		return
	}
	id, defined := d.key("extensions", lambdaType)
	if !defined {
		for _, other := range d.ids("extensions") {
			if typeOf(other) == lambdaType {
				id, defined = other, true
				break
			}
		}
	}
	edits := []edit{set(anyList(append([]string{canonical(id)}, listed...)), "service", "extensions")}
	if !defined {
		edits = append(edits, set(map[string]any{}, "extensions", id))
	}
	d.did("the lambda extension is added: it registers with Lambda and flushes the pipelines",
		[]zap.Field{keyField("service", "extensions"), zap.String("extension", canonical(id))}, edits...)
}

// pipeline is one entry of `service::pipelines` that can be worked on.
type pipeline struct {
	name       string
	signal     string
	processors []string
	exporters  []string
}

// pipelines returns those pipelines that have one of the signals and the shape of a pipeline, sorted by name.
func (d *document) pipelines(signals ...string) []pipeline {
	section, _ := d.section("service", "pipelines")
	var found []pipeline
	for name, value := range section {
		cfg, isMap := value.(map[string]any)
		processors, okProcessors := idList(cfg["processors"])
		exporters, okExporters := idList(cfg["exporters"])
		if isMap && okProcessors && okExporters && slices.Contains(signals, typeOf(name)) {
			found = append(found, pipeline{name, typeOf(name), processors, exporters})
		}
	}
	slices.SortFunc(found, func(a, b pipeline) int { return strings.Compare(a.name, b.name) })
	return found
}

// addDecouple puts a decouple processor at the end of every pipeline that reaches an exporter and has none: it is what
// is flushed, and the only place where data waits. The pipelines in discarding, which have no exporter left, get one
// that counts and drops for the given reason.
func addDecouple(d *document, discarding []string, reason string) {
	if _, ok := d.section("processors"); !ok {
		return
	}
	connectors := d.connectors()
	for _, p := range d.pipelines("traces", "metrics", "logs") {
		toExporter := slices.ContainsFunc(p.exporters, func(id string) bool { return !connectors[canonical(id)] })
		if !toExporter {
			// A connector hands data on to another pipeline, which has a decouple of its own.
			continue
		}
		path := []string{"service", "pipelines", p.name, "processors"}
		fields := []zap.Field{keyField(path...)}
		if slices.Contains(discarding, p.name) {
			processors := slices.Clone(p.processors)
			if last := lastIndexFunc(processors, isDecouple); last >= 0 {
				processors[last] = discardID
			} else {
				processors = append(processors, discardID)
			}
			edits := []edit{set(anyList(processors), path...)}
			key, _ := d.key("processors", discardID)
			cfg, isMap := d.section("processors", key)
			if text, isText := cfg["discard"].(string); isMap && (!isText || text == "") {
				edits = append(edits, set(reason, "processors", key, "discard"))
			}
			d.did("the pipeline has no exporter left: its data is counted and dropped", fields, edits...)
			continue
		}
		last := lastIndexFunc(p.processors, isDecouple)
		switch {
		case last < 0:
			d.did("a decouple processor is put at the end of the pipeline: it answers the function at once and delivers "+
				"when the environment is not frozen", fields,
				set(anyList(append(slices.Clone(p.processors), decoupleType)), path...))
		case last < len(p.processors)-1:
			d.warn("the decouple processor is not the last one of its pipeline: what comes after it runs while the "+
				"environment is held for the flush; put it at the end", append(fields,
				zap.String("decouple", canonical(p.processors[last])), zap.Strings("after", p.processors[last+1:])))
		}
	}
	// The plain decouple needs no configuration, so listing it is enough.
	for _, p := range d.pipelines("traces", "metrics", "logs") {
		lists := slices.ContainsFunc(p.processors, func(id string) bool { return canonical(id) == decoupleType })
		if _, defined := d.key("processors", decoupleType); lists && !defined {
			d.did("the decouple processor is defined, because a pipeline lists it",
				[]zap.Field{keyField("processors", decoupleType)}, set(map[string]any{}, "processors", decoupleType))
		}
	}
}

// removeBatch takes a batch processor out of a pipeline where a decouple processor follows it, which merges what waits by
// itself. Limits that only batch knows keep it: the number of items in a request, and batches apart by metadata.
func removeBatch(d *document) {
	for _, p := range d.pipelines("traces", "metrics", "logs") {
		last := lastIndexFunc(p.processors, isDecouple)
		if last < 0 || canonical(p.processors[last]) == discardID {
			continue
		}
		first := last
		for first > 0 && isPlainBatch(d, p.processors[first-1]) {
			first--
		}
		if first < last {
			path := []string{"service", "pipelines", p.name, "processors"}
			d.did("the batch processor is taken out: decouple merges what waits, and delivers it together",
				[]zap.Field{keyField(path...), zap.Strings("batch", p.processors[first:last])},
				set(anyList(slices.Delete(slices.Clone(p.processors), first, last)), path...))
		}
	}
}

// isPlainBatch tells batch processors that do nothing that decouple does not.
func isPlainBatch(d *document, id string) bool {
	key, _ := d.key("processors", id)
	cfg, ok := d.section("processors", key)
	return ok && typeOf(id) == batchType && isNone(cfg["send_batch_max_size"]) && isNone(cfg["metadata_keys"])
}

// isNone tells values by which a user has set no limit.
func isNone(value any) bool {
	list, isList := value.([]any)
	return isNothing(value) || value == 0 || isList && len(list) == 0
}

func isDecouple(id string) bool { return typeOf(id) == decoupleType }

func lastIndexFunc(ids []string, match func(string) bool) int {
	for i, id := range slices.Backward(ids) {
		if match(id) {
			return i
		}
	}
	return -1
}
