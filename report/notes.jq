# SPDX-License-Identifier: GPL-2.0-only
# What a reader must know beside the figures: one line for each note.

def same($a; $b): [$a, $b] | map({slabs: (.slabs | map_values([.objects, .object_size])), rmap_bytes}) | .[0] == .[1];

. as $r
| ( if $r.feature | not then
      "This kernel does not have the feature yet: \"off\" and \"on\" are the same code, their differences are noise."
    elif [$r.runs[] | select(.mode == "on")] | all(. as $on | any($r.runs[]; .mode == "off" and .workload == $on.workload and same(.; $on))) then
      "\"off\" and \"on\" are equal in every figure: switching the feature on had no effect."
    else empty end ),
  ( ($r.runs + $r.curve)[] | select(.settled | not)
    | "\(.workload)\(if .scale then " at scale \(.scale)" else "" end), \(.mode): the figures did not settle; something was running." ),
  ( $r.runs[] | . as $run | .slabs | to_entries[] | select((.value.cpu_slabs // 0) > 0)
    | select(.key == "anon_vma" or .key == "anon_vma_chain" or .key == "anon_vma_mm_link")
    | "\($run.workload), \($run.mode): \(.value.cpu_slabs) slab(s) of \(.key) were in per-CPU lists; its free objects there count as used." ),
  ( $r.curve[] | select(.check and .check.pages_wrong > 0)
    | "apps24 at scale \(.scale), \(.mode): \(.check.pages_wrong) pages had wrong content." )
