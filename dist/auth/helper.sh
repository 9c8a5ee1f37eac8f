#!/bin/sh
# An authorization helper of sluice in POSIX sh: lets in who has a token of a file.
#
#   auth:
#     helper: ["/usr/share/sluice/auth/helper.sh", "/etc/sluice/tokens"]
#
# A line of the file is NAME TOKEN; a # begins a comment. It is read for each request, so
# that a change holds at once. The token is the parameter "auth" of the source:
#
#   http://HOST:4046/udp/239.1.1.1:5000?auth=TOKEN
#
# docs/auth.md has the protocol. Words are quoted wherever they come from a request, and
# none of them is ever a command, a pattern or a format. Standard output is for answers
# only; standard error goes to the log.
set -eu

tokens=${1:?usage: helper.sh TOKEN-FILE}
[ -r "$tokens" ] || {
	echo "cannot read $tokens" >&2
	exit 1
}

# parameter NAME SOURCE sets $value to that parameter of the source's query, or to nothing.
parameter() {
	value=
	case $2 in
	*\?*) query=${2#*\?} ;;
	*) return 0 ;;
	esac
	while [ -n "$query" ]; do
		pair=${query%%&*}
		case $pair in
		"$1"=*)
			value=${pair#*=}
			return 0
			;;
		esac
		case $query in
		*\&*) query=${query#*&} ;;
		*) query= ;;
		esac
	done
}

# allowed TOKEN says whether the file has it.
allowed() {
	[ -n "$1" ] || return 1
	while read -r name token _ || [ -n "$name" ]; do
		case $name in
		'' | \#*) continue ;;
		esac
		if [ "$token" = "$1" ]; then
			return 0
		fi
	done <"$tokens"
	return 1
}

# Fields: A1 192.0.2.7:50905 udp://239.1.1.1:5000?auth=TOKEN - [LISTENER]
# shellcheck disable=SC2034 # peer and destination: for who wants to look at them, too
while read -r id peer source destination _; do
	parameter auth "$source"
	if allowed "$value"; then
		printf '%s 0\n' "$id"
	else
		printf '%s 1\n' "$id"
	fi
done
