# SPDX-License-Identifier: GPL-2.0-only
# Says what is wrong with the samples of a run: one line for each fault, with
# the file and the field; nothing when all is well.
#
# Input: [{"file":"on/boot.json","mode":"on","name":"boot","data":{...}}, ...],
# the modes "unpatched", "off" and "on" of the same workloads.

def required: ["anon_vma", "anon_vma_chain", "vm_area_struct", "mm_struct", "maple_node"];
def slab_names: required + ["anon_vma_mm_link"];

def natural: type == "number" and . >= 0 and floor == .;
def positive: natural and . > 0;
def text: type == "string" and length > 0;

def at($path): . as $d | try ($d | getpath($path)) catch null;

def field($file; $path; test; $what):
  at($path) as $v
  | if ($v | test) then empty
    else "\($file): field \($path | join(".")) is \($v | tojson), must be \($what)" end;

def check_guest($file; $mode):
  field($file; ["guest"]; . == 1; "1 (this format's version)"),
  field($file; ["mode"]; . == $mode; "\"\($mode)\", as its folder says"),
  field($file; ["accel"]; . == "tcg" or . == "kvm"; "\"tcg\" or \"kvm\""),
  field($file; ["release"]; text and test("^[0-9]+[.][0-9]+[.][0-9]+"); "a kernel release such as \"6.12.1\""),
  field($file; ["arch"]; text; "a machine name"),
  field($file; ["lazy"]; . == null or . == 0 or . == 1; "null, 0 or 1");

def check_sample($file):
  field($file; ["sample"]; . == 1; "1 (this format's version)"),
  field($file; ["kernel", "release"]; text; "a kernel release"),
  field($file; ["processes"]; positive; "a positive whole number"),
  field($file; ["threads"]; positive; "a positive whole number"),
  field($file; ["vmas"]; positive; "a positive whole number"),
  field($file; ["settled"]; type == "boolean"; "true or false"),
  ( slab_names[] as $s
    | (required | index($s) != null) as $must
    | field($file; ["slabs", $s, "objects"]; natural; "a whole number"),
      field($file; ["slabs", $s, "object_size"]; if $must then positive else natural end;
            if $must then "a positive whole number" else "a whole number" end),
      field($file; ["slabs", $s, "bytes"]; natural; "a whole number"),
      field($file; ["slabs", $s, "pages"]; natural; "a whole number"),
      field($file; ["slabs", $s, "page_bytes"]; natural; "a whole number"),
      field($file; ["slabs", $s, "cpu_slabs"]; . == null or natural; "a whole number or null"),
      ( at(["slabs", $s]) as $v
        | ($v | at(["objects"])) as $n | ($v | at(["object_size"])) as $z
        | if ($n | natural) and ($z | natural) then
            field($file; ["slabs", $s, "bytes"]; . == $n * $z; "objects x object_size = \($n * $z)")
          else empty end ) );

# Facts of one file first; what files must agree on only when each is sound
def in_files:
  .[]
  | if .name == "guest" then .file as $f | .mode as $m | .data | check_guest($f; $m)
    else .file as $f | .data | check_sample($f) end;

def between_files:
  . as $all
  | def guest($m): $all[] | select(.mode == $m and .name == "guest") | .data;
    def version: capture("^(?<v>[0-9]+[.][0-9]+[.][0-9]+)").v;
    guest("unpatched") as $u | guest("off") as $off | guest("on") as $on
  | ( {"off": $off, "on": $on} | to_entries[]
      | if (.value.release | version) != ($u.release | version) then
          "\(.key)/guest.json: field release is \"\(.value.release)\", and unpatched/guest.json has \"\($u.release)\": different source versions are not compared"
        else empty end,
        if .value.arch != $u.arch then
          "\(.key)/guest.json: field arch is \"\(.value.arch)\", must be \"\($u.arch)\" as in unpatched/guest.json"
        else empty end,
        if .value.accel != $u.accel then
          "\(.key)/guest.json: field accel is \"\(.value.accel)\", must be \"\($u.accel)\" as in unpatched/guest.json"
        else empty end ),
    ( if $u.lazy != null then
        "unpatched/guest.json: field lazy is \($u.lazy): that kernel is patched" else empty end ),
    ( if $on.lazy == null and $off.lazy == null then empty
      elif $on.lazy != 1 then "on/guest.json: field lazy is \($on.lazy | tojson), must be 1: the feature was not on"
      elif $off.lazy != 0 then "off/guest.json: field lazy is \($off.lazy | tojson), must be 0: the feature was not off"
      else empty end ),
    ( $all[] | select(.name != "guest") | . as $s
      | guest($s.mode) as $g
      | if $s.data.kernel.release != $g.release then
          "\($s.file): field kernel.release is \"\($s.data.kernel.release)\", and \($s.mode)/guest.json has \"\($g.release)\": not of one boot"
        else empty end );

[in_files] as $faults
| if $faults != [] then $faults[] else between_files end
