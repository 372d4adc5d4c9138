// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// memoryMB is a usual size for functions with telemetry, and what is announced where the CPU is not limited.
	memoryMB = 512
	// oneCPU is the memory size that comes with one vCPU.
	oneCPU = 1769
	// Lambda's own limits of the memory size.
	leastMemoryMB, mostMemoryMB = 128, 10240

	fullCPU = "full"
)

// condition is what a function gets of the machine.
type condition struct {
	// memoryMB is announced. The memory itself is not limited.
	memoryMB int
	// share is how much of one CPU all processes of the environment get together, 0 for what there is.
	share float64
}

// unlimited is what the figures are without any other word.
func unlimited() condition { return condition{memoryMB: memoryMB} }

func (c condition) limited() bool { return c.share > 0 }

func (c condition) String() string {
	if !c.limited() {
		return fmt.Sprintf("full CPU, function of %d MB", c.memoryMB)
	}
	return fmt.Sprintf("function of %d MB, %.1f %% of one CPU", c.memoryMB, 100*c.share)
}

// parseConditions reads a list such as 128,512,full. The one without a limit is the first of what it returns.
func parseConditions(text string) (list []condition, err error) {
	for field := range strings.SplitSeq(text, ",") {
		c := unlimited()
		if field = strings.TrimSpace(field); field != fullCPU {
			size, err := strconv.Atoi(field)
			if err != nil || size < leastMemoryMB || size > mostMemoryMB {
				return nil, fmt.Errorf("%q is neither %s nor a memory size of %d to %d MB",
					field, fullCPU, leastMemoryMB, mostMemoryMB)
			}
			c = condition{memoryMB: size, share: float64(size) / oneCPU}
		}
		if slices.Contains(list, c) {
			return nil, fmt.Errorf("%q is given twice", field)
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b condition) int {
		switch {
		case a.limited() == b.limited():
			return 0
		case a.limited():
			return 1
		}
		return -1
	})
	return list, nil
}
