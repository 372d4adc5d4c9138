// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"
	"os"
)

func dropPages(*os.File) error { return errors.ErrUnsupported }

func residentPages(*os.File) (resident, pages int, err error) { return 0, 0, errors.ErrUnsupported }
