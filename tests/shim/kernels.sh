#!/usr/bin/env bash
# 'efdshim run --as-kernel': what each kernel did not know is gone, and nothing else. Usage: kernels.sh [BUILD-DIRECTORY]
. "$(dirname "$0")/lib.sh"
efdshim=$(realpath "${EFDSHIM:-$root/build/efdshim}")
versions=(2.6.18 2.6.22 2.6.32 3.10 4.4 5.4)

if ! "$efdshim" run --bare --as-kernel 5.4 -- true 2>"$tmp/said"; then
	left_out 'older kernels' "$(said "$tmp/said")"
	exit 0
fi
program kernels
"$build/kernels" >"$tmp/recorded" </dev/null

# compare NAME VERSION COMMAND...: the answers under a command against those recorded.
compare() {
	local name=$1 version=$2
	shift 2
	timeout -k 5 "$LIMIT" "$@" "$build/kernels" "$version" <"$tmp/recorded" >"$tmp/said" 2>&1
	verdict "$name" "$([ $? = 0 ] || echo "said: $(said "$tmp/said")")"
}

compare 'no filter, no difference' 99.0 env
if timeout 20 "$build/kernels" 3.10 <"$tmp/recorded" >"$tmp/said"; then
	not_ok 'the comparison can fail' 'the running kernel passes for 3.10'
else
	ok 'the comparison can fail'
fi
for version in "${versions[@]}"; do
	compare "what $version knew" "$version" "$efdshim" run --bare --as-kernel "$version" --
done
compare "a filter in a filter: the older one counts" 3.10 \
	"$efdshim" run --bare --as-kernel 5.4 -- "$efdshim" run --bare --as-kernel 3.10 --
compare 'children are filtered, too' 3.10 "$efdshim" run --bare --as-kernel 3.10 -- sh -c '"$0" "$@"'

# refused NAME PATTERN COMMAND...: one line, exit code 125.
refused() {
	local name=$1 pattern=$2 rc
	shift 2
	timeout 20 "$@" >"$tmp/said" 2>&1 </dev/null
	rc=$?
	# shellcheck disable=SC2254 # the pattern is meant as one
	case $rc,$(wc -l <"$tmp/said"),$(said "$tmp/said") in
	125,1,$pattern) ok "$name" ;;
	*) not_ok "$name" "exit code $rc, said: $(said "$tmp/said")" ;;
	esac
}
refused 'a version nobody knows' 'efdshim: no kernel 7.1 is known *2.6.18*5.4*' "$efdshim" run --as-kernel 7.1 -- true
refused 'where there is no seccomp' 'efdshim: *seccomp*' \
	"$efdshim" run --bare --as-kernel 2.6.32 -- "$efdshim" run --bare --as-kernel 2.6.18 -- true
exit $failed
