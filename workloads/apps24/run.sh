#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# apps24 RESULTS: for each N of SCALES, run apps24 --scale N; sample when all
# apps are ready and again when they are gone. Runs in the guest, as root.
set -eu
. "${0%/*}/../lib.sh"

SCALES=${SCALES:-"1 2 3 4"}
APPS24=${APPS24:-}		# more options of apps24, such as --corrupt 3

tmp=$(mktemp -d)
pid=
cleanup()
{
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || :
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

quiet
sample apps24-before
for n in $SCALES; do
	mkfifo "$tmp/in" "$tmp/out"
	# shellcheck disable=SC2086 # a list of options
	"$BIN/apps24" --scale "$n" $APPS24 <"$tmp/in" >"$tmp/out" &
	pid=$!
	exec 3>"$tmp/in" 4<"$tmp/out"
	if ! read -r line <&4; then
		wait "$pid" && rc=0 || rc=$?
		pid=
		die "apps24 --scale $n ended with status $rc before it was ready (its message is above)"
	fi
	case $line in
	"ready "*) say "$line" ;;
	*) die "apps24 --scale $n said \"$line\", not ready" ;;
	esac
	sample "apps24-scale$n"
	exec 3>&-
	cat <&4 >"$RESULTS/apps24-scale$n.check"
	exec 4<&-
	wait "$pid" && rc=0 || rc=$?
	pid=
	[ "$rc" -eq 0 ] ||
		die "apps24 --scale $n: status $rc: a process found wrong content or died (its message is above)"
	rm "$tmp/in" "$tmp/out"
	sample "apps24-after$n"
done
