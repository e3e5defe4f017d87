# SPDX-License-Identifier: GPL-2.0-only
# TAP for the tests of workloads and report. Source it, call the checks, end
# with "finish". Sets TOP and TMP (a folder that goes when the test ends).

TOP=$(CDPATH='' cd -- "${0%/*}/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/anon-vma-lazy
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
tests=0 failed=0

ok()
{
	tests=$((tests + 1))
	printf 'ok %d - %s\n' "$tests" "$1"
}

# not_ok WHAT [FILE]: FILE shows why
not_ok()
{
	tests=$((tests + 1))
	failed=$((failed + 1))
	printf 'not ok %d - %s\n' "$tests" "$1"
	[ $# -lt 2 ] || sed 's/^/# /' "$2"
}

# skip_all WHY
skip_all()
{
	printf '1..0 # SKIP %s\n' "$1"
	exit 77
}

# run COMMAND...: sets rc, fills $TMP/out and $TMP/err
run()
{
	rc=0
	"$@" >"$TMP/out" 2>"$TMP/err" || rc=$?
}

# succeeds WHAT COMMAND...
succeeds()
{
	_what=$1
	shift
	run "$@"
	if [ "$rc" -eq 0 ]; then
		ok "$_what"
	else
		printf 'status %s, must be 0: %s\n' "$rc" "$*" >>"$TMP/err"
		not_ok "$_what" "$TMP/err"
	fi
}

# refuses WHAT STATUS MESSAGE COMMAND...: MESSAGE is part of what it says
refuses()
{
	_what=$1 _status=$2 _message=$3
	shift 3
	run "$@"
	if [ "$rc" -ne "$_status" ]; then
		printf 'status %s, must be %s: %s\n' "$rc" "$_status" "$*" >>"$TMP/err"
		not_ok "$_what" "$TMP/err"
	elif ! grep -qF -- "$_message" "$TMP/err"; then
		printf 'the message must contain: %s\n' "$_message" >>"$TMP/err"
		not_ok "$_what" "$TMP/err"
	else
		ok "$_what"
	fi
}

# same WHAT WANTED-FILE FILE
same()
{
	if diff -u "$2" "$3" >"$TMP/diff" 2>&1; then
		ok "$1"
	else
		not_ok "$1" "$TMP/diff"
	fi
}

# equal WHAT WANTED HAVE
equal()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		printf 'wanted: %s\nhave:   %s\n' "$2" "$3" >"$TMP/diff"
		not_ok "$1" "$TMP/diff"
	fi
}

finish()
{
	printf '1..%d\n' "$tests"
	[ "$failed" -eq 0 ]
}
