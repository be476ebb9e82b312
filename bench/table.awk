# After goals.awk: the table, as text.
function cell(row, who, value) {
	value = term(row, who)
	if (value == "")
		return "-"
	return sprintf(value < 0.9995 ? "%.4f" : value < 99.95 ? "%.3f" : "%.0f", value)
}

function ratio(row, a, b) {
	a = term(row, "kernel")
	b = term(row, "fast")
	return a == "" || b == "" || !b ? "-" : sprintf("%.2f", a / b)
}

# System calls of an event: mirrored, and with fast watches.
function calls(row, a, b) {
	a = term(row, "mirror.calls")
	b = term(row, "fast.calls")
	if (a == "" && b == "")
		b = term(row, "mask.calls")
	return (a == "" ? "" : sprintf("%.2f ", a)) (b == "" ? "" : sprintf("%.2f", b))
}

function judged(row, i, value, text) {
	for (i = 1; i <= goal_count[row]; i++) {
		value = reached(row, goals[row, i])
		if (value == "")
			continue
		text = text (text ? "; " : "") goals[row, i] ": " sprintf("%.2f ", value)
		text = text (is_met(goals[row, i], value) ? "met" : "NOT MET")
		met += is_met(goals[row, i], value)
		judgements++
	}
	return text
}

function strace_lines(row, who, i, names, list) {
	names = split("pipe kernel mirror fast mask vpoll", list, " ")
	for (i = 1; i <= names; i++) {
		who = list[i]
		if (term(row, who ".strace") == "")
			continue
		printf "  %-42s %-8s %.2f", what[row], who, term(row, who ".strace")
		if (term(row, who ".calls") != "")
			printf ", by the shim's statistics %.2f", term(row, who ".calls")
		print ""
		traced++
	}
}

END {
	columns = split("pipe socketpair kernel mirror fast vpoll vpoll-shim mask", column, " ")
	printf "%-42s", "MICROSECONDS"
	for (c = 1; c <= columns; c++)
		printf " %10s", column[c]
	print "  kernel/fast  CALLS m f    GOALS"
	for (r = 1; r <= row_count; r++) {
		row = rows[r]
		if (!(row in measured))
			continue
		printf "%-42s", what[row]
		for (c = 1; c <= columns; c++)
			printf " %10s", cell(row, column[c])
		line = sprintf("  %11s  %-11s  %s", ratio(row), calls(row), judged(row))
		sub(/ +$/, "", line)
		print line
	}
	print "\nmirror: the shim with EFDSHIM_FAST=0; fast: the shim; vpoll: libvpoll's emulation; vpoll-shim: libvpoll on the shim;"
	print "mask: EFD_MASK on the shim. CALLS: the shim's system calls for one event, mirror and fast."
	for (r = 1; r <= row_count; r++) {
		if (rows[r] ~ /^(threads|processes)/ && term(rows[r], "fast.cpu") != "" && term(rows[r], "kernel.cpu") != "")
			cpu = cpu sprintf("  %-42s kernel %.2f, mirror %.2f, fast %.2f\n", what[rows[r]], term(rows[r], "kernel.cpu"),
				term(rows[r], "mirror.cpu"), term(rows[r], "fast.cpu"))
	}
	if (cpu)
		printf "\nThe processors' time of both sides, microseconds for an event:\n%s", cpu
	for (r = 1; r <= row_count; r++)
		for (who in figure) {
			split(who, part, SUBSEP)
			if (part[1] == rows[r] && part[3] == "strace" && !headed++)
				print "\nSystem calls for one event, by strace -c -f:"
		}
	for (r = 1; r <= row_count; r++)
		strace_lines(rows[r])
	printf "\n%d of %d goals met\n", met, judgements
}
