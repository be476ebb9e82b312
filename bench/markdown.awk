# After goals.awk: what there are goals for, as README has it.
BEGIN {
	name["pipe"] = "pipes"
	name["kernel"] = "kernel"
	name["vpoll"] = "libvpoll"
	name["ring-10-1:fast"] = "10 channels"
}

function human(us) {
	if (us < 0.9995)
		return sprintf("%.0f ns", us * 1000)
	if (us < 999.5)
		return sprintf(us < 9.95 ? "%.1f us" : "%.0f us", us)
	return sprintf(us < 9950 ? "%.1f ms" : "%.0f ms", us / 1000)
}

# What stands against the shim's figure.
function against(row, other, part) {
	if (row ~ /^ordinary/)
		return "without the shim"
	if (row == "start")
		return "an empty library"
	split(other, part, ".")
	return name[part[1]]
}

# How the two figures of a goal compare.
function compared(word, value) {
	if (word[2] == "-")
		return sprintf("%+.0f us", value)
	if (word[4] == "<=")
		return sprintf("%.2f times as much", value)
	if (value > 0.955 && value < 1.045)
		return "the same"
	if (value < 1)
		return sprintf("%.1f times slower", 1 / value)
	return sprintf(value < 9.95 ? "%.1f times faster" : "%.0f times faster", value)
}

function line(row, goal, word, n, value, here, there) {
	n = split(goal, word, " ")
	value = reached(row, goal)
	if (value == "")
		return
	if (n == 3) {
		printf "| %s | | | | %s system calls |\n", what[row], (value < 0.005 ? "no" : sprintf("%.2g", value))
		return
	}
	here = word[1] ~ /^(fast|mask)/ ? word[1] : word[3]
	there = here == word[1] ? word[3] : word[1]
	printf "| %s%s | %s | %s | %s | %s |\n", what[row], (here ~ /cpu/ ? ", processor time" : ""), against(row, there),
		human(term(row, there)), human(term(row, here)), compared(word, value)
}

END {
	printf "| %s | against | there | efdshim | |\n| --- | --- | --- | --- | --- |\n", machine
	for (r = 1; r <= row_count; r++) {
		for (g = 1; g <= goal_count[rows[r]]; g++)
			line(rows[r], goals[rows[r], g])
	}
}
