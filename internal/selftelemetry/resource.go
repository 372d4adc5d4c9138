// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package selftelemetry

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// defaultServiceName names the collector where its build does not.
const defaultServiceName = "otelcol-lambda"

// newResource describes this process. The attributes of the configuration win over the defaults, and a nil among them
// takes a default away.
func newResource(build component.BuildInfo, configured map[string]any) pcommon.Resource {
	resource := pcommon.NewResource()
	attrs := resource.Attributes()
	name := build.Command
	if name == "" {
		name = defaultServiceName
	}
	attrs.PutStr("service.name", name)
	if build.Version != "" {
		attrs.PutStr("service.version", build.Version)
	}
	// 128 random bits tell environments apart as well as a UUID would.
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	attrs.PutStr("service.instance.id", hex.EncodeToString(id[:]))

	for _, key := range slices.Sorted(maps.Keys(configured)) {
		value := configured[key]
		if value == nil {
			attrs.Remove(key)
			continue
		}
		if err := attrs.PutEmpty(key).FromRaw(value); err != nil {
			// YAML has types an attribute has not, dates for one.
			attrs.PutStr(key, fmt.Sprint(value))
		}
	}
	return resource
}
