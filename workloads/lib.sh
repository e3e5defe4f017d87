# SPDX-License-Identifier: GPL-2.0-only
# Shell library of the workloads; runs in the guest. Source it with
#   . "${0%/*}/../lib.sh"
# It sets BIN (the programs) and RESULTS (where samples go, the script's first
# argument) and defines say, die, now, wait_until and sample.

WORKLOADS_TOP=${WORKLOADS_TOP:-$(CDPATH='' cd -- "${0%/*}/.." && pwd)}
BIN=${BIN:-$WORKLOADS_TOP/bin}
WORKLOAD=${WORKLOAD:-$(basename "$(CDPATH='' cd -- "${0%/*}" && pwd)")}

say()
{
	printf '%s: %s\n' "$WORKLOAD" "$*"
}

# die MESSAGE [WHAT-TO-TRY]
die()
{
	printf '%s: %s\n' "$WORKLOAD" "$1" >&2
	[ $# -lt 2 ] || printf '  try: %s\n' "$2" >&2
	exit 1
}

now()
{
	date +%s
}

# wait_until SECONDS WHAT COMMAND...: poll until COMMAND succeeds
wait_until()
{
	_end=$(($(now) + $1))
	_what=$2
	shift 2
	until "$@"; do
		[ "$(now)" -lt "$_end" ] || return 1
		sleep 0.2
	done
}

# Nothing that comes and goes on its own: timers, and PostgreSQL's autovacuum
# workers. They would show in one mode of a comparison and not in the other.
quiet()
{
	[ -d /run/systemd/system ] || return 0
	systemctl stop '*.timer'
	systemctl is-active --quiet postgresql || return 0
	/usr/bin/setpriv --reuid postgres --regid postgres --init-groups -- \
		psql -XAtq -d postgres -c "ALTER SYSTEM SET autovacuum_naptime = '7d'" \
		-c 'SELECT pg_reload_conf()' >/dev/null ||
		die "PostgreSQL's autovacuum could not be put off" "systemctl status 'postgresql@*'"
}

# sample NAME: one settled look at the slabs, into RESULTS/NAME.json
sample()
{
	"$BIN/slabsample" --label "$1" --output "$RESULTS/$1.json" ||
		die "no sample \"$1\" (see the line above)" \
		    "read /proc/slabinfo and /sys/kernel/slab/anon_vma by hand"
	say "sampled $1"
}

RESULTS=${1:-}
[ -n "$RESULTS" ] || die "usage: $0 RESULTS-FOLDER"
[ "$(id -u)" -eq 0 ] || die "needs root, to shrink caches" "run it in the guest"
mkdir -p "$RESULTS"
