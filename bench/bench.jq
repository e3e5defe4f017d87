# SPDX-License-Identifier: GPL-2.0-only
# Samples of the three modes ([{"mode","name","size","unit","runs"}]) to
# bench.json. $full: every target must have been measured.

def median: sort | length as $n
  | if $n % 2 == 1 then .[($n - 1) / 2] else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
# Half of the runs lie within this part of the median.
def spread: sort | (length - 1) as $n
  | (.[($n * 0.75) | ceil] - .[($n * 0.25) | floor]) as $d
  | median as $m | if $m == 0 then 0 else $d / $m end;
def digits($n): . as $x
  | if $x == 0 then 0
    else ($n - 1 - ($x | fabs | log10 | floor)) as $e
      | if $e >= 0 then ($x * pow(10; $e) | round) / pow(10; $e) else $x | round end end;
def r3: if . == null then null else (. * 1000 | round) / 1000 end;
def modes: ["unpatched", "off", "on"];

(map(select(.failed)) | map({mode, name, size, why: .failed})) as $failed
| (map(select(.failed | not)) | group_by([.name, .size])
   | map(. as $g
     | {name: $g[0].name, size: $g[0].size, order: ([$g[].order] | min)}
       + (reduce modes[] as $m ({}; .[$m] = ([$g[] | select(.mode == $m) | .runs[]] | if length > 0 then median | digits(6) else null end)))
       + {unit: $g[0].unit, runs: ([modes[] as $m | [$g[] | select(.mode == $m) | .runs | length] | add // 0] | min),
          spread: (reduce modes[] as $m ({}; .[$m] = ([$g[] | select(.mode == $m) | .runs[]] | if length > 0 then spread | digits(2) else null end)))})
   | sort_by(.order) | map(del(.order))) as $cases
| def find($n; $s): first($cases[] | select(.name == $n and .size == $s)) // null;
  def ratio($n; $s): find($n; $s) | if . == null or .on == null or .unpatched == null or .unpatched == 0 then null else .on / .unpatched end;
  def target($name; $value; $limit; ok; $note):
    {name: $name, value: ($value | r3), limit: $limit,
     met: (if $value == null then null else ($value | r3) | ok end), note: $note};
  def most($name; $value; $limit; $note): target($name; $value; $limit; . <= $limit; $note);
  def least($name; $value; $limit; $note): target($name; $value; $limit; . >= $limit; $note);
  def counted: $cases | map(select(.unit == "instructions" and .unpatched != null and .off != null));
  def off_by: ((.off / .unpatched) - 1) | fabs;
  def name_of: "\(.name)\(if .size > 0 then " \(.size)" else "" end)";
  (find("fork.zapped"; 1000)) as $z | (find("fork.untouched"; 1000)) as $u
| (counted | map(select((.name | test("boot") | not) and .spread.unpatched < 0.01 and .spread.off < 0.01)) | if length == 0 then null else max_by(off_by) end) as $worst_off
| ([ ["migration", "walk.move"], ["unmap", "walk.unmap"], ["referenced and unmap", "walk.reclaim"],
     ["page_idle", "walk.idle"], ["DAMON", "walk.damon"], ["huge page split", "walk.split"], ["KSM page", "ksm.move"] ]
   | map(. as $k | [$cases[] | select(.name | startswith($k[1])) | select(.unpatched != null and .on != null)]
       | if length == 0 then empty
         else max_by(.on / .unpatched) | {walk: $k[0], name, size, factor: (.on / .unpatched | r3)} end)) as $walks
| {schema: 1, kernel: $info, icount: true, quick: ($full | not), cases: $cases,
   targets: [
     most("fork+exit, 1,000 touched VMAs"; ratio("fork.touched"; 1000); 0.75; ""),
     most("fork+exit, in the root cgroup"; ratio("root.fork.touched"; 1000); 0.75; "nothing is charged"),
     most("fork+exit, 8 generations alive"; ratio("fork.depth"; 8); 0.47; ""),
     most("generation 8 over generation 1"; (find("fork.depth"; 8) as $a | find("fork.depth"; 1) as $b
        | if $a.on == null or $b.on == null then null else $a.on / $b.on end); 1.02; "flat; on alone"),
     most("60,000 VMAs over 1,000, each"; (find("fork.touched"; 60000) as $a | find("fork.touched"; 1000) as $b
        | if $a.on == null or $b.on == null then null else $a.on / $b.on end); 1.05; "flat; on alone"),
     most("fork+exit, the part of rmap"; (if $z.on == null or $u.on == null or $z.unpatched == null or $u.unpatched == null then null
        else ($z.on - $u.on) / ($z.unpatched - $u.unpatched) end); 0.38; "touched once, less never touched"),
     most("first touch of a new VMA"; ratio("touch.anon"; 0); 0.68; "the fault, with clearing the page"),
     most("first touch, in the root cgroup"; ratio("root.touch.anon"; 0); 0.68; "nothing is charged"),
     most("unmapping a touched VMA"; ratio("munmap.touched"; 0); 0.95; ""),
     most("unmapping, in the root cgroup"; ratio("root.munmap.touched"; 0); 0.95; "nothing is charged"),
     most("exec"; ratio("exec"; 0); 1; ""),
     most("boot"; ratio("boot"; 0); 1; "busybox guest"),
     most("boot of Debian"; ratio("app.boot"; 0); 1; "with PostgreSQL, nginx and Redis"),
     most("VMAs of a heap that grew in 8 generations"; (find("brk.vmas"; 8) | if . == null then null else .on end); 1;
        "unpatched: \(find("brk.vmas"; 8).unpatched)"),
     most("migration, exclusive page"; ratio("walk.move.exclusive"; 0); 1.05; ""),
     most("migration, exclusive pages, each in another VMA"; ratio("walk.move.spread"; 0); 1.05; ""),
     most("migration, page shared by 500 children"; ratio("walk.move.shared"; 500); 1.15; ""),
     most("migration, own page with 500 children, VMA from before the forks"; ratio("walk.move.own-before"; 500); 0.7; ""),
     most("migration, own page with 500 children, VMA from after the forks"; ratio("walk.move.own-after"; 500); 17; "the design's known cost; the limit is the prototype's"),
     most("migration, 1,000 displaced VMAs"; ratio("walk.move.displaced"; 1000); 1.05; ""),
     most("migration, every VMA placed by mremap"; ratio("walk.move.all-placed"; 1000); 1.05; ""),
     most("off, the case furthest from unpatched"; ($worst_off | if . == null then null else off_by end); 0.01;
        (if $worst_off == null then "" else "\($worst_off | name_of); of cases that spread less than 1 %" end)),
     most("off, boot"; (find("boot"; 0) | if . == null or .off == null or .unpatched == null then null else off_by end); 0.02; ""),
     # In time: the limit must lie outside of the notches, 1.57 times the middle half
     # of the runs by the root of their number on each side of a median
     ($cases[] | select(.name | startswith("two.")) | select(.unit == "per second") | . as $c
       | (if .unpatched == null or .on == null or .unpatched == 0 then null else .on / .unpatched end) as $v
       | (if $v == null then null else
            (1.57 / ([.runs, 1] | max | sqrt)) as $n
            | (.on * (1 - $n * .spread.on) / (.unpatched * (1 + $n * .spread.unpatched))) as $low
            | (.on * (1 + $n * .spread.on) / ([.unpatched * (1 - $n * .spread.unpatched), 1e-9] | max)) as $high
            | if $low >= 0.95 then true elif $high < 0.95 then false else null end end) as $met
       | least(.name; $v; 0.95; "") | .met = $met
       | .note = "wall-clock; spread \([$c.spread[] | . // 0] | max * 100 | round) %\(if $v != null and $met == null then ", undecided" else "" end)")
   ],
   walks: $walks, failed: $failed}
