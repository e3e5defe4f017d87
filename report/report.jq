# SPDX-License-Identifier: GPL-2.0-only
# Makes report.json (see SCHEMA.md) of the checked samples of a run.
# Input as for check.jq; $checks: the last lines of apps24, by mode and scale.

def round2: (. * 100 | round) / 100;

# in per cent; null where there is nothing to compare with
def change($before): if $before == 0 then null else (. - $before) * 100 / $before | round2 end;

def chains: .slabs.anon_vma_chain.bytes + .slabs.anon_vma_mm_link.bytes;

# Everything spent on anonymous reverse mapping. What the structures of every
# process and every VMA have grown by against the unpatched kernel is part of
# the price; it is negative should they shrink.
def rmap_bytes($unpatched):
  .slabs as $s
  | def growth($name):
      ($s[$name].object_size - $unpatched.slabs[$name].object_size) * $s[$name].objects;
    $s.anon_vma.bytes + chains + growth("mm_struct") + growth("vm_area_struct");

def published:
  {"boot": {"anon_vma_pct": -97.0, "anon_vma_chain_pct": -57.0, "vm_area_struct_pct": 1.0},
   "apps24": {"anon_vma_pct": -92.0, "anon_vma_chain_pct": -50.5, "vm_area_struct_pct": 0.2}};

# what "make run ARCH=" calls it
def arch: {"aarch64": "arm64"}[.] // .;

def version: capture("^(?<v>[0-9]+[.][0-9]+[.][0-9]+)").v;

. as $all
| def sample($mode; $name): first($all[] | select(.mode == $mode and .name == $name) | .data);
  def has_sample($name): any($all[]; .name == $name);
  def modes: ["unpatched", "off", "on"];
  def row($mode; $name):
    sample($mode; $name) as $s | sample("unpatched"; $name) as $u
    | {processes: $s.processes, vmas: $s.vmas, threads: $s.threads,
       slabs: $s.slabs, rmap_bytes: ($s | rmap_bytes($u)),
       settled: $s.settled, counters: ($s.counters // {})};
  def saved($mode; $workload; $name):
    row($mode; $name) as $r | row("unpatched"; $name) as $u
    | {workload: $workload, against: "unpatched", mode: $mode,
       anon_vma_pct: ($r.slabs.anon_vma.bytes | change($u.slabs.anon_vma.bytes)),
       anon_vma_chain_pct: ($r | chains | change($u | chains)),
       vm_area_struct_pct: ($r.slabs.vm_area_struct.bytes | change($u.slabs.vm_area_struct.bytes)),
       rmap_bytes_pct: ($r.rmap_bytes | change($u.rmap_bytes))}
      + (if published[$workload] then {published: published[$workload]} else {} end);
  def residual($mode; $before; $after):
    sample($mode; $before).slabs as $b | sample($mode; $after).slabs as $a
    | $a | with_entries(.value = .value.objects - $b[.key].objects);

  # workload -> the sample that stands for it
  ([{w: "boot", n: "boot"}, {w: "apps24", n: "apps24-scale1"}, {w: "servers", n: "servers"}]
   | map(select(.n as $n | has_sample($n)))) as $workloads
| ([$all[].name | capture("^apps24-scale(?<n>[0-9]+)$").n | tonumber] | unique) as $scales
| sample("on"; "guest") as $on
| {schema: 1,
   kernel: {release: $on.release, arch: ($on.arch | arch), source_version: ($on.release | version)},
   accel: $on.accel,
   feature: ($on.lazy != null),
   runs: [$workloads[] as $w | modes[] as $m
          | {workload: $w.w, mode: $m} + row($m; $w.n)],
   savings: [$workloads[] as $w | saved("on"; $w.w; $w.n)],
   savings_off: [$workloads[] as $w | saved("off"; $w.w; $w.n)],
   curve: [$scales[] as $s | modes[] as $m
           | {workload: "apps24", scale: $s, mode: $m} + row($m; "apps24-scale\($s)")
             + (first($checks[] | select(.mode == $m and .scale == $s) | {check: (.data | {apps, processes, libraries, pages_checked, pages_wrong})}) // {})],
   residual: (
     [($scales[] as $s | {w: "apps24", s: $s, b: "apps24-before", a: "apps24-after\($s)"}),
      (if has_sample("servers") then {w: "servers", s: 1, b: "servers-before", a: "servers-after"} else empty end)
      | . as $p | modes[] as $m
      | {workload: $p.w, scale: $p.s, mode: $m, objects: residual($m; $p.b; $p.a)}]),
   kernels: (modes | map({key: ., value: (sample(.; "guest") | {release, version, lazy})}) | from_entries)}
