#!/bin/sh
# Controls one gws and its engines: start, stop, restart, status, reload and rotate. For
# systems without systemd; `sluice run` is simpler where one process may look after all.
#
# A process is known by its pid file, never by its name. What is below can be set in the
# environment or in the file SLUICE_DEFAULTS (/etc/default/sluice).
set -u

defaults=${SLUICE_DEFAULTS:-/etc/default/sluice}
# shellcheck source=/dev/null # the operator's
[ ! -r "$defaults" ] || . "$defaults"

program=${SLUICE_PROGRAM:-/usr/local/bin/sluice}
config=${SLUICE_CONFIG:-}                # one file for all; empty = where the modules look for one
engines=${SLUICE_ENGINES:-1}             # how many gng
run_dir=${SLUICE_RUN_DIR:-/run/sluice}   # sockets, locks and pid files
log_dir=${SLUICE_LOG_DIR:-/var/log/sluice}
wait=${SLUICE_WAIT:-20}                  # seconds for an orderly end

say() { printf '%s\n' "$*"; }
fail() { printf 'sluice.sh: %s\n' "$*" >&2; }

# pid_file MODULE: gws, gng-1, gng-2 and so on.
pid_file() { say "$run_dir/$1.pid"; }

# running MODULE: prints the process id. The module holds its pid file locked and removes
# it at its end; one that a crash has left names a process that is gone, or is another's.
running() {
	file=$(pid_file "$1")
	pid=$(cat "$file" 2>/dev/null) || return 1
	case $pid in '' | *[!0-9]*) return 1 ;; esac
	kill -0 "$pid" 2>/dev/null || return 1
	# Where /proc tells, the process must be ours.
	if [ -e "/proc/$pid/cmdline" ]; then
		{ tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -Fqx -e "--pidfile=$file" || return 1
	fi
	say "$pid"
}

# modules: gws first, then its engines, and those beyond that still run.
modules() {
	say gws
	i=1
	while [ "$i" -le "$engines" ]; do
		say "gng-$i"
		i=$((i + 1))
	done
	while [ -e "$(pid_file "gng-$i")" ]; do
		say "gng-$i"
		i=$((i + 1))
	done
}

# launch MODULE: the module becomes a daemon, and the command ends when it is up.
launch() {
	if pid=$(running "$1"); then
		say "$1 runs already (pid $pid)"
		return 0
	fi
	role=${1%%-*}
	set -- "$1" "$role" --run-dir "$run_dir" --logfile "$log_dir/$1.log" "--pidfile=$(pid_file "$1")"
	name=$1
	shift
	[ -z "$config" ] || set -- "$@" --config "$config"
	[ "$role" = gws ] || set -- "$@" --id "${name#gng-}"
	if "$program" "$@"; then
		say "$name started (pid $(running "$name"))"
	else
		fail "$name did not start"
		return 1
	fi
}

start() {
	for module in $(modules); do
		# Beyond the number that is wanted nothing is started.
		case $module in gng-*) [ "${module#gng-}" -le "$engines" ] || continue ;; esac
		launch "$module" || return 1
	done
}

# send SIGNAL: to all that run.
send() {
	none=1
	for module in $(modules); do
		if pid=$(running "$module"); then
			kill -s "$1" "$pid" && none=0
		fi
	done
	[ "$none" = 0 ] || { fail "nothing runs"; return 1; }
}

stop() {
	list=$(modules)
	for module in $list; do
		pid=$(running "$module") && kill -s TERM "$pid" 2>/dev/null # gws may have ended it
	done
	code=0
	left=$wait
	for module in $list; do
		while pid=$(running "$module"); do
			if [ "$left" -le 0 ]; then
				fail "$module (pid $pid) has not ended in ${wait}s"
				code=1
				break
			fi
			sleep 1
			left=$((left - 1))
		done
	done
	[ "$code" != 0 ] || say "stopped"
	return "$code"
}

status() {
	code=0
	for module in $(modules); do
		if pid=$(running "$module"); then
			say "$module runs (pid $pid)"
		else
			say "$module does not run"
			code=3
		fi
	done
	return "$code"
}

case ${1:-} in
start) start ;;
stop) stop ;;
restart) stop && start ;;
status) status ;;
reload) send HUP ;;
rotate) send USR1 ;;
*)
	fail "usage: $0 start|stop|restart|status|reload|rotate"
	exit 2
	;;
esac
