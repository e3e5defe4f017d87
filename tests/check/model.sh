#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The locking protocol, model/*.pml, searched completely by Spin: without an
# error as it is, and with the right error for each mutation (model/RUNS).
# cost: 40
#
#   tests/check/model.sh [MODEL]	only the runs of that model
#   TRAIL=1				print how each mutation goes wrong
set -eu
export LC_ALL=C
. "${0%/*}/../workloads/tap.sh"

only=${1:-}
model=$TOP/model
for tool in spin "${CC:-cc}"; do
	command -v "$tool" >/dev/null 2>&1 ||
		skip_all "no $tool: scripts/setup installs the Debian packages"
done

# check NUMBER MODEL DEFINITIONS: search, leave what was found in $TMP/NUMBER/.
# A function of its own process: two of them run at a time.
cat >"$TMP/check" <<'EOF'
set -eu
n=$1 name=$2 defs=$3
dir=$TMP/$n
mkdir "$dir"
cd "$dir"
flags=
[ "$defs" = - ] || flags=$(printf '%s\n' "$defs" | sed 's/^/-D/; s/,/ -D/g')
# Compiling costs more than searching.
# -DSAFETY: no cycles. Never -DBITSTATE or -DHC, which would skip states.
# shellcheck disable=SC2086
{
	spin -a $flags "$model/$name.pml" &&
	"${CC:-cc}" -O0 -w -DSAFETY -DMEMLIM=2000 -o pan pan.c
} >build 2>&1 || { echo "cannot be built" >verdict; exit 0; }
timeout 120 ./pan -n -m100000 -w22 >out 2>&1 || echo "checker: status $?" >>out

states=$(awk '/states, stored/ { print $1; exit }' out)
depth=$(sed -n 's/.*depth reached \([0-9]*\).*/\1/p' out)
time=$(sed -n 's/.*elapsed time \([0-9.]*\).*/\1/p' out)
echo "${states:-?} states, depth ${depth:-?}, ${time:-?} s" >figures

if grep -q 'invalid end state (' out; then
	echo deadlock
elif grep -q 'assertion violated' out; then
	# The last name in the assertion is the property
	sed -n 's/.*assertion violated.*||\([a-z_]*\)) (at depth.*/\1/p' out | head -n 1
elif grep -qiE 'max search depth|not completed|truncated|memlim|out of memory|checker: status|error:|bit statespace|hash-?compact' out; then
	echo "search not complete"
elif grep -q 'errors: 0' out && grep -q 'Full statespace search' out; then
	echo nothing
fi >verdict
[ -s verdict ] || echo "an error without a name" >verdict
if [ -n "${TRAIL:-}" ] && [ -f "$name.pml.trail" ]; then
	# shellcheck disable=SC2086
	spin -p -k "$name.pml.trail" $flags "$model/$name.pml" >trail 2>&1 || :
fi
rm -f pan pan.?
EOF
export TMP model

grep -vE '^(#|[[:space:]]*$)' "$model/RUNS" |
	awk -v only="$only" 'only == "" || $1 == only' >"$TMP/runs"
[ -s "$TMP/runs" ] || { echo "Bail out! no runs for \"$only\" in $model/RUNS"; exit 1; }
awk '{ print NR, $1, $2, $3 }' "$TMP/runs" | xargs -P 2 -L 1 sh "$TMP/check"

n=0
while IFS= read -r line; do
	n=$((n + 1))
	# shellcheck disable=SC2086 # columns
	set -- ${line%%: *}
	name=$1 defs=$2 want=$3
	have=$(cat "$TMP/$n/verdict" 2>/dev/null || echo "no verdict")
	case $want in
	nothing) what="$name $defs: no property is violated" ;;
	*)	what="$name $defs: $want (${line#*: })" ;;
	esac
	if [ "$have" = "$want" ]; then
		ok "$what"
	else
		{
			echo "wanted: $want"
			echo "have:   $have"
			cat "$TMP/$n/build" "$TMP/$n/out" 2>/dev/null | tail -n 30
		} >"$TMP/why"
		not_ok "$what" "$TMP/why"
	fi
	echo "# $(cat "$TMP/$n/figures" 2>/dev/null || :)"
	[ ! -f "$TMP/$n/trail" ] || sed 's/^/# /' "$TMP/$n/trail"
done <"$TMP/runs"

if [ -n "$only" ]; then
	finish
	exit
fi

# Each mutation of a model has a run, and each run means something to its model
awk '{ n = split($2, d, ","); for (i = 1; i <= n; i++) {
	sub(/=.*/, "", d[i]); if (d[i] != "-") print $1, d[i] } }' "$TMP/runs" |
	sort -u >"$TMP/used"
for f in "$model"/*.pml; do
	name=${f##*/} name=${name%.pml}
	[ "$name" != lib ] || continue
	grep -E "^#(if|elif)" "$f" | grep -oE "[A-Z][A-Z_]*[A-Z]" | sed "s/^/$name /"
done | grep -vE ' (NR_ANON|NR_TASKS)$' | sort -u >"$TMP/offered"
same "every mutation has a run" "$TMP/offered" "$TMP/used"

# A name that is gone from the code: the model may be out of date
grep -ohE "(^|[^a-z_])_*anon_rmap_[a-z_]+\\(\\)" "$model"/*.pml "$model/README.md" |
	sed "s/[^a-z_]//g" | sort -u |
	while IFS= read -r f; do
		grep -hE '^\+' "$TOP"/series/*/*.patch | cat - "$TOP"/linux/mm/*.[ch] "$TOP"/linux/include/linux/*.h |
			grep -qw -- "$f" || echo "$f()"
	done >"$TMP/gone"
if [ -s "$TMP/gone" ]; then
	not_ok "the functions that the models name are in the code" "$TMP/gone"
else
	ok "the functions that the models name are in the code"
fi
finish
