// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// platformSettings are the flags about what Lambda does.
type platformSettings struct {
	mode            string
	concurrency     int
	tenant          string
	telemetryFaults string
	oom             int
	metadata        bool
	initDuration    bool
	initPhase       string
}

var modes = map[string]lambdasim.Mode{
	"on-demand": lambdasim.ModeOnDemand, "provisioned-concurrency": lambdasim.ModeProvisionedConcurrency,
	"snap-start": lambdasim.ModeSnapStart, "managed-instances": lambdasim.ModeManagedInstances,
}

func (set *platformSettings) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&set.mode, "mode", "on-demand",
		"how Lambda provides the environment: on-demand, provisioned-concurrency, snap-start, managed-instances")
	f.IntVar(&set.concurrency, "concurrency", 0, "how many invocations a Managed Instance takes at once (default 16)")
	f.StringVar(&set.tenant, "tenant", "", "the tenant `ID` of a function with tenant isolation")
	f.StringVar(&set.telemetryFaults, "telemetry-faults", "",
		"how the Telemetry API misbehaves, `FAULTS` joined by commas: redeliver[=SHARE], drop[=SHARE], delay, late-invoke, "+
			"strings, seed=N")
	f.IntVar(&set.oom, "oom", 0, "invocation `N` is killed for want of memory when it is about to answer")
	f.BoolVar(&set.metadata, "metadata", true, "serve the metadata endpoint")
	f.StringVar(&set.initPhase, "init-phase", "",
		"the phase in the events of a SnapStart Init: init, snap-start (default init)")
	f.BoolVar(&set.initDuration, "report-init-duration", false,
		"the first report of provisioned concurrency tells how long Init took")
}

func (set *platformSettings) apply(options *lambdasim.Options) error {
	mode, ok := modes[set.mode]
	if !ok {
		return fmt.Errorf("--mode %q is unknown: use on-demand, provisioned-concurrency, snap-start or managed-instances",
			set.mode)
	}
	faults, err := lambdasim.ParseTelemetryFaults(set.telemetryFaults)
	if err != nil {
		return fmt.Errorf("--telemetry-faults: %w", err)
	}
	options.Mode = mode
	options.Concurrency = set.concurrency
	options.TenantID = set.tenant
	options.TelemetryFaults = faults
	options.OutOfMemory = set.oom
	options.NoMetadata = !set.metadata
	options.InitPhase = set.initPhase
	options.ReportInitDuration = set.initDuration
	return nil
}
