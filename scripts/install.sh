#!/bin/sh
# Installs a program that was built and what belongs to it: `make install`. In the
# environment stand DESTDIR, PREFIX (/usr/local), SYSCONFDIR (/etc) and LOCALSTATEDIR
# (/var). With DESTDIR, as for a package, nothing is done outside of it; else the account
# of the daemons is made, too, if root calls. A configuration that is there stays, and so
# do other programs that are called cproxy, tcprelay or spawnd.
set -eu

program=${1:?usage: install.sh PROGRAM}
user=sluice
destdir=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
etc=$destdir${SYSCONFDIR:-/etc}
log=$destdir${LOCALSTATEDIR:-/var}/log/$user
share=$destdir$prefix/share
cd "$(dirname "$0")/.."
[ -x "$program" ] || {
	echo "install.sh: there is no program $program (make build)" >&2
	exit 1
}

# put MODE DIRECTORY FILE...: installs files, with the path of the program in them made right.
put() {
	mode=$1 dir=$2
	shift 2
	install -d "$dir"
	for file; do
		install -m "$mode" "$file" "$dir"
		sed "s,/usr/local/bin/,$prefix/bin/,g" "$file" >"$dir/${file##*/}"
	done
}

install -d "$destdir$prefix/bin"
install -m 755 "$program" "$destdir$prefix/bin/sluice"
for module in gws gng; do
	ln -sf sluice "$destdir$prefix/bin/$module"
done
# These are names of programs of others: one that is there stays what it is, and so does its manual.
for name in cproxy tcprelay spawnd; do
	link=$destdir$prefix/bin/$name
	if [ "$(readlink "$link" 2>/dev/null)" != sluice ]; then
		if [ -e "$link" ] || [ -L "$link" ] || { [ -z "$destdir" ] && command -v "$name" >/dev/null; }; then
			echo "install.sh: there is another $name: it stays, use \"sluice relay\" or \"sluice tcprelay\"" >&2
			continue
		fi
		ln -s sluice "$link"
	fi
	put 644 "$share/man/man1" "docs/man/man1/$name.1"
done
put 755 "$share/sluice" dist/sluice.sh dist/auth/helper.sh dist/auth/helper.py
put 644 "$share/doc/sluice/examples" dist/sluice.yaml dist/sluice.conf dist/relay.yaml dist/origin.yaml dist/tcprelay.cfg dist/channels.conf dist/logrotate
put 644 "$destdir$prefix/lib/systemd/system" dist/*.service
put 644 "$share/man/man1" docs/man/man1/sluice*.1 docs/man/man1/gws.1 docs/man/man1/gng.1
put 644 "$share/man/man5" docs/man/man5/*
[ -e "$etc/sluice.yaml" ] || put 644 "$etc" dist/sluice.yaml
install -d "$log"

[ -z "$destdir" ] && [ "$(id -u)" = 0 ] || exit 0
if ! id -u "$user" >/dev/null 2>&1; then
	if command -v pw >/dev/null; then # FreeBSD
		pw useradd "$user" -d /var/run/sluice -s /usr/sbin/nologin
	else
		useradd --system --home-dir /run/sluice --no-create-home --shell /usr/sbin/nologin "$user"
	fi
fi
chown "$user" "$log"
