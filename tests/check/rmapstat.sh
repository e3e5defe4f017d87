#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Golden-output tests of tools/rmapstat.  Most of them run on recorded /proc and
# /sys trees (tools/rmapstat/testdata) and need no root; a few ask this machine.
#
#   RMAPSTAT=FILE   test this binary instead of building one
#   UPDATE=1        write the golden files instead of comparing: read the diff
#   KEEP=1          keep the working directory
#   SLOW=1          no time limits: for sanitizers, emulation

set -eu
export LC_ALL=C

top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$top/tools/rmapstat
data=$dir/testdata
if [ -z "${RMAPSTAT:-}" ]; then
	if ! command -v "${CC:-cc}" >/dev/null; then
		echo "1..0 # SKIP no C compiler"
		exit 77
	fi
	make -s -C "$dir" >&2
	RMAPSTAT=$dir/rmapstat
fi
mkdir -p "$top/out"
tmp=$(mktemp -d "$top/out/rmapstat.XXXXXX")
trap '[ -n "${KEEP:-}" ] || { chmod -R u+rwx "$tmp"; rm -rf "$tmp"; }' EXIT
trap 'exit 1' INT TERM

count=0 failed=0

ok() {
	count=$((count + 1))
	echo "ok $count - $1"
}

not_ok() {
	count=$((count + 1))
	failed=$((failed + 1))
	echo "not ok $count - $1"
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# tree OVERLAY...: a fresh copy of the recorded machine in $tmp/tree
tree() {
	rm -rf "$tmp/tree"
	cp -R "$data/plain" "$tmp/tree"
	for overlay; do
		cp -R "$data/$overlay/." "$tmp/tree"
	done
	# a process that vanished before its first file was read
	mkdir "$tmp/tree/proc/400"
}

# on the copy: rmapstat ARG...
run() {
	"$RMAPSTAT" --proc "$tmp/tree/proc" --sys "$tmp/tree/sys" "$@"
}

# golden FILE TEST RC COMMAND...: output and exit status as recorded
golden() {
	file=$data/$1.expect name=$2 rc=$3 got=0
	shift 3
	"$@" >"$tmp/got" 2>&1 || got=$?
	if [ -n "${UPDATE:-}" ]; then
		cp "$tmp/got" "$file"
	fi
	if [ "$got" = "$rc" ] && cmp -s "$tmp/got" "$file"; then
		ok "$name"
	else
		not_ok "$name"
		echo "# exit status $got, expected $rc; - expected, + got:"
		diff -u "$file" "$tmp/got" | sed 's/^/# /' || true
	fi
}

# has TEST RC STRING COMMAND...: the exit status, and the string in the output
has() {
	name=$1 rc=$2 want=$3 got=0
	shift 3
	"$@" >"$tmp/got" 2>&1 || got=$?
	if [ "$got" = "$rc" ] && grep -qF -e "$want" "$tmp/got"; then
		ok "$name"
	else
		not_ok "$name"
		echo "# exit status $got, expected $rc; expected in the output: $want"
		sed 's/^/# /' "$tmp/got"
	fi
}

# slabinfo SED-SCRIPT: a fresh tree with another slabinfo
slabinfo() {
	tree
	sed "$1" "$data/plain/proc/slabinfo" >"$tmp/tree/proc/slabinfo"
}

# without the capabilities that make file modes void for root
unprivileged() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --inh-caps=-dac_override,-dac_read_search \
			--bounding-set=-dac_override,-dac_read_search "$@"
	else
		"$@"
	fi
}

# ---- an unpatched kernel, root --------------------------------------------
tree
golden summary "summary" 0 run
golden summary-json "summary as JSON" 0 run --json
golden list "list" 0 run list
golden list-json "list as JSON" 0 run list --json --top 2
golden list-sort "list, sorted by PID, the first three" 0 \
	run list --sort pid --top 3
golden pid "a process of the third generation" 0 run pid 102
golden pid-orphan "a daemon whose parent is gone" 0 run pid 200
golden pid-json "a process with an evil name, as JSON" 0 run pid 600 --json
golden sample "a sample of two, extrapolated" 0 run --sample 2

# ---- slabs that cannot be counted -----------------------------------------
tree
ln -s :A-0000064 "$tmp/tree/sys/kernel/slab/eventpoll_pwq"
golden merged "merged slab: withheld, with the bound" 0 run
ln -s :A-0000064 "$tmp/tree/sys/kernel/slab/fs_cache"
sed -i /^anon_vma_chain/d "$tmp/tree/proc/slabinfo"
has "merged slab under the name of another" 0 \
	"merged with eventpoll_pwq, fs_cache; at most 64" run
tree
rm -r "$tmp/tree/sys/kernel/slab"
has "no /sys/kernel/slab: withheld" 0 "cannot tell whether it is merged" run
rm "$tmp/tree/proc/slabinfo"
has "no slabinfo" 0 "this kernel has no /proc/slabinfo" run
slabinfo 's/^\(anon_vma  *[0-9]*\) .*/\1/'
golden malformed "a line of slabinfo cut short" 0 run
slabinfo 's/^\(anon_vma  *\)[0-9]*/\1-7/'
has "a negative number in slabinfo" 0 "malformed line in /proc/slabinfo" run
slabinfo 's/^\(anon_vma  *\)70/\1ff/'
has "letters for a number in slabinfo" 0 "malformed line in /proc/slabinfo" run
slabinfo 's/^\(anon_vma  *\)70/\179/'
has "more active objects than objects" 0 "malformed line in /proc/slabinfo" run
slabinfo 's/version: 2.1/version: 9/'
has "unknown version of slabinfo" 0 "has an unknown format" run
slabinfo d
has "empty slabinfo" 0 "has an unknown format" run

# ---- a patched kernel -----------------------------------------------------
tree patched
golden patched "patched: summary" 0 run
golden patched-json "patched: summary as JSON" 0 run --json
golden patched-list "patched: list" 0 run list
chmod 0 "$tmp"/tree/proc/sys/vm/anon_vma_lazy "$tmp"/tree/proc/slabinfo \
	"$tmp"/tree/sys/kernel/mm/anon_vma_lazy/*
golden patched-user "patched: what a user sees" 0 unprivileged \
	"$RMAPSTAT" --proc "$tmp/tree/proc" --sys "$tmp/tree/sys"
tree patched
rm "$tmp"/tree/proc/*/anon_rmap
echo 0 >"$tmp/tree/proc/sys/vm/anon_vma_lazy"
has "patched, switched off: all regular" 0 "for 6 regular processes" run

# ---- without root ---------------------------------------------------------
tree
chmod 0 "$tmp/tree/proc/slabinfo" "$tmp/tree/proc/1/smaps" \
	"$tmp/tree/proc/100/smaps"
for format in "" --json; do
	golden "user$format" "without root: lower bound $format" 0 \
		unprivileged "$RMAPSTAT" --proc "$tmp/tree/proc" \
		--sys "$tmp/tree/sys" $format
done
has "without root: another's process" 1 "process 100 is not readable" \
	unprivileged "$RMAPSTAT" --proc "$tmp/tree/proc" pid 100
tree
rm -r "$tmp/tree/proc/1"
has "PID 1 is hidden: lower bound" 0 "LOWER BOUND" run

# ---- odd processes --------------------------------------------------------
tree
has "no such process" 1 "there is no process 99" run pid 99
has "vanished process" 1 "there is no process 400" run pid 400
has "process that vanished after its stat was read" 1 \
	"there is no process 500" run pid 500
has "kernel thread" 1 "process 2 has no memory" run pid 2
has "zombie" 1 "process 300 has no memory" run pid 300
sed -i 's/ S 100 / S 102 /' "$tmp/tree/proc/101/stat"
has "parents in a circle" 0 "6 read" run
echo garbage >"$tmp/tree/proc/101/stat"
has "malformed stat counts as vanished" 0 "3 vanished" run
printf 'zz\n12-\n5-3 rw-p 0 0:0 0\n1000-2000 rw\n' >"$tmp/tree/proc/102/smaps"
has "malformed smaps holds no VMA" 0 '"vmas": 0, "vmas_anonymous": 0,' \
	run pid 102 --json
rm -r "$tmp/tree/proc"
has "no /proc" 1 "cannot open" run
mkdir "$tmp/tree/proc"
has "empty /proc" 1 "is it mounted?" run

# ---- usage ----------------------------------------------------------------
tree
has "unknown command" 2 "no command 'lst'" run lst
has "unknown option" 2 "rmapstat help" run --frobnicate
has "unknown sort key" 2 "no sort key 'size'" run list --sort size
has "pid without a number" 2 "pid needs" run pid
has "pid with a word" 2 "pid needs" run pid init
has "one argument too many" 2 "'2' is one argument too many" run pid 1 2
has "list with an argument" 2 "'x' is one argument too many" run list x
has "--top 0" 2 "--top needs a positive number" run list --top 0
has "unknown method" 2 "not 'magic'" run --method magic
has "pagemap where there is none" 1 "no PAGEMAP_SCAN" run --method pagemap
if [ -c /dev/full ]; then
	has "full disk" 1 "cannot write" \
		sh -c "\"\$1\" help >/dev/full" sh "$RMAPSTAT"
else
	skip "full disk" "no /dev/full"
fi

# ---- help and manual agree ------------------------------------------------
"$RMAPSTAT" help >"$tmp/help"
missing=
for word in summary list pid help --json --sort --top --full --sample --method \
	--help --version; do
	grep -q -e "^  $word\|, $word" "$tmp/help" || missing="$missing $word"
	sed 's/\\-/-/g' "$dir/rmapstat.8" | grep -q -e "^\.[A-Z].*$word" ||
		missing="$missing $word(manual)"
done
if [ -z "$missing" ]; then
	ok "help and manual name every command and option"
else
	not_ok "help and manual name every command and option"
	echo "# missing:$missing"
fi

if command -v jq >/dev/null; then
	tree patched
	bad=
	for args in "" list "pid 600" "pid 102" "--sample 1"; do
		# shellcheck disable=SC2086
		run --json $args | jq -e .rmapstat >/dev/null || bad="$bad '$args'"
	done
	if [ -z "$bad" ]; then
		ok "JSON parses"
	else
		not_ok "JSON parses"
		echo "# not:$bad"
	fi
else
	skip "JSON parses" "no jq"
fi

# ---- scale: 5,000 processes of 400 VMAs -----------------------------------
now() { date +%s%3N; }

# quick LIMIT-IN-MS TEST STRING COMMAND...
quick() {
	limit=$1 name=$2 want=$3 begin=$(now)
	shift 3
	has "$name" 0 "$want" "$@"
	took=$(($(now) - begin))
	cp "$tmp/got" "$tmp/quick"
	if [ -n "${SLOW:-}" ]; then
		skip "$name in $((limit / 1000)) seconds" "SLOW is set"
	elif [ $took -le "$limit" ]; then
		ok "$name in $((limit / 1000)) seconds"
	else
		not_ok "$name in $((limit / 1000)) seconds"
	fi
	echo "# took $took ms"
}

# smaps N: what each of the many processes maps
smaps() {
	awk -v n="$1" 'BEGIN {
		for (i = 1; i < n; i++) {
			printf "%x0000-%x8000 rw-p 00000000 00:00 0 \n", i, i
			for (k = 0; k < 22; k++)
				printf "%-16s%8d kB\n",
				       k == 9 ? "Anonymous:" : "Key" k ":",
				       i % 2 * 4
		}
		print "7ffe33000000-7ffe33021000 rw-p 0 00:00 0    [stack]"
		print "Anonymous:            16 kB"
	}' >"$tmp/smaps"
}

tree
if "${CC:-cc}" -o "$tmp/manyprocs" "$data/manyprocs.c"; then
	"$tmp/manyprocs" "$tmp/tree/proc" 5000 "$tmp/smaps"
	smaps 4000
	quick 2000 "5,000 large processes: summary" "the rest extrapolated" run
	smaps 400
	quick 30000 "5,000 processes: list" "5,006 read" \
		run list --sort generation --top 1
	has "5,000 processes: a line of 99 forks" 0 \
		"100     400     201      201    19900" cat "$tmp/quick"
else
	skip "5,000 processes" "no C compiler"
fi

# ---- this machine ---------------------------------------------------------
sleep 100 &
child=$!
# loaded, and asleep for good
while ! grep -q "(sleep) S" /proc/$child/stat; do
	sleep 0.1
done
"$RMAPSTAT" pid $child --method smaps >"$tmp/smaps-live" || : >"$tmp/smaps-live"
if ! grep -q '\[stack\]' "$tmp/smaps-live"; then
	not_ok "live: smaps finds the stack"
	sed 's/^/# /' "$tmp/smaps-live"
else
	ok "live: smaps finds the stack"
fi
if "$RMAPSTAT" --method pagemap pid $child >"$tmp/pagemap-live" 2>"$tmp/err"; then
	if cmp -s "$tmp/smaps-live" "$tmp/pagemap-live"; then
		ok "live: PAGEMAP_SCAN and smaps agree"
	else
		not_ok "live: PAGEMAP_SCAN and smaps agree"
		diff "$tmp/smaps-live" "$tmp/pagemap-live" | sed 's/^/# /' || true
	fi
elif grep -q "no PAGEMAP_SCAN" "$tmp/err"; then
	skip "live: PAGEMAP_SCAN and smaps agree" "kernel before 6.7"
else
	not_ok "live: PAGEMAP_SCAN and smaps agree"
	sed 's/^/# /' "$tmp/err"
fi
kill $child
wait $child 2>/dev/null || true

: >"$tmp/churn"
(while [ -e "$tmp/churn" ]; do /bin/true; done) &
child=$!
bad=0 i=0
while [ $i -lt 40 ]; do
	"$RMAPSTAT" list >"$tmp/got" 2>&1 || bad=$((bad + 1))
	i=$((i + 1))
done
rm "$tmp/churn"
wait $child
if [ $bad = 0 ]; then
	ok "live: processes that come and go are no error"
else
	not_ok "live: processes that come and go are no error"
	echo "# $bad of 40 runs failed; the last output:"
	sed 's/^/# /' "$tmp/got"
fi

echo "1..$count"
[ $failed = 0 ]
