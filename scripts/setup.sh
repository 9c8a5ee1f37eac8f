#!/usr/bin/env bash
# Installs the programs that the end-to-end tests drive, where it may; otherwise it says
# which are missing. With CI=true a missing program is a failure.
set -euo pipefail

# program:package (Debian and its children)
needs=(
	ffmpeg:ffmpeg ffprobe:ffmpeg vlc:vlc-bin cvlc:vlc-bin curl:curl tcpdump:tcpdump haproxy:haproxy chromium:chromium wget:wget busybox:busybox
	shellcheck:shellcheck logrotate:logrotate rsyslogd:rsyslog strace:strace dash:dash useradd:passwd unshare:util-linux
	ip:iproute2 nsenter:util-linux setpriv:util-linux prlimit:util-linux mandoc:mandoc openssl:openssl gcc:gcc git:git python3:python3
	dnsmasq:dnsmasq-base nginx:nginx htpasswd:apache2-utils h2load:nghttp2-client npm:npm socat:socat systemd-socket-activate:systemd
	qemu-system-x86_64:qemu-system-x86 dpkg-deb:dpkg
)
# No program tells that these are there.
files=(
	/usr/lib/*/vlc/plugins/access/libhttp_plugin.so:vlc-plugin-base
	/usr/include/stdlib.h:libc6-dev
	/usr/include/libconfig.h:libconfig-dev
	/usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream
)

missing() {
	local n
	for n in "${needs[@]}"; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${n%%:*}" >/dev/null || echo "${n##*:}"
	done
	for n in "${files[@]}"; do
		compgen -G "${n%%:*}" >/dev/null || echo "${n##*:}"
	done
}

# The players of scripts/players, of the versions in its lock file.
players() {
	local from to
	from=$(dirname "$0")/players
	to=$(dirname "$0")/../bin/players
	cmp -s "$from/package-lock.json" "$to/installed" && return
	echo "installing players for the browser"
	mkdir -p "$to"
	cp "$from/package.json" "$from/package-lock.json" "$to/"
	if (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null); then
		cp "$from/package-lock.json" "$to/installed"
		return
	fi
	echo "missing: dash.js and hls.js (npm ci in bin/players failed)" >&2
	[ "${CI:-}" != true ] || exit 1
}

packages=$(missing | sort -u | tr '\n' ' ')
if [ -z "$packages" ]; then
	players
	exit 0
fi

as_root=
if [ "$(id -u)" != 0 ]; then
	as_root="sudo -n"
	sudo -n true 2>/dev/null || as_root=no
fi
if command -v apt-get >/dev/null && [ "$as_root" != no ]; then
	echo "installing: $packages"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # both are lists of words
	{
		$as_root apt-get update -qq &&
			$as_root apt-get install -qq -y --no-install-recommends $packages
	} >/dev/null || true
	packages=$(missing | sort -u | tr '\n' ' ')
fi
if [ -n "$packages" ]; then
	echo "missing: $packages" >&2
	echo "install these packages (Debian's names); tests that need them are left out until then" >&2
	[ "${CI:-}" != true ] || exit 1
fi
players
