#!/bin/sh
# Copyright The otelcol-lambda Authors
# SPDX-License-Identifier: Apache-2.0

# Builds the function as DIR/bootstrap: setup.sh DIR. Needs go. Says nothing unless something is wrong.
set -eu
[ $# -eq 1 ] || { echo 'usage: setup.sh DIR' >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
CGO_ENABLED=0 go -C "$(dirname "$0")" build -tags lambda.norpc -trimpath -buildvcs=false -o "$dir/bootstrap" .
