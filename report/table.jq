# SPDX-License-Identifier: GPL-2.0-only
# The printed table, as lines of tab-separated cells, of a report.json.

def kb: . / 1024 | if . >= 100 then round | tostring else . * 10 | round | . / 10 | tostring | if test("[.]") then . else . + ".0" end end;
def pct: if . == null then "-" else (. * 10 | round) as $n
  | (if $n < 0 then "-" else "+" end) + ($n | fabs | "\(. / 10 | floor).\(. % 10)") end;
def chains: .slabs.anon_vma_chain.bytes + .slabs.anon_vma_mm_link.bytes;
def first_series($s; $k): if $s.published then $s.published[$k] | pct else "-" end;

. as $r
| def run($w; $m): $r.runs[] | select(.workload == $w and .mode == $m);
  def line($w; $what; f; $key):
    first($r.savings[] | select(.workload == $w)) as $on
    | first($r.savings_off[] | select(.workload == $w)) as $off
    | [$w, $what, (run($w; "unpatched") | f | kb), (run($w; "off") | f | kb), (run($w; "on") | f | kb),
       ($off[$key] | pct), ($on[$key] | pct),
       (if $key == "rmap_bytes_pct" then "-" else first_series($on; $key) end)];
  [ "workload", "KB of", "unpatched", "off", "on", "off %", "on %", "first series %" ],
  ( [$r.savings[].workload][] as $w
    | line($w; "anon_vma"; .slabs.anon_vma.bytes; "anon_vma_pct"),
      line($w; "anon_vma_chain + links"; chains; "anon_vma_chain_pct"),
      line($w; "vm_area_struct"; .slabs.vm_area_struct.bytes; "vm_area_struct_pct"),
      line($w; "all of rmap"; .rmap_bytes; "rmap_bytes_pct"),
      [$w, "(processes / VMAs)", (("unpatched", "off", "on") as $m | run($w; $m) | "\(.processes) / \(.vmas)"), "", "", ""] )
| @tsv
