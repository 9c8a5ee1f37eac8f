#!/usr/bin/env bash
# Builds the program and vets every package, tests included, for each OS/ARCH given.
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for platform in "$@"; do
	export GOOS=${platform%/*} GOARCH=${platform#*/} CGO_ENABLED=0
	"${GO:-go}" build -trimpath -o "$out/sluice" .
	"${GO:-go}" vet -tags e2e ./...
	echo "ok   builds and vets for $platform"
done
