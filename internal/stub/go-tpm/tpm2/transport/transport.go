// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package transport has the type in which configtls passes a TPM on. There is none in Lambda.
package transport

import "io"

// TPMCloser is a TPM that can be closed.
type TPMCloser interface {
	io.Closer

	// Send gives the TPM a command and returns its answer.
	Send(input []byte) ([]byte, error)
}

// FromReadWriteCloser returns nil: nothing opens a TPM.
func FromReadWriteCloser(io.ReadWriteCloser) TPMCloser { return nil }
