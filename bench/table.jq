# SPDX-License-Identifier: GPL-2.0-only
# bench.json to text: all cases with their ratios, then the targets

def pad($n): tostring | . + (" " * ([$n - length, 0] | max));
def lpad($n): tostring | (" " * ([$n - length, 0] | max)) + .;
def num: if . == null then "-" elif . >= 100 then round | tostring else (. * 100 | round) / 100 | tostring end;
def fixed3: if . == null then "-" else (. * 1000 | round) as $n | "\($n / 1000 | floor).\(("000" + ($n % 1000 | tostring))[-3:])" end;
def ratio($a; $b): if $a == null or $b == null or $b == 0 then null else $a / $b end;

("case" | pad(40)) + ("size" | lpad(8)) + ("unpatched" | lpad(12)) + ("off" | lpad(12)) + ("on" | lpad(12))
  + ("off/unp" | lpad(9)) + ("on/unp" | lpad(9)) + ("spread %" | lpad(10)) + "  unit",
(.cases[] | select(.name | startswith("locks.") | not) | (.name | pad(40)) + ((if .size > 0 then .size else "" end) | lpad(8))
  + (.unpatched | num | lpad(12)) + (.off | num | lpad(12)) + (.on | num | lpad(12))
  + (ratio(.off; .unpatched) | fixed3 | lpad(9)) + (ratio(.on; .unpatched) | fixed3 | lpad(9))
  + (([.spread[] | . // 0] | max * 1000 | round / 10) | lpad(10)) + "  " + .unit),
"",
("target (on / unpatched)" | pad(70)) + ("value" | lpad(9)) + ("limit" | lpad(7)) + "  met",
(.targets[] | (.name | pad(70)) + (.value | fixed3 | lpad(9)) + (.limit | lpad(7))
  + "  " + (if .value == null then "not measured" elif .met == null then "undecided" elif .met then "yes" else "NO" end)
  + (if .note == "" then "" else " (\(.note))" end)),
"",
(.walks[] | "worst factor, \(.walk): \(.factor) (\(.name)\(if .size > 0 then ", \(.size)" else "" end))"),
([.cases[] | select(.name | startswith("locks.")) | select((.unpatched // 0) + (.off // 0) + (.on // 0) > 0)]
  | if length == 0 then empty else
    "", ("locks (kernel \"lockstat\"; what was never taken is not listed)" | pad(66)) + ("unpatched" | lpad(12)) + ("off" | lpad(12)) + ("on" | lpad(12)) + "  unit",
    (.[] | (.name | ltrimstr("locks.") | pad(66)) + (.unpatched | num | lpad(12)) + (.off | num | lpad(12)) + (.on | num | lpad(12)) + "  " + .unit),
    "" end),
(.failed[] | "FAILED: \(.name) \(.size), \(.mode): \(.why)")
