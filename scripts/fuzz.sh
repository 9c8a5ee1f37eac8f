#!/usr/bin/env bash
# Runs every fuzz target of the tree for the time given (default 30s each).
set -euo pipefail
for_each=${1:-30s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET. Before Go 1.27 the end of the time can itself be reported as a
# failure (golang/go#75804): one that names no input and says nothing else is none.
fuzz() {
	"${GO:-go}" test -run '^$' -fuzz "^$2\$" -fuzztime "$for_each" -fuzzminimizetime 20x "$1" 2>&1 |
		tee "$log" && return
	grep -qx '    context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"
}

grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do
	target=${func#func }
	echo "== $target in $(dirname "$file"), $for_each"
	fuzz "$(dirname "$file")" "$target"
done
