# Reads rows.txt and the medians; shared by table.awk and json.awk, which print at the end.
# Sets what[row], goals[row, n], goal_count[row], rows[n]; figure[row, contender, us|cpu|calls|strace|channels].
FNR == 1 { file++ }
file == 1 && /^#/ { next }

file == 1 {
	split($0, part, / *\| */)
	rows[++row_count] = part[1]
	what[part[1]] = part[2]
	goal_count[part[1]] = split(part[3], list, / *; */)
	for (i = 1; i <= goal_count[part[1]]; i++)
		goals[part[1], i] = list[i]
	next
}

{
	split($0, part, "\t")
	figure[part[1], part[2], part[3]] = part[4]
	if (part[3] == "us")
		measured[part[1]] = 1
}

# The value of [ROW:]CONTENDER[.WHAT], or "" where it was not measured.
function term(row, text, part, kind) {
	if (split(text, part, ":") == 2) {
		row = part[1]
		text = part[2]
	}
	kind = split(text, part, ".") == 2 ? part[2] : "us"
	return (row, part[1], kind) in figure ? figure[row, part[1], kind] : ""
}

# What a goal is about, in this run; "" where something was not measured.
function reached(row, goal, word, n, a, b) {
	n = split(goal, word, " ")
	a = term(row, word[1])
	if (n == 3)
		return a
	b = term(row, word[3])
	if (a == "" || b == "")
		return ""
	if (word[2] == "-")
		return a - b
	return b ? a / b : ""
}

function is_met(goal, value, word, n) {
	n = split(goal, word, " ")
	return word[n - 1] == ">=" ? value >= word[n] + 0 : value <= word[n] + 0
}
