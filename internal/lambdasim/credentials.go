// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import "net/http"

// credentialsPath is where the processes of a SnapStart function find what others have in variables.
const credentialsPath = "/2021-04-23/credentials"

// The customer's variables with credentials, which nobody but him could provide.
const (
	envAccessKey    = "AWS_ACCESS_KEY_ID"
	envSecretKey    = "AWS_SECRET_ACCESS_KEY"
	envSessionToken = "AWS_SESSION_TOKEN"
)

// handleCredentials answers as a container's credentials provider does.
func (e *Environment) handleCredentials(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != e.token {
		(&apiError{http.StatusNotFound, "CredentialsNotFound", "there are no credentials for this token"}).write(w)
		return
	}
	// Without an Expiration they are good for ever.
	writeJSON(w, http.StatusOK, struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
	}{e.opts.Env[envAccessKey], e.opts.Env[envSecretKey], e.opts.Env[envSessionToken]})
}

// servesCredentials says that credentials are not in variables, because a snapshot would outlive them.
func (o Options) servesCredentials() bool {
	return o.Mode == ModeSnapStart && o.Env[envAccessKey] != ""
}
