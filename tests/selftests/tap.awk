# SPDX-License-Identifier: GPL-2.0-only
# What a guest printed (tests/selftests/in-guest) -> one TAP stream without a
# plan. Variables: first, number of the last check before; guest, its name; rc,
# status of the guest; plan, file with the programs that had to run; audit, is
# there one in this kernel?

function result(good, text)
{
	printf "%s %d - %s: %s\n", good ? "ok" : "not ok", ++first, guest, text
}

# The end of a program, as it should be or not
function finish(status, seconds,	i)
{
	if (wanted < 0)
		result(0, program " printed no plan, status " status)
	else if (wanted == 0)
		result(0, program " has no test for these arguments")
	else if (seen != wanted)
		result(0, program " gave " seen " of " wanted " results, status " status)
	else if (status != 0 && !bad)
		result(0, program " ended with status " status)
	else
		result(1, program " is complete: " passed " passed, " skipped " skipped in " seconds " s" \
			(passed ? "" : " # SKIP nothing ran"))
	program = ""
}

BEGIN {
	while ((getline line <plan) > 0) {
		split(line, word, " ")
		if (word[1] != "" && word[1] !~ /^#/)
			expected[++nr_expected] = word[1]
	}
}

$1 == "@@" && $2 == "begin" {
	if (program != "")
		finish("unknown", "?")
	program = $3
	begun[program] = 1
	wanted = -1
	seen = bad = passed = skipped = 0
	next
}

$1 == "@@" && $2 == "end" {
	if (program == $3)
		finish($4, $5)
	next
}

$1 == "@@" && $2 == "done" { done = 1; next }

program == "" { print "# " $0; next }

/^1\.\.[0-9]+$/ { wanted = substr($0, 4) + 0; next }

/^(not )?ok [0-9]+ / {
	seen++
	text = $0
	sub(/^(not )?ok [0-9]+ (- )?/, "", text)
	if (audit && text ~ /^audit\..*# *SKIP/) {
		bad++
		result(0, program ": this kernel has an audit: " text)
	} else if ($1 == "not") {
		bad++
		result(0, program ": " text)
	} else {
		if (text ~ /# *SKIP/)
			skipped++
		else
			passed++
		result(1, program ": " text)
	}
	next
}

/^# +(RUN|OK) / || /^# RU_SEED/ || /^$/ { next }
{ print "# " $0 }

END {
	if (program != "")
		finish("unknown", "?")
	for (i = 1; i <= nr_expected; i++)
		if (!(expected[i] in begun))
			result(0, expected[i] " did not run")
	if (!done)
		result(0, "the guest did not get to the end of the plan")
	result(rc == 0, "the guest ended well (status " rc ")")
}
