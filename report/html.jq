# SPDX-License-Identifier: GPL-2.0-only
# The page, of a report.json and what was made of it: $table, $notes, the plots
# $bars, $objects, $curve, $bench (what it costs, or nothing), and $style.

def esc: tostring | @html;
def rows: split("\n") | map(select(length > 0));
def pct: if . == null then "–" else (. * 10 | round) as $n
  | (if $n < 0 then "−" else "+" end) + ($n | fabs | "\(. / 10 | floor).\(. % 10)") + " %" end;
def minus: sub("^-(?<d>[0-9])"; "−\(.d)");
def th: .[0:2] as $l | ($l | map("<th class=\"l\">\(esc)</th>") | join(""))
  + (.[2:] | map("<th>\(esc)</th>") | join(""));
def td($first; $what):
  . as $c | [range(0; $c | length)] | map(
    . as $i | ($c[$i]) as $v
    | if $i == 0 then "<td class=\"l\">\(if $first then $v | esc else "" end)</td>"
      elif $i == 1 then "<td class=\"l\">\($v | esc)</td>"
      elif $i == 6 and $what != "vm_area_struct" and ($v | test("^-[0-9.]*[1-9]")) then "<td class=\"good\">\($v | minus | esc)</td>"
      elif $i == 6 and $what != "vm_area_struct" and ($v | test("^[+][0-9.]*[1-9]")) then "<td class=\"bad\">\($v | esc)</td>"
      else "<td\(if $i == 7 then " class=\"dim\"" else "" end)>\($v | minus | esc)</td>" end) | join("");
def table_html:
  rows | map(split("\t")) as $t
  | "<div class=\"scroll\"><table><thead><tr>\($t[0] | th)</tr></thead><tbody>"
    + ([range(1; $t | length)] | map(. as $i | ($t[$i][0] != $t[$i - 1][0]) as $first
        | "<tr\(if $first then " class=\"first\"" else "" end)>\($t[$i] | td($first; .[1]))</tr>") | join(""))
    + "</tbody></table></div>";
def figure($svg; $caption): if ($svg | length) == 0 then "" else "<figure>\($svg)<figcaption>\($caption | esc)</figcaption></figure>" end;
def n: tostring | [match("^(\\d{1,3})((?:\\d{3})*)$").captures[].string] | if length == 0 then "" else .[0] + (.[1] | gsub("(?<d>\\d{3})"; "\u202f\(.d)")) end;
def num: . as $v | if type == "number" and . >= 0 and floor == . then n else ($v | tostring | minus) end;

. as $r
| (first($r.savings[] | select(.workload == "apps24")) // $r.savings[0]) as $main
| "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>ANON_VMA_LAZY: what it saves</title><style>\n\($style)</style></head><body>
<h1>What ANON_VMA_LAZY saves</h1>
<p class=\"sub\">Linux \($r.kernel.release | esc), \($r.kernel.arch | esc), Debian 12 guest, \(if $r.accel == "kvm" then "KVM" else "software emulation" end). Slab caches measured in three boots: an unpatched kernel of the same configuration, the patched one with <code>anon_vma_lazy=off</code>, and with <code>anon_vma_lazy=on</code>.</p>
" + ($notes | rows | map("<p class=\"note\">\(esc)</p>") | join("\n")) + (
if $main then "
<div class=\"cards\">
<div class=\"card\"><b>\($main.anon_vma_pct | pct)</b><span>anon_vma, \($main.workload | esc), on</span></div>
<div class=\"card\"><b>\($main.anon_vma_chain_pct | pct)</b><span>anon_vma_chain and links</span></div>
<div class=\"card\"><b>\($main.vm_area_struct_pct | pct)</b><span>vm_area_struct</span></div>
<div class=\"card\"><b>\($main.rmap_bytes_pct | pct)</b><span>all memory spent on anonymous rmap</span></div>
</div>
<h2>Memory in KB, before and after</h2>
\($table | table_html)
<p class=\"sub\">Active objects × object size, after the caches were shrunk. “all of rmap” adds what every mm_struct and vm_area_struct grew by against the unpatched kernel. Layouts are randomised as on any system, so that boots of one kernel differ by up to one in a hundred VMAs. The last column: changes published for the first series; the workloads are alike, not the same.</p>
\(figure($bars; "Memory of anonymous reverse mapping by workload and mode, stacked by what holds it."))" else "" end) + (
if ($curve | length) > 0 then "
<h2>How it grows</h2>
\(figure($curve; "All memory of anonymous reverse mapping while apps24 runs, over the number of VMAs. SCALE multiplies apps and the mappings of each."))
\(figure($objects; "anon_vma objects in the same runs."))" else "" end) + "
<h2>Objects</h2>
<div class=\"scroll\"><table><thead><tr><th class=\"l\">workload</th><th class=\"l\">mode</th><th>processes</th><th>VMAs</th><th>anon_vma</th><th>anon_vma_chain</th><th>links</th><th>vm_area_struct</th><th>mm_struct</th><th>maple_node</th></tr></thead><tbody>"
+ ([($r.runs + ($r.curve | map(select(.scale > 1))))[]
    | . as $x | "\(.workload)\(if (.scale // 1) > 1 then " ×\(.scale)" else "" end)" as $w
    | "<tr\(if .mode == "unpatched" then " class=\"first\"" else "" end)><td class=\"l\">\(if .mode == "unpatched" then $w | esc else "" end)</td><td class=\"l\">\(.mode)</td>"
      + ([.processes, .vmas, (.slabs | .anon_vma, .anon_vma_chain, .anon_vma_mm_link, .vm_area_struct, .mm_struct, .maple_node | .objects)] | map("<td>\(num)</td>") | join("")) + "</tr>"] | join("\n"))
+ "</tbody></table></div>
<h2>Whole slab pages, in KB</h2>
<div class=\"scroll\"><table><thead><tr><th class=\"l\">workload</th><th class=\"l\">mode</th><th>anon_vma</th><th>anon_vma_chain</th><th>links</th><th>vm_area_struct</th><th>mm_struct</th><th>maple_node</th></tr></thead><tbody>"
+ ([$r.runs[] | "<tr\(if .mode == "unpatched" then " class=\"first\"" else "" end)><td class=\"l\">\(if .mode == "unpatched" then .workload | esc else "" end)</td><td class=\"l\">\(.mode)</td>"
      + ([(.slabs | .anon_vma, .anon_vma_chain, .anon_vma_mm_link, .vm_area_struct, .mm_struct, .maple_node | .page_bytes / 1024)] | map("<td>\(num)</td>") | join("")) + "</tr>"] | join("\n"))
+ "</tbody></table></div>" + (
if ($r.residual | length) > 0 then "
<h2>What is left afterwards</h2>
<p>Objects more (or fewer) when a workload had ended than before it began. Services' own growth shows here; a leak would grow with SCALE.</p>
<div class=\"scroll\"><table><thead><tr><th class=\"l\">workload</th><th class=\"l\">mode</th><th>anon_vma</th><th>anon_vma_chain</th><th>links</th><th>vm_area_struct</th><th>mm_struct</th></tr></thead><tbody>"
  + ([$r.residual[] | "<tr\(if .mode == "unpatched" then " class=\"first\"" else "" end)><td class=\"l\">\(if .mode == "unpatched" then "\(.workload)\(if .scale > 1 then " ×\(.scale)" else "" end)" | esc else "" end)</td><td class=\"l\">\(.mode)</td>"
      + (.objects | [.anon_vma, .anon_vma_chain, .anon_vma_mm_link, .vm_area_struct, .mm_struct] | map("<td>\(num)</td>") | join("")) + "</tr>"] | join("\n"))
  + "</tbody></table></div>" else "" end) + "
" + $bench + "
<footer>Object sizes in bytes: "
+ ([first($r.runs[] | select(.mode == "on")) | .slabs | to_entries[] | "\(.key | esc) \(.value.object_size)"] | join(", "))
+ " (mode on). Kernels: " + ([$r.kernels | to_entries[] | "\(.key): \(.value.release | esc)"] | join(", "))
+ ". The figures are in report.json beside this page.</footer>
</body></html>"
