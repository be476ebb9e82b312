#!/usr/bin/env bash
# Nobody gets a file of the library's by exchanging its directory between the look and the use.
. "$(dirname "$0")/lib.sh"
program swap "$here/work.c"
decoy=$tmp/decoy
other=65534

fresh() {
	rm -rf "$state"* "$decoy"* "$tmp/parent"* "$tmp/planted"*
	mkdir -m 700 "$state"
}

# exchanged NAME WHEN THIS THAT PLANTED...: while THIS and THAT are exchanged; the planted directories stay empty.
exchanged() {
	local name=$1 when=$2 this=$3 that=$4 planted found=
	shift 4
	passes "$name ($when)" "${shim[@]}" SERVED=any SERVED_IN= BOTH=1 "$build/swap" "$when" "$this" "$that"
	for planted; do found+=$(ls -A "$planted" | head -n 3); done
	verdict "$name ($when): nothing is made there" "$found"
}

fresh
ln -s decoy "$decoy"
passes 'without the shim' "${plain[@]}" "$build/swap" first "$state" "$decoy"
passes 'without the shim, later on' "${plain[@]}" "$build/swap" later "$state" "$decoy"
passes 'without the shim, with gaps' "${plain[@]}" "$build/swap" gap-first "$state" "$decoy"

for when in first later gap-first gap-later; do
	fresh
	mkdir -m 700 "$tmp/planted" && ln -s "$tmp/planted" "$decoy"
	exchanged 'a symbolic link to a directory of the user' $when "$state" "$decoy" "$tmp/planted"
	fresh
	mkdir -m 777 "$decoy"
	exchanged 'a directory that others can enter' $when "$state" "$decoy" "$decoy"
	fresh
	if is_root; then
		chmod 711 "$tmp"
		mkdir -m 700 "$decoy" && chown $other "$decoy"
		exchanged "another user's directory" $when "$state" "$decoy" "$decoy"
		fresh
		mkdir -m 777 "$tmp/planted" && chown $other "$tmp/planted" && ln -s "$tmp/planted" "$decoy"
		exchanged "a symbolic link to another user's directory" $when "$state" "$decoy" "$tmp/planted"
	else
		left_out "another user's directory ($when)" 'needs root'
	fi
	fresh
	echo text >"$decoy"
	exchanged 'a file' $when "$state" "$decoy"
	verdict "a file ($when): it is what it was" "$(grep -v '^text$' "$decoy")"

	# One level higher, where the planted directory has the right name.
	fresh
	mkdir -p "$tmp/parent" "$tmp/parent.planted" && mkdir -m 777 "$tmp/parent.planted/state"
	ln -s parent.planted "$tmp/parent.link"
	shim_here=("${shim[@]}")
	shim=("${shim[@]}" "EFDSHIM_DIR=$tmp/parent/state")
	exchanged 'a symbolic link at the parent' $when "$tmp/parent" "$tmp/parent.link" "$tmp/parent.planted/state"
	shim=("${shim_here[@]}")
done

# Links that stand still: those above the directory may be, what they lead to is looked at all the same.
fresh
mkdir "$tmp/parent" && mkdir -m 755 "$tmp/parent/state" && ln -s parent "$tmp/parent.link"
program plain "$here/work.c"
passes 'a link above a directory that others can enter' "${shim[@]}" SERVED=kernel \
	"EFDSHIM_DIR=$tmp/parent.link/state" "$build/plain" everything
verdict 'nothing is made there' "$(ls -A "$tmp/parent/state")"
chmod 700 "$tmp/parent/state"
passes 'a link above a good directory' "${shim[@]}" "SERVED_IN=$tmp/parent/state" \
	"EFDSHIM_DIR=$tmp/parent.link/state" "$build/plain" everything
exit $failed
