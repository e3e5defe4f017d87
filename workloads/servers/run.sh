#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# servers RESULTS: PostgreSQL with CLIENTS clients that have each done
# TRANSACTIONS transactions and wait, and Redis with KEYS keys, its BGSAVE
# child stopped half-way and a part of the keys overwritten by the parent:
# one sample there. Then both go on, and what they kept is checked. Runs in
# the guest, as root.
set -eu
. "${0%/*}/../lib.sh"

CLIENTS=${CLIENTS:-50}
TRANSACTIONS=${TRANSACTIONS:-20}
KEYS=${KEYS:-200000}
BRANCHES=${BRANCHES:-2}		# pgbench's scale: as many rows to contend for
LOCK=4711			# advisory lock on which the clients wait
PORT2=6390			# of the Redis that reads the saved file back

PGBIN=$(find /usr/lib/postgresql/*/bin -name pgbench 2>/dev/null | sort | tail -n 1)
[ -n "$PGBIN" ] || die "no pgbench below /usr/lib/postgresql" \
	"add the package postgresql-contrib to the image"
PGBIN=${PGBIN%/pgbench}

tmp=$(mktemp -d)
chmod 755 "$tmp"
pgbench_pid='' holder_pid='' child='' redis2_pid=''
cleanup()
{
	[ -z "$child" ] || kill -CONT "$child" 2>/dev/null || :
	for _p in $pgbench_pid $holder_pid $redis2_pid; do
		kill "$_p" 2>/dev/null || :
	done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# words before a command that make it run as PostgreSQL's user
AS_POSTGRES="/usr/bin/setpriv --reuid postgres --regid postgres --init-groups -- env -C /tmp"

sql()
{
	$AS_POSTGRES psql -XAtq -v ON_ERROR_STOP=1 -d bench -c "$1"
}

redis()
{
	redis-cli "$@"
}

# redis_field SECTION FIELD
redis_field()
{
	redis INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"
}

quiet
sample servers-before

# ---- Redis: the keys ----

t0=$(now)
[ "$(redis PING)" = PONG ] || die "Redis does not answer" "systemctl status redis-server"
redis CONFIG SET save '' >/dev/null
redis FLUSHALL >/dev/null
i=0
while [ "$i" -lt 10 ]; do
	redis EVAL "for i = ARGV[1] + 1, ARGV[2] do redis.call('SET', 'key:' .. i, 'first:' .. i) end" \
		0 $((i * KEYS / 10)) $(((i + 1) * KEYS / 10)) >/dev/null
	i=$((i + 1))
done
n=$(redis DBSIZE)
[ "$n" = "$KEYS" ] || die "Redis holds $n keys, must be $KEYS"
say "Redis holds $n keys ($(($(now) - t0)) s)"

# ---- PostgreSQL: the clients, each up to its last transaction ----

t0=$(now)
{ $AS_POSTGRES dropdb --if-exists bench && $AS_POSTGRES createdb bench; } 2>"$tmp/err" ||
	die "no database: $(cat "$tmp/err")" "systemctl status 'postgresql@*'"
$AS_POSTGRES "$PGBIN/pgbench" -i -q -s "$BRANCHES" bench >"$tmp/init" 2>&1 ||
	die "pgbench -i: $(tail -n 3 "$tmp/init")"
say "PostgreSQL is filled ($(($(now) - t0)) s)"

cat >"$tmp/bench.sql" <<EOF
\\set aid random(1, 100000 * $BRANCHES)
\\set bid random(1, 1 * $BRANCHES)
\\set tid random(1, 10 * $BRANCHES)
\\set delta random(-5000, 5000)
\\set n :n + 1
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
\\if :n = $TRANSACTIONS
SELECT pg_advisory_lock_shared($LOCK);
\\endif
EOF
chmod 644 "$tmp/bench.sql"

# One session holds the lock until its input ends
t0=$(now)
mkfifo "$tmp/holder"
$AS_POSTGRES psql -XAtq -d bench <"$tmp/holder" >"$tmp/holder.out" 2>&1 &
holder_pid=$!
exec 5>"$tmp/holder"
echo "SELECT pg_advisory_lock($LOCK);" >&5
held()
{
	[ "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $LOCK AND granted")" = 1 ]
}
wait_until 30 "the lock" held ||
	die "no session got the advisory lock: $(cat "$tmp/holder.out")"

$AS_POSTGRES env PGOPTIONS='-c synchronous_commit=off' "$PGBIN/pgbench" -n \
	-c "$CLIENTS" -j 1 -t "$TRANSACTIONS" --random-seed=1 -D n=0 \
	-f "$tmp/bench.sql" bench >"$tmp/pgbench" 2>&1 &
pgbench_pid=$!
waiting()
{
	kill -0 "$pgbench_pid" 2>/dev/null ||
		die "pgbench ended early: $(tail -n 5 "$tmp/pgbench")"
	[ "$(sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $LOCK AND NOT granted")" = "$CLIENTS" ]
}
wait_until 180 "the clients" waiting ||
	die "not all of the $CLIENTS clients came to the end of transaction $TRANSACTIONS within 180 s"
say "$CLIENTS clients have done $TRANSACTIONS transactions each ($(($(now) - t0)) s)"

# ---- Redis: a child that saves while its parent writes ----

t0=$(now)
redis_pid=$(redis_field server process_id)
# now and then a sleep of a microsecond: the child cannot be done before the stop
redis CONFIG SET rdb-key-save-delay -20 >/dev/null
redis BGSAVE >/dev/null
child=$(pgrep -P "$redis_pid") || die "BGSAVE forked no child"
kill -STOP "$child" ||
	die "BGSAVE was over before its child could be stopped"
[ "$(redis_field persistence rdb_bgsave_in_progress)" = 1 ] ||
	die "BGSAVE was over before its child could be stopped"
redis EVAL "for i = 1, ARGV[1], 10 do redis.call('SET', 'key:' .. i, 'second:' .. i) end" \
	0 "$KEYS" >/dev/null
say "BGSAVE's child is stopped, every tenth key overwritten ($(($(now) - t0)) s)"

sleep 2
sample servers

# ---- both go on to their ends, and are checked ----

t0=$(now)
kill -CONT "$child"
saved()
{
	[ "$(redis_field persistence rdb_bgsave_in_progress)" = 0 ]
}
wait_until 120 "BGSAVE" saved || die "BGSAVE has not ended after 120 s"
child=
[ "$(redis_field persistence rdb_last_bgsave_status)" = ok ] ||
	die "BGSAVE failed" "journalctl -u redis-server"
redis CONFIG SET rdb-key-save-delay 0 >/dev/null

# count_keys PREFIX STEP REDIS-CLI-OPTIONS...: how many keys hold PREFIX
count_keys()
{
	_prefix=$1 _step=$2
	shift 2
	redis-cli "$@" EVAL "local n = 0 for i = 1, ARGV[1], ARGV[3] do if redis.call('GET', 'key:' .. i) == ARGV[2] .. i then n = n + 1 end end return n" \
		0 "$KEYS" "$_prefix" "$_step"
}

n=$(count_keys second: 10)
[ "$n" -eq $((KEYS / 10)) ] || die "Redis holds $n of $((KEYS / 10)) overwritten keys"
# the file must be as the fork saw it: all keys, not one overwritten
dir=$(redis CONFIG GET dir | tail -n 1)
cp "$dir/dump.rdb" "$tmp/dump.rdb"
redis-server --port "$PORT2" --dir "$tmp" --save '' --daemonize no \
	>"$tmp/redis2" 2>&1 &
redis2_pid=$!
loaded()
{
	[ "$(redis-cli -p "$PORT2" PING 2>/dev/null)" = PONG ]
}
wait_until 60 "the second Redis" loaded ||
	die "the saved file cannot be loaded: $(tail -n 5 "$tmp/redis2")"
n=$(redis-cli -p "$PORT2" DBSIZE)
[ "$n" = "$KEYS" ] || die "the saved file holds $n keys, must be $KEYS"
n=$(count_keys first: 10 -p "$PORT2")
[ "$n" -eq $((KEYS / 10)) ] ||
	die "of $((KEYS / 10)) keys overwritten during BGSAVE, the saved file holds $n as they were when it was begun"
redis-cli -p "$PORT2" SHUTDOWN NOSAVE
wait "$redis2_pid" || :
redis2_pid=
redis FLUSHALL >/dev/null
say "the saved file holds all $KEYS keys as they were ($(($(now) - t0)) s)"

t0=$(now)
echo "SELECT pg_advisory_unlock($LOCK);" >&5
exec 5>&-
wait "$holder_pid" || die "psql: $(cat "$tmp/holder.out")"
holder_pid=
wait "$pgbench_pid" || die "pgbench: $(tail -n 5 "$tmp/pgbench")"
pgbench_pid=
n=$(sql 'SELECT count(*) FROM pgbench_history')
[ "$n" -eq $((CLIENTS * TRANSACTIONS)) ] ||
	die "$n transactions are in the history, must be $((CLIENTS * TRANSACTIONS))"
n=$(sql 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = s AND
		(SELECT sum(bbalance) FROM pgbench_branches) = s AND
		(SELECT sum(tbalance) FROM pgbench_tellers) = s
	FROM (SELECT sum(delta) AS s FROM pgbench_history) AS h')
[ "$n" = t ] || die "the balances do not add up to the history"
$AS_POSTGRES dropdb bench
say "$((CLIENTS * TRANSACTIONS)) transactions add up ($(($(now) - t0)) s)"

sleep 2
sample servers-after
