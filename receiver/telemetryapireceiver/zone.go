// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// attrZoneID is not `cloud.availability_zone`, which is for the name that an account has for the zone.
const attrZoneID = "aws.lambda.availability_zone_id"

const (
	// The environment's metadata endpoint, where there is one (AWS Lambda, "execution environment metadata").
	envMetadataAPI   = "AWS_LAMBDA_METADATA_API"
	envMetadataToken = "AWS_LAMBDA_METADATA_TOKEN" //nolint:gosec // the name of a variable
	metadataPath     = "/2026-01-15/metadata/execution-environment"

	// zoneTimeout bounds a request to it. It is in the same environment.
	zoneTimeout = 2 * time.Second
	maxMetadata = 64 << 10
)

// zone finds out the availability zone that the environment is in.
type zone struct {
	url, token string
	logger     *zap.Logger
	found      atomic.Pointer[string]
	ctx        context.Context
	wg         sync.WaitGroup
}

func newZone(getenv func(string) string, logger *zap.Logger) *zone {
	z := &zone{token: getenv(envMetadataToken), logger: logger}
	if api := getenv(envMetadataAPI); api != "" {
		z.url = "http://" + api + metadataPath
	}
	return z
}

// start begins to ask, without waiting for the answer.
func (z *zone) start() (stop func()) {
	if z.url == "" {
		z.logger.Info("There is no metadata endpoint here, so that `resource::availability_zone` has no effect")
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	z.ctx = ctx
	z.moved()
	return func() {
		cancel()
		z.wg.Wait()
	}
}

// moved asks once more: the environment was restored from a snapshot, and may be somewhere else now.
func (z *zone) moved() {
	if z.ctx == nil || z.ctx.Err() != nil {
		return
	}
	z.found.Store(nil)
	z.wg.Go(func() {
		id, err := z.ask(z.ctx)
		if err != nil {
			if z.ctx.Err() == nil {
				z.logger.Warn("Cannot find out the availability zone", zap.Error(err))
			}
			return
		}
		z.found.Store(&id)
	})
}

// id is the zone's, such as `use1-az1`, and empty as long as it is not known.
func (z *zone) id() string {
	if id := z.found.Load(); id != nil {
		return *id
	}
	return ""
}

func (z *zone) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, zoneTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, z.url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+z.token)
	// A transport of its own, because what proxies the user has set is for the world outside.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the metadata endpoint answered %s", resp.Status)
	}
	var metadata struct{ AvailabilityZoneID string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxMetadata)).Decode(&metadata); err != nil {
		return "", fmt.Errorf("read the answer of the metadata endpoint: %w", err)
	}
	return metadata.AvailabilityZoneID, nil
}
