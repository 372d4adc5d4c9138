// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"strings"
	"time"
)

// maxThrottle is the longest time that a backend is left alone because it asked for that. Environments that are used seldom
// live for longer than that, and would not deliver anything in their life.
const maxThrottle = 5 * time.Minute

// throttle returns for how long the backend asked to be left alone, by `Retry-After` or gRPC's RetryInfo; 0 if it did not.
//
// Exporters put that into an error of a type that only exporterhelper's own retries can see, and into its text. Reading the
// text costs nothing as long as nothing fails and is the same for both protocols, where reading the responses would take
// another hook in each of them. A test with the real exporters fails if the text changes.
func throttle(err error) time.Duration {
	var longest time.Duration
	for _, cause := range causes(err) {
		longest = max(longest, throttleText(cause.Error()))
	}
	return min(longest, maxThrottle)
}

func throttleText(text string) time.Duration {
	const before, after = "Throttle (", "), error: "
	_, text, found := strings.Cut(text, before)
	if !found {
		return 0
	}
	text, _, _ = strings.Cut(text, after)
	delay, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return max(delay, 0)
}
