# After goals.awk: the figures and the goals as JSON; machine and rounds are given with -v.
function figures(row, text, i, name, kind) {
	for (i = 1; i <= who_count; i++) {
		name = ""
		for (k = 1; k <= 5; k++) {
			if ((row, whos[i], kinds[k]) in figure)
				name = name (name ? ", " : "") "\"" kinds[k] "\": " figure[row, whos[i], kinds[k]]
		}
		if (name)
			text = text (text ? ", " : "") "\"" whos[i] "\": {" name "}"
	}
	return text
}

function judged(row, i, value, text) {
	for (i = 1; i <= goal_count[row]; i++) {
		value = reached(row, goals[row, i])
		if (value == "")
			continue
		text = text (text ? ", " : "") sprintf("{\"goal\": \"%s\", \"reached\": %.4f, \"met\": %s}", goals[row, i], value,
			is_met(goals[row, i], value) ? "true" : "false")
	}
	return text
}

END {
	who_count = split("pipe socketpair kernel mirror fast vpoll vpoll-shim mask", whos, " ")
	split("us cpu calls strace channels", kinds, " ")
	printf "{\"machine\": \"%s\", \"rounds\": %d, \"rows\": [", machine, rounds
	for (r = 1; r <= row_count; r++) {
		row = rows[r]
		if (!(row in measured))
			continue
		printf "%s\n{\"row\": \"%s\", \"what\": \"%s\",\n \"figures\": {%s},\n \"goals\": [%s]}", (any++ ? "," : ""), row,
			what[row], figures(row), judged(row)
	}
	print "\n]}"
}
