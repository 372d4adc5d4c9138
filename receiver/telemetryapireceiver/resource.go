// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
)

// Attributes of OpenTelemetry's semantic conventions, v1.44.
const (
	attrCloudProvider  = "cloud.provider"
	attrCloudPlatform  = "cloud.platform"
	attrCloudRegion    = "cloud.region"
	attrCloudAccountID = "cloud.account.id"
	attrFaasName       = "faas.name"
	attrFaasVersion    = "faas.version"
	attrFaasInstance   = "faas.instance"
	attrFaasMaxMemory  = "faas.max_memory"
	attrFaasInvocation = "faas.invocation_id"
	attrServiceName    = "service.name"
	attrErrorType      = "error.type"
)

const bytesPerMB = 1 << 20

// newResource describes the function by what its environment and Lambda's registration say. What the user sets in
// OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, in the same environment, goes before. It also returns the pairs of
// OTEL_RESOURCE_ATTRIBUTES that cannot be read.
func newResource(
	getenv func(string) string, registration extensionsapi.Registration,
) (attributes pcommon.Map, malformed []string) {
	attributes = pcommon.NewMap()
	attributes.PutStr(attrCloudProvider, "aws")
	attributes.PutStr(attrCloudPlatform, "aws_lambda")
	putNonEmpty(attributes, attrCloudRegion, getenv("AWS_REGION"))
	putNonEmpty(attributes, attrCloudAccountID, registration.AccountID)
	name := firstNonEmpty(getenv("AWS_LAMBDA_FUNCTION_NAME"), registration.FunctionName)
	putNonEmpty(attributes, attrFaasName, name)
	putNonEmpty(attributes, attrFaasVersion,
		firstNonEmpty(getenv("AWS_LAMBDA_FUNCTION_VERSION"), registration.FunctionVersion))
	if mb, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32); err == nil && mb > 0 {
		attributes.PutInt(attrFaasMaxMemory, mb*bytesPerMB)
	}
	putNonEmpty(attributes, attrServiceName, name)

	for pair := range strings.SplitSeq(getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := parsePair(pair)
		if !ok {
			malformed = append(malformed, pair)
			continue
		}
		attributes.PutStr(key, value)
	}
	putNonEmpty(attributes, attrServiceName, getenv("OTEL_SERVICE_NAME"))
	return attributes, malformed
}

// parsePair reads `key=value`, both percent-encoded where needed.
func parsePair(pair string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(pair, "=")
	if !ok {
		return "", "", false
	}
	key, errKey := url.PathUnescape(strings.TrimSpace(key))
	value, errValue := url.PathUnescape(strings.TrimSpace(value))
	if errKey != nil || errValue != nil || key == "" {
		return "", "", false
	}
	return strings.ToValidUTF8(key, "\uFFFD"), strings.ToValidUTF8(value, "\uFFFD"), true
}

func putNonEmpty(attributes pcommon.Map, key, value string) {
	if value != "" {
		attributes.PutStr(key, value)
	}
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
