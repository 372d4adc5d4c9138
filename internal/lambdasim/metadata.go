// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import "net/http"

const metadataPath = "/2026-01-15/metadata/execution-environment"

// handleMetadata tells the availability zone to whoever knows the token.
func (e *Environment) handleMetadata(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+e.token {
		(&apiError{http.StatusUnauthorized, "Unauthorized", "the token is missing or wrong"}).write(w)
		return
	}
	e.mu.Lock()
	e.report.MetadataRequests++
	e.mu.Unlock()
	w.Header().Set("Cache-Control", "private, max-age=43200, immutable")
	writeJSON(w, http.StatusOK, struct {
		AvailabilityZoneID string
	}{e.opts.AvailabilityZoneID})
}
