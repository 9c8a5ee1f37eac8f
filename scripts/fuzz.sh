#!/usr/bin/env bash
# Runs every fuzz target of the tree for the time given (default 30s each).
set -euo pipefail
for_each=${1:-30s}
grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do
	name=${func#func }
	echo "== $name in $(dirname "$file"), $for_each"
	"${GO:-go}" test -run '^$' -fuzz "^$name\$" -fuzztime "$for_each" -fuzzminimizetime 20x "$(dirname "$file")"
done
