// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package tpmutil opens TPMs. There is none in Lambda.
package tpmutil

import (
	"errors"
	"io"
)

var errNoTPM = errors.New("there is no TPM in Lambda")

// OpenTPM fails.
func OpenTPM(string) (io.ReadWriteCloser, error) { return nil, errNoTPM }
