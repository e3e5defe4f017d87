#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# boot RESULTS: the system is up, its services answer, nothing happens for ten
# seconds; then one sample. Runs in the guest, as root.
set -eu
. "${0%/*}/../lib.sh"

SERVICES=${SERVICES:-"postgresql nginx redis-server"}
QUIET=${QUIET:-10}

system_up()
{
	_state=$(systemctl is-system-running 2>/dev/null) || :
	[ "$_state" = running ] || [ "$_state" = degraded ]
}

wait_until 180 "the system" system_up ||
	die "the system is \"$_state\" after 180 s; unfinished jobs: $(systemctl list-jobs --no-legend 2>&1)" \
	    "make shell, then: systemctl list-jobs"
systemctl is-active --quiet multi-user.target ||
	die "multi-user.target is not active" "make shell, then: systemctl status multi-user.target"
[ "$_state" = running ] ||
	die "failed units: $(systemctl list-units --failed --plain --no-legend | cut -d' ' -f1 | tr '\n' ' ')" \
	    "make shell, then: systemctl status UNIT"

for service in $SERVICES; do
	systemctl is-active --quiet "$service" ||
		die "service $service is not active" \
		    "make shell, then: systemctl status $service"
done

quiet
sleep "$QUIET"
sample boot
