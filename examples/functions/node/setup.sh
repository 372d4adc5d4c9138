#!/bin/sh
# Copyright The otelcol-lambda Authors
# SPDX-License-Identifier: Apache-2.0

# Makes the function's package in a folder: setup.sh DIR. Needs node and npm. Says nothing unless something is wrong, and
# does not install again what is there already.
set -eu
[ $# -eq 1 ] || { echo 'usage: setup.sh DIR' >&2; exit 2; }
source=$(cd "$(dirname "$0")" && pwd -P)
mkdir -p "$1"
cd "$1"
if [ "$source" != "$(pwd -P)" ]; then
  cp "$source"/*.js "$source/package.json" "$source/package-lock.json" "$source/bootstrap" .
fi
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
  cp package-lock.json node_modules/.installed
fi
