// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
)

const (
	// forwardType is the connector that hands data on to another pipeline as it is.
	forwardType = "forward"
	// dropOldest is the overflow policy of decouple in a branch: a refusal would make the sender send the data to all
	// branches again.
	dropOldest = "drop_oldest"
)

// branchOut gives each exporter of a pipeline that has several a pipeline and a queue of its own. A processor gets one
// error for all exporters behind it, so that with one queue, data that one of them refused would go to all of them again.
func branchOut(d *document) {
	if _, ok := d.section("connectors"); !ok {
		return
	}
	connectors := d.connectors()
	for _, p := range d.pipelines("traces", "metrics", "logs") {
		last := lastIndexFunc(p.processors, isDecouple)
		if last < 0 || len(p.exporters) < 2 || canonical(p.processors[last]) == discardID {
			continue
		}
		kept, branched := split(p.exporters, func(id string) bool { return connectors[canonical(id)] })
		if len(branched) == 0 || d.taken(p, branched) {
			continue
		}
		decouple, edits := d.branchDecouple(p.processors[last])
		processors := slices.Clone(p.processors[last:])
		processors[0] = decouple
		for _, exporter := range branched {
			forward := forwardID(p, exporter)
			kept = append(kept, forward)
			edits = append(edits,
				set(map[string]any{}, "connectors", forward),
				set(map[string]any{
					"receivers":  []any{forward},
					"processors": anyList(processors),
					"exporters":  []any{canonical(exporter)},
				}, "service", "pipelines", branchName(p, exporter)))
		}
		edits = append(edits,
			set(anyList(slices.Clone(p.processors[:last])), "service", "pipelines", p.name, "processors"),
			set(anyList(kept), "service", "pipelines", p.name, "exporters"))
		d.did("the pipeline has several exporters: each gets a branch with a queue of its own, so that one that is down "+
			"neither delays the others nor has them get data twice",
			[]zap.Field{keyField("service", "pipelines", p.name, "exporters"), zap.Strings("exporters", branched)}, edits...)
	}
}

// nameDecouples gives each pipeline of a signal a decouple processor of another name. The name is all that the processor
// knows of its pipeline, and what it leaves on disk for the next process must not end up in another one.
func nameDecouples(d *document) {
	used := map[string]bool{}
	for _, p := range d.pipelines("traces", "metrics", "logs") {
		last := lastIndexFunc(p.processors, isDecouple)
		if last < 0 || canonical(p.processors[last]) == discardID {
			continue
		}
		id := canonical(p.processors[last])
		if !used[p.signal+" "+id] {
			used[p.signal+" "+id] = true
			continue
		}
		_, name, _ := strings.Cut(canonical(p.name), "/")
		own := decoupleType + "/" + strings.TrimPrefix(id, decoupleType+"/") + "_of_" + name
		if id == decoupleType {
			own = decoupleType + "/of_" + name
		}
		key, defined := d.key("processors", id)
		cfg, ok := d.section("processors", key)
		if _, taken := d.key("processors", own); !ok || !defined || taken || used[p.signal+" "+own] {
			continue
		}
		used[p.signal+" "+own] = true
		processors := slices.Clone(p.processors)
		processors[last] = own
		d.did("the pipeline gets a decouple processor of its own name, so that what it leaves on disk is not another's",
			[]zap.Field{keyField("service", "pipelines", p.name, "processors"), zap.String("decouple", own)},
			set(maps.Clone(cfg), "processors", own),
			set(anyList(processors), "service", "pipelines", p.name, "processors"))
	}
}

// split sorts ids into those that match and the others.
func split(ids []string, match func(string) bool) (matching, others []string) {
	for _, id := range ids {
		if match(id) {
			matching = append(matching, id)
		} else if !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	return matching, others
}

// taken tells whether the configuration has something else under the names that a branch would get.
func (d *document) taken(p pipeline, exporters []string) bool {
	pipelines, _ := d.section("service", "pipelines")
	return slices.ContainsFunc(exporters, func(exporter string) bool {
		_, connector := d.key("connectors", forwardID(p, exporter))
		_, pipeline := pipelines[branchName(p, exporter)]
		return connector || pipeline
	})
}

func forwardID(p pipeline, exporter string) string {
	return forwardType + "/" + canonical(p.name) + "_to_" + canonical(exporter)
}

func branchName(p pipeline, exporter string) string {
	name := canonical(p.name)
	if name == p.signal {
		return name + "/to_" + canonical(exporter)
	}
	return name + "_to_" + canonical(exporter)
}

// branchDecouple returns a decouple processor for branches, which is the pipeline's own but for the overflow policy.
func (d *document) branchDecouple(id string) (branch string, edits []edit) {
	key, _ := d.key("processors", id)
	cfg, ok := d.section("processors", key)
	if !ok || !isNothing(cfg["overflow"]) {
		return canonical(id), nil
	}
	branch = canonical(id) + "_branch"
	if canonical(id) == decoupleType {
		branch = decoupleType + "/branch"
	}
	cfg = maps.Clone(cfg)
	cfg["overflow"] = dropOldest
	if _, defined := d.key("processors", branch); !defined {
		edits = append(edits, set(cfg, "processors", branch))
	}
	return branch, edits
}
