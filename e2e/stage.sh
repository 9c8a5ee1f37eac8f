# The stage of man_test.go: a machine of its own for the examples of a page. It has a
# loopback interface with multicast, the programs under their names, film.ts in the present
# directory, and system directories whose changes nobody else sees.
set -euo pipefail

ip link set lo up multicast on
ip link add eth1 type veth peer name far # that of the samples
ip route add 224.0.0.0/4 dev lo

own=$PWD/own
mkdir "$own"
mount -t tmpfs tmpfs "$own"
for dir in /etc /run /srv /var/log /usr/share; do
	mkdir -p "$own$dir/changes" "$own$dir/work"
	mount -t overlay overlay -o "lowerdir=$dir,upperdir=$own$dir/changes,workdir=$own$dir/work" "$dir"
done
mkdir -p "$own/bin" /usr/share/sluice /etc/sluice /var/log/sluice
for name in sluice gws gng cproxy tcprelay spawnd; do
	ln -s "$PROGRAM" "$own/bin/$name"
done
cp -r "$DIST/auth" /usr/share/sluice/
cp "$FILM" film.ts
mkdir /etc/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=www.example.com \
	-keyout /etc/tls/a.key -out /etc/tls/a.pem 2>/dev/null
PATH=$own/bin:$PATH

n=0          # of the example
servers=no   # whether there is one to wait for
opening=()   # process ids of those that listen for connections, and are to be waited for
going=()     # what goes on beside: process ids
kinds=()     # of these

fail() {
	echo "EXAMPLE $n: $*"
	exit 1
}

# serve KIND: a command that goes on until the end.
serve() {
	n=$((n + 1))
	local command
	command=$(cat)
	listening
	echo "--- $n, beside the others: $command"
	[ "$1" != server ] || servers=yes
	eval "exec $command" &
	going+=($!)
	kinds+=("$1")
	case $1 in relay | other) opening+=($!) ;; esac
}

# run: commands to their end, each of which has to work.
run() {
	n=$((n + 1))
	[ "$servers" = no ] || ready
	listening
	local commands
	commands=$(cat)
	echo "--- $n: $commands"
	# Who reads only the beginning of a stream breaks its pipe: of a pipeline the last counts.
	bash -eu -c "$commands" || fail "exit code $?"
}

# ready waits until the server has an engine.
ready() {
	for _ in $(seq 600); do
		if curl -sf 'http://127.0.0.1:4047/status?format=json' | grep -q '"id"'; then
			servers=no
			return
		fi
		sleep 0.1
	done
	fail "no engine is there"
}

# listening waits until all that are to listen do.
listening() {
	local pid
	for pid in "${opening[@]}"; do
		for _ in $(seq 600); do
			! ss -Hltnp | grep -q "pid=$pid," || continue 2
			kill -0 "$pid" || fail "a process has ended before it listened"
			sleep 0.1
		done
		fail "process $pid does not listen"
	done
	opening=()
}

# file PATH
file() {
	n=$((n + 1))
	echo "--- $n: $1"
	mkdir -p "$(dirname "$1")"
	(umask 077 && cat >"$1")
}

# check KIND: a configuration, or a list of channels.
check() {
	n=$((n + 1))
	echo "--- $n: a configuration ($1)"
	local where=$own/check-$n
	case $1 in
	yaml) where=$where.yaml && cat >"$where" ;;
	libconfig) where=$where.conf && cat >"$where" ;;
	conf) cat >"$where" && echo "channels_file: $where" >"$where.yaml" && where=$where.yaml ;;
	m3u) cat >"$where" && echo "playlists: $where" >"$where.yaml" && where=$where.yaml ;;
	tcprelay)
		cat >"$where"
		tcprelay -P "$where" >"$own/checked" 2>&1 || fail "exit code $?: $(cat "$own/checked")"
		[ ! -s "$own/checked" ] || fail "there are warnings: $(cat "$own/checked")"
		return
		;;
	esac
	sluice check -C "$where" >"$own/checked" 2>&1 || fail "exit code $?: $(cat "$own/checked")"
	! grep '^warning' "$own/checked" || fail "there are warnings"
}

# end ends what goes on, the last first, and wants all of it to end well.
end() {
	local i
	for ((i = ${#going[@]} - 1; i >= 0; i--)); do
		kill -TERM "${going[i]}" || fail "process $((i + 1)) has ended before"
		wait "${going[i]}" || [[ ${kinds[i]} =~ ^(other|client)$ ]] || fail "process $((i + 1)) ended with exit code $?"
	done
}

