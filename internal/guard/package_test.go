// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// The test binary is also the programs the tests run: behind the guard it is the collector, elsewhere in an environment
// of the simulator the function.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(contract.EnvGuard) != "":
		runCollector()
	case os.Getenv("_HANDLER") != "":
		runFunction()
	case os.Getenv(envRuntimeAPI) != "":
		// The guard has given way to it.
		runCollector()
	default:
		// The tests wait for time limits more than they compute.
		flag.Parse()
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
		goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
			_ = os.RemoveAll(built.dir)
			os.Exit(status)
		}))
	}
}
