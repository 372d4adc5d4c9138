#!/bin/sh
# Copyright The otelcol-lambda Authors
# SPDX-License-Identifier: Apache-2.0

# Makes the function's package in a folder: setup.sh DIR. Needs python3 with pip. Says nothing unless something is wrong,
# and does not install again what is there already.
set -eu
[ $# -eq 1 ] || { echo 'usage: setup.sh DIR' >&2; exit 2; }
source=$(cd "$(dirname "$0")" && pwd -P)
mkdir -p "$1"
cd "$1"
if [ "$source" = "$(pwd -P)" ]; then
  echo 'setup.sh: name another folder than the source' >&2
  exit 2
fi
cp "$source"/*.py "$source/bootstrap" .
# Some of the packages are compiled for one version of Python.
{ python3 -VV; cat "$source/requirements.txt"; } >.wanted
if ! cmp -s .wanted .installed; then
  rm -f .installed
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
    --require-hashes --only-binary :all: --upgrade --target . --requirement "$source/requirements.txt"
fi
mv .wanted .installed
