// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// What the net/http floor took on the machine that the limits in milliseconds are from: to its first next, and of CPU
// until then.
const (
	labFirstNext    = 3.1
	labFirstNextCPU = 3.1
)

// speed is how many times as long this machine takes as the one that the limits in milliseconds are from. The zero value
// is a speed that is not known.
type speed struct {
	// FirstNext is for the time to the first next, CPU for all else that depends on the machine.
	FirstNext float64 `json:"first_next"`
	CPU       float64 `json:"cpu"`
}

// speedOf compares the medians of the net/http floor with the lab's. They are those with all the CPU there is.
func speedOf(subjects []subject, list []conditionCosts) (s speed) {
	for _, c := range list {
		if c.condition.limited() {
			continue
		}
		for i, each := range subjects {
			next, cpu := c.observed[i][keyFirstNext], c.observed[i][keyFirstNextCPU]
			if each.name == nameNetHTTP && len(next) > 0 && len(cpu) > 0 {
				s = speed{summarise(next).Median / labFirstNext, summarise(cpu).Median / labFirstNextCPU}
			}
		}
	}
	return s
}

// pace is which of the factors a limit goes with.
type pace int

const (
	// paceNone is for what is the same on any machine, or a multiple of what is measured on the same one.
	paceNone pace = iota
	paceFirstNext
	paceCPU
)

// factor is 0 for a limit that does not depend on the speed.
func (s speed) factor(p pace, c condition) float64 {
	switch {
	case p == paceNone:
		return 0
	// With a share of the CPU, a time is mostly CPU divided by the share.
	case p == paceFirstNext && !c.limited():
		return s.FirstNext
	}
	return s.CPU
}

// atSpeed adds what the budget is on a machine that takes factor times as long. It adds nothing where there is no budget
// or no factor.
func (o outcome) atSpeed(factor float64) outcome {
	o.SpeedFactor, o.BudgetAtSpeed = 0, 0
	if o.Budget > 0 && factor > 0 {
		o.SpeedFactor, o.BudgetAtSpeed = factor, factor*o.Budget
	}
	return o
}

// keptAtSpeed is the same as kept for a budget that does not depend on the speed.
func (o outcome) keptAtSpeed() bool {
	if o.BudgetAtSpeed == 0 {
		return o.kept()
	}
	return o.Median <= o.BudgetAtSpeed
}

func writeSpeed(text *strings.Builder, s speed) {
	if s == (speed{}) {
		return
	}
	fmt.Fprintf(text, "\nspeed: %s took %.2f ms to its first next, and %.2f ms of CPU; the budgets in ms are from a machine "+
		"on which it took %.1f and %.1f. At the speed of this one, those for the time to the first next are × %.2f, the "+
		"others for time and CPU × %.2f; what is held after the function, memory and sizes are the same at any speed\n",
		nameNetHTTP, s.FirstNext*labFirstNext, s.CPU*labFirstNextCPU, labFirstNext, labFirstNextCPU, s.FirstNext, s.CPU)
}
