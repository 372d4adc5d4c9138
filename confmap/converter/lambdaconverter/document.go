// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// document is a configuration under conversion: each step sees what the ones before it did.
type document struct {
	root    map[string]any
	changes []Change
}

// section returns the map at the path. It is empty if there is none, and ok is false if something else is there.
func (d *document) section(path ...string) (section map[string]any, ok bool) {
	section = d.root
	for _, key := range path {
		switch next := section[key].(type) {
		case map[string]any:
			section = next
		case nil:
			return map[string]any{}, true
		default:
			return nil, false
		}
	}
	return section, true
}

// ids returns the component IDs that a section defines, sorted.
func (d *document) ids(section string) []string {
	defined, _ := d.section(section)
	return slices.Sorted(maps.Keys(defined))
}

// connectors returns the IDs of the connectors, which pipelines list among exporters and receivers.
func (d *document) connectors() map[string]bool {
	connectors := map[string]bool{}
	for _, id := range d.ids("connectors") {
		connectors[canonical(id)] = true
	}
	return connectors
}

// key returns the name under which a section defines a component, which may be written with other spaces than where it
// is referred to.
func (d *document) key(section, id string) (key string, defined bool) {
	for _, key := range d.ids(section) {
		if canonical(key) == canonical(id) {
			return key, true
		}
	}
	return id, false
}

func (d *document) did(message string, fields []zap.Field, edits ...edit) {
	d.note(zapcore.DebugLevel, message, fields, edits...)
}

func (d *document) warn(message string, fields []zap.Field, edits ...edit) {
	d.note(zapcore.WarnLevel, message, fields, edits...)
}

func (d *document) note(level zapcore.Level, message string, fields []zap.Field, edits ...edit) {
	for _, e := range edits {
		parent := put(d.root, e.path[:len(e.path)-1])
		last := e.path[len(e.path)-1]
		if e.remove {
			delete(parent, last)
		} else {
			parent[last] = e.value
		}
	}
	d.changes = append(d.changes, Change{Level: level, Message: message, Fields: fields, edits: edits})
}

func set(value any, path ...string) edit { return edit{path: path, value: value} }

func remove(path ...string) edit { return edit{path: path, remove: true} }

func keyField(path ...string) zap.Field {
	return zap.String("key", strings.Join(path, confmap.KeyDelimiter))
}

// typeOf returns the type of a component ID, or the signal of a pipeline ID.
func typeOf(id string) string {
	typ, _, _ := strings.Cut(id, "/")
	return strings.TrimSpace(typ)
}

// canonical returns the ID as the collector understands it, which ignores space around its parts.
func canonical(id string) string {
	typ, name, named := strings.Cut(id, "/")
	if !named {
		return strings.TrimSpace(typ)
	}
	return strings.TrimSpace(typ) + "/" + strings.TrimSpace(name)
}

// idList reads a list of component IDs, which the collector also accepts as one string with commas.
func idList(value any) (ids []string, ok bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case string:
		if v == "" {
			return nil, true
		}
		return strings.Split(v, ","), true
	case []any:
		for _, entry := range v {
			id, isText := entry.(string)
			if !isText {
				return nil, false
			}
			ids = append(ids, id)
		}
		return ids, true
	}
	return nil, false
}

func anyList(ids []string) []any {
	list := make([]any, 0, len(ids))
	for _, id := range ids {
		list = append(list, id)
	}
	return list
}
