#!/usr/bin/env bash
# 'efdshim doctor', on the running kernel and under each --as-kernel. Usage: doctor.sh [BUILD-DIRECTORY]
. "$(dirname "$0")/lib.sh"
efdshim=$(realpath "${EFDSHIM:-$root/build/efdshim}")
versions=(2.6.18 2.6.22 2.6.32 3.10 4.4 5.4)
# what a filter cannot take away, as it is in memory or was always ignored
beyond='EPOLLEXCLUSIVE|EPOLLWAKEUP|EPOLLRDHUP|O_CLOEXEC in open'

# rows: NAME|SINCE|STATE|WHY, of the features, from the JSON on stdin.
rows() { sed -nE 's/^\t\t\{"name": "(.*)", "since": "(.*)", "state": "(.*)", "why": "(.*)"\},?$/\1|\2|\3|\4/p'; }

# diagnose COMMAND...: leaves the rows in $tmp/rows and the rest in $tmp/said.
diagnose() {
	timeout -k 5 "$LIMIT" "$@" doctor --json >"$tmp/json" 2>"$tmp/said" </dev/null
	code=$?
	echo $code >"$tmp/code"
	rows <"$tmp/json" >"$tmp/rows"
	[ -s "$tmp/rows" ] || echo "no rows; exit code $code: $(said "$tmp/said")"
}

mkdir -m 700 "$state"
why=$(diagnose env EFDSHIM_DIR="$state" "$efdshim")
[ -n "$why" ] || why=$(awk -F'|' '$2 != "never" && $1 !~ /eventfd|EFD_/ && $3 != "native" { printf "%s is %s ", $1, $3 }
	($2 == "never" || $1 ~ /eventfd|EFD_/) && $3 != "emulated" { printf "%s is %s ", $1, $3 }' "$tmp/rows")
verdict 'all native here but what the library does better' "$why"

why=$(diagnose env EFDSHIM_DIR="$state" EFDSHIM_MODE=missing "$efdshim")
[ -n "$why" ] || why=$(awk -F'|' '($2 == "never") != ($3 == "emulated") { printf "%s is %s ", $1, $3 }' "$tmp/rows")
verdict 'EFDSHIM_MODE=missing: only what no kernel has is emulated' "$why"

if command -v python3 >/dev/null; then
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); assert d["mode"] == "missing" and d["needs"] and d["features"]' \
		"$tmp/json" >"$tmp/said" 2>&1
	verdict 'the JSON is JSON' "$([ $? = 0 ] || said "$tmp/said")"
	for name in $'a\xff' $'\xc0\xaf' $'\xed\xa0\x80' $'gr\xc3\xbc\xc3\x9f' $'"\\\x01'; do
		EFDSHIM_DIR=$tmp/$name "$efdshim" doctor --json >"$tmp/odd"
		python3 -c 'import json, sys; json.loads(open(sys.argv[1], "rb").read().decode())' "$tmp/odd" >"$tmp/said" 2>&1 && : >"$tmp/said"
		verdict "the JSON is JSON with a directory named $(printf %q "$name")" "$(said "$tmp/said")"
	done
else
	left_out 'the JSON is JSON' 'no python3'
fi
EFDSHIM_DIR=$state EFDSHIM_MODE=missing "$efdshim" doctor >"$tmp/text"
why=$(while IFS='|' read -r name _ verdict _; do
	grep -qE "^$name +$verdict " "$tmp/text" || printf '%s ' "$name"
done <"$tmp/rows")
verdict 'the text says the same' "${why:+not there: $why}"

why=$(diagnose env EFDSHIM_DIR="$state" EFDSHIM_MODE=missing EFDSHIM_TIMERFD=emulate EFDSHIM_SIGNALFD=emulate "$efdshim")
[ -n "$why" ] || why=$(grep -E '^(timerfd|TFD_|signalfd|SFD_)' "$tmp/rows" | grep -v '|emulated|')
verdict 'what is to be emulated although the kernel has it is' "$why"

why=$(diagnose env EFDSHIM_DIR="$tmp/none/below" "$efdshim")
[ -n "$why" ] || why=$(grep -E '^eventfd\|' "$tmp/rows" | grep -v '|native|'
	grep -E '^(EFD_MASK|asyncfd)\|' "$tmp/rows" | grep -v '|impossible|'
	[ "$(cat "$tmp/code")" = 1 ] || echo "exit code $(cat "$tmp/code")")
verdict 'a directory that cannot be made is no directory' "$why"

if "$efdshim" run --bare --as-kernel 5.4 -- true 2>"$tmp/said"; then
	for version in "${versions[@]}"; do
		why=$(diagnose env EFDSHIM_DIR="$state" EFDSHIM_MODE=missing "$efdshim" run --as-kernel "$version" -- "$efdshim")
		[ -n "$why" ] || why=$(while IFS='|' read -r name since verdict _; do
			newest=$(printf '%s\n' "$since" "$version" | sort -V | tail -n 1)
			expected=emulated
			if [ "$since" != never ] && [ "$newest" = "$version" ] || [[ $name =~ ^($beyond)$ ]]; then expected=native; fi
			[ "$verdict" = $expected ] || printf '%s (%s) is %s, ' "$name" "$since" "$verdict"
		done <"$tmp/rows")
		verdict "under $version what it lacked is emulated, the rest native" "$why"
	done
	mkdir -m 755 "$tmp/open"
	why=$(diagnose env EFDSHIM_DIR="$tmp/open" "$efdshim" run --as-kernel 2.6.32 -- "$efdshim")
	[ -n "$why" ] || why=$(grep -E '^(eventfd|EFD_SEMAPHORE)\|' "$tmp/rows" | grep -v '|native|'
		grep '^EFD_MASK|' "$tmp/rows" | grep -v '|impossible|'
		[ "$(cat "$tmp/code")" = 1 ] || echo "exit code $(cat "$tmp/code")")
	verdict 'without a directory the kernel serves, what it has not is impossible' "$why"
	for mode in all missing; do
		why=$(diagnose env EFDSHIM_DIR="$([ $mode = all ] && echo "$tmp/open" || echo "$state")" EFDSHIM_MODE=$mode \
			"$efdshim" run --as-kernel 2.6.22 -- "$efdshim")
		[ -n "$why" ] || why=$(grep -cE '^(EFD_CLOEXEC|SFD_CLOEXEC).*\|emulated\|.*: the older call, then fcntl$' "$tmp/rows" | grep -v '^2$')
		verdict "flags that only fcntl can set, EFDSHIM_MODE=$mode" "${why:+$(grep '^[ES]FD_CLOEXEC' "$tmp/rows")}"
	done
else
	left_out 'the doctor under older kernels' "$(said "$tmp/said")"
fi

rm -rf "$state"
why=$(diagnose env EFDSHIM_DIR="$state" "$efdshim")
verdict 'a directory that is not there is not made' "$why$([ ! -e "$state" ] || echo it was)"
verdict 'nothing is left behind' "$(find "$tmp" -maxdepth 1 -name 'efdshim-doctor*')"
"$efdshim" doctor --fly >"$tmp/said" 2>&1
verdict 'an unknown option is wrong usage' "$([ $? = 2 ] || said "$tmp/said")"
exit $failed
