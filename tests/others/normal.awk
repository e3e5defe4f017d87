# SPDX-License-Identifier: GPL-2.0-only
# Output of one program -> what is compared: its results, without what differs
# from run to run (times, addresses, sizes, process ids, colours, rows of dots).
{ gsub(/\r/, ""); gsub(/\033\[[0-9;]*m/, ""); gsub(/\.\.\.+/, "...") }
/^(not )?ok [0-9]/ || /^# *(Totals|SKIP|FAIL|PASS)/ || /^1\.\.[0-9]+/ ||
/\.\.\. *(done|skipped|failed|ok|OK|fail)/ || /(^|[^A-Za-z])(PASS|FAIL|SKIP|OK|Fail|Success)([^A-Za-z]|$)/ ||
/stress-ng: (fail|error)/ || /(skipped|passed|failed): [0-9]/ || /^Testing / {
	sub(/^stress-ng: (info|fail|error): *\[[0-9]+\]/, "stress-ng: \\1")
	gsub(/0x[0-9a-f]+/, "ADDR")
	gsub(/Extra pages [0-9]+/, "Extra pages N")
	gsub(/extra thread faults [0-9]+/, "extra thread faults N")
	gsub(/[0-9]+\.[0-9]+ *(s|secs?|ms|MB\/s|MiB\/s)?/, "N")
	gsub(/[0-9]+ (ms|us|ns|secs?|seconds|bytes|kB|MB)/, "N")
	print
}
END { print "status " status }
