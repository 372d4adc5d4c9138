// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Change is one thing that was done to a configuration, or a warning about what was left as it is.
type Change struct {
	// Level is debug for a change that needs no attention, and warn for what a user should know or do.
	Level zapcore.Level
	// Message says what was done and why.
	Message string
	// Fields name the YAML key and whatever else belongs to the message, but never a header's value.
	Fields []zap.Field

	edits []edit
}

// edit sets or removes one key.
type edit struct {
	path   []string
	value  any
	remove bool
}

// apply makes the changes in conf, in one merge, because a merge copies everything. It touches no other key: what an
// environment variable or another provider has put into conf is there in two forms, as text and as what the text means in
// YAML, and only conf itself can hold both.
func apply(changes []Change, conf *confmap.Conf) error {
	overlay := map[string]any{}
	for _, c := range changes {
		for _, e := range c.edits {
			// Deleting first makes the merge set the value also where confmap is told to append to lists instead.
			conf.Delete(strings.Join(e.path, confmap.KeyDelimiter))
			parent := put(overlay, e.path[:len(e.path)-1])
			last := e.path[len(e.path)-1]
			if !e.remove {
				parent[last] = e.value
				continue
			}
			// conf.Delete takes parents along that have become empty: an exporter that had nothing but headers. The empty map
			// that is in the overlay now brings them back.
			delete(parent, last)
		}
	}
	return conf.Merge(confmap.NewFromStringMap(overlay))
}

// put returns the map at the path, which it makes.
func put(root map[string]any, path []string) map[string]any {
	for _, key := range path {
		next, ok := root[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			root[key] = next
		}
		root = next
	}
	return root
}

func nest(path []string, value any) map[string]any {
	for _, key := range slices.Backward(path[1:]) {
		value = map[string]any{key: value}
	}
	return map[string]any{path[0]: value}
}

// expandSections replaces sections that came out of a provider as a whole, such as `exporters: ${file:exporters.yaml}`,
// by what is in them. Otherwise setting a key inside would replace the section.
func expandSections(conf *confmap.Conf) error {
	for depth := 1; depth <= 3; depth++ {
		for _, key := range conf.AllKeys() {
			path := strings.Split(key, confmap.KeyDelimiter)
			if len(path) != depth || !isSection(path) {
				continue
			}
			// AllKeys goes into maps, so that a map with keys is at the end of a path only if a provider put it there.
			if section, ok := conf.Get(key).(map[string]any); ok && len(section) > 0 {
				conf.Delete(key)
				if err := conf.Merge(confmap.NewFromStringMap(nest(path, section))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isSection tells the paths that lead to a map into which a conversion may put something.
func isSection(path []string) bool {
	switch path[0] {
	case "connectors", "exporters", "extensions", "processors":
		return len(path) <= 2
	case "service":
		return len(path) == 1 || path[1] == "pipelines"
	}
	return false
}

// restoreHeaderTexts puts the text of headers that came out of a provider back into the plain map. As YAML, `k=a: b` is
// a map and `123` a number; conf knows the text too, and gives it to a field that is a string.
func restoreHeaderTexts(conf *confmap.Conf, root map[string]any) {
	exporters, _ := root["exporters"].(map[string]any)
	for name, cfg := range exporters {
		exporter, ok := cfg.(map[string]any)
		if !ok || !isOTLP(name) || !looksLikeText(exporter["headers"]) {
			continue
		}
		sub, err := conf.Sub("exporters" + confmap.KeyDelimiter + name)
		if err != nil {
			continue
		}
		var original struct {
			Headers string `mapstructure:"headers"`
		}
		// An error means that there is no text: what is there is the YAML itself.
		if err := sub.Unmarshal(&original, confmap.WithIgnoreUnused()); err == nil {
			exporter["headers"] = original.Headers
		}
	}
}

// looksLikeText tells values of `headers` that cannot be meant as they are: a list holds maps of name and value, and no
// header's name has a `=` in it (RFC 9110, section 5.6.2).
func looksLikeText(headers any) bool {
	switch h := headers.(type) {
	case nil, string:
		return false
	case map[string]any:
		for name := range h {
			if strings.Contains(name, "=") {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(h, func(entry any) bool { _, ok := entry.(map[string]any); return !ok })
	default:
		return true
	}
}
