# SPDX-License-Identifier: GPL-2.0-only
# Shell library of the house scripts. Source it with $0's folder one below the
# repository's root:   . "${0%/*}/../scripts/lib.sh"
#
# It sets TOP (repository), CACHE (everything that may be thrown away), LOGS,
# ARCH, JOBS, and defines say, die, stage_*, lock and friends. It is dash
# clean and expects the caller to have "set -eu".

TOP=${TOP:-$(CDPATH='' cd -- "${0%/*}/.." && pwd)}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/anon-vma-lazy
LOGS=$CACHE/logs
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
HOST_ARCH=$(uname -m)
[ "$HOST_ARCH" = aarch64 ] && HOST_ARCH=arm64
KVER=6.12
SERIES=${SERIES:-$TOP/series/$KVER}
SRC_PACKAGE=linux-source-$KVER

umask 022
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$CACHE" "$LOGS"

say()
{
	printf '%s\n' "$*"
}

# die MESSAGE [WHAT-TO-TRY]: one way to fail, always with something to do next
die()
{
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	[ $# -lt 2 ] || printf '  try: %s\n' "$2" >&2
	exit 1
}

now()
{
	date +%s
}

# 754 -> 12m34s
elapsed()
{
	if [ "$1" -ge 60 ]; then
		printf '%dm%02ds' $(($1 / 60)) $(($1 % 60))
	else
		printf '%ds' "$1"
	fi
}

# stage TITLE LOG HINT COMMAND...: run one stage; its output goes to LOG. Says
# when it starts and ends; when it fails, shows the end of the log and a hint.
# A command that has progress to tell writes it to fd 3.
stage()
{
	_title=$1 _log=$2 _hint=$3
	shift 3
	_t0=$(now)
	printf '== %s\n' "$_title"
	mkdir -p "${_log%/*}"
	_rc=0
	"$@" 3>&1 >"$_log" 2>&1 || _rc=$?
	_t1=$(now)
	if [ "$_rc" -ne 0 ]; then
		stage_failed "$_title" "$_rc" "$_log" "$_hint" $((_t1 - _t0))
		return "$_rc"
	fi
	printf '   %s: done in %s\n' "$_title" "$(elapsed $((_t1 - _t0)))"
}

stage_failed()
{
	{
		printf '!! %s: failed after %s (status %s)\n' "$1" "$(elapsed "$5")" "$2"
		printf '   last lines of %s:\n' "$3"
		tail -n 25 "$3" | sed 's/^/   | /'
		printf '   try: %s\n' "$4"
	} >&2
}

# lock NAME: hold the lock until this shell ends (fd 9). Says so if it waits.
lock()
{
	exec 9>"$CACHE/.lock-$1"
	flock -n 9 && return
	printf 'waiting for another build that holds %s\n' "$CACHE/.lock-$1" >&2
	flock 9
}

# need_space MIB DIR WHAT: refuse to start what would not fit
need_space()
{
	_have=$(df -Pm -- "$2" | awk 'NR == 2 { print $4 }')
	[ "$_have" -ge "$1" ] ||
		die "not enough disk space for $3: $1 MiB needed in $2, $_have MiB free" \
		    "make room there, or set XDG_CACHE_HOME to a larger disk, or \"make clean\" to drop old builds"
}

# as_root COMMAND...: run as root, through sudo where needed
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo -- "$@"
	else
		die "\"$1\" needs root, this is user $(id -un), and there is no sudo" \
		    "run the same command as root, or install sudo"
	fi
}

installed()
{
	dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# version of the packaged kernel source, fit for a folder name
src_version()
{
	if [ -n "${SRC_TARBALL:-}" ]; then
		printf '%s\n' "${SRC_VERSION:-custom}"
		return
	fi
	dpkg-query -W -f='${Version}' "$SRC_PACKAGE" 2>/dev/null | tr '~' '-'
}

pristine_dir()
{
	_v=$(src_version) || _v=
	[ -n "$_v" ] || die "package $SRC_PACKAGE is not installed" "scripts/setup"
	printf '%s\n' "$CACHE/src/pristine-$_v"
}

# ARCH -> name in the kernel's make, image inside the build folder, compiler prefix
kernel_arch()
{
	case $1 in
	x86_64)	KARCH=x86 KIMAGE=arch/x86/boot/bzImage KCROSS=x86_64-linux-gnu- ;;
	arm64)	KARCH=arm64 KIMAGE=arch/arm64/boot/Image KCROSS=aarch64-linux-gnu- ;;
	i386)	KARCH=i386 KIMAGE=arch/x86/boot/bzImage KCROSS=i686-linux-gnu- ;;
	*)	die "unknown architecture \"$1\"" "x86_64, arm64 or i386" ;;
	esac
	[ "$1" != "$HOST_ARCH" ] || KCROSS=
}

# use_compiler GCC: the CC of a kernel's make, in $cc; through ccache if there is one
use_compiler()
{
	cc=$1
	command -v ccache >/dev/null 2>&1 || return 0
	# Depend mode: no separate preprocessing, which made a cold build half as
	# long again; the compiler's own dependency file is the key
	export CCACHE_DIR="$CACHE/ccache" CCACHE_MAXSIZE=5G CCACHE_DEPEND=1
	PATH=$TOP/scripts/cc:$PATH
	cc="ccache $1"
}

# process ids of all that PID started, however deep
descendants()
{
	for _c in $(ps -o pid= --ppid "$1"); do
		echo "$_c"
		descendants "$_c"
	done
}

# end_job STATUS: end the job and all it started, then leave. They are stopped first,
# until there are no new ones: what a shell starts after the list was made would run
# on without it. A make waits for its compiler, so wait for all, at most 10 s.
end_job()
{
	trap '' INT TERM HUP
	_all=
	while _now="$_job $(descendants "$_job" | tr '\n' ' ')" && [ "$_now" != "$_all" ]; do
		_all=$_now
		# shellcheck disable=SC2086 # a list of process ids
		kill -STOP $_all 2>/dev/null || :
	done
	# shellcheck disable=SC2086 # a list of process ids
	kill -TERM $_all 2>/dev/null || :
	# shellcheck disable=SC2086 # a list of process ids
	kill -CONT $_all 2>/dev/null || :
	wait "$_job" 2>/dev/null || :
	_n=0
	while [ $_n -lt 100 ] && ps -o stat= -p "$_all" | grep -qv '^Z'; do
		_n=$((_n + 1))
		sleep 0.1
	done
	exit "$1"
}

# job COMMAND...: run in the background and wait, so that a signal to this
# shell is acted upon at once and ends the command and all it started
job()
{
	"$@" &
	_job=$!
	trap 'end_job 130' INT
	trap 'end_job 143' TERM HUP
	_jrc=0
	wait "$_job" || _jrc=$?
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	return "$_jrc"
}

build_id()
{
	readelf -n "$1" | sed -n 's/.*Build ID: //p'
}

# check_image TREE BUILD: an image of x86 carries vmlinux, compressed: is it the one
# that lies in the same build folder?
check_image()
{
	[ "${KIMAGE##*/}" = bzImage ] || return 0
	"$1/scripts/extract-vmlinux" "$2/$KIMAGE" >"$2/.payload" || return
	_id=$(build_id "$2/vmlinux")
	_carried=$(build_id "$2/.payload")
	rm -f "$2/.payload"
	[ -z "$_id" ] || [ "$_id" != "$_carried" ] || return 0
	echo "$2/$KIMAGE holds another kernel than $2/vmlinux (build id $_id)"
	return 1
}
