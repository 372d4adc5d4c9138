// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package keyfile reads keys that only a TPM can use. There is none in Lambda.
package keyfile

import (
	"crypto"
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

var errNoTPM = errors.New("there is no TPM in Lambda")

// TPMKey is a key in a TPM.
type TPMKey struct{}

// Decode fails.
func Decode([]byte) (*TPMKey, error) { return nil, errNoTPM }

// Signer fails.
func (*TPMKey) Signer(transport.TPMCloser, []byte, []byte) (crypto.Signer, error) {
	return nil, errNoTPM
}
