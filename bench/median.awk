# Lines of 'ROW CONTENDER WHAT VALUE', tabs between: to one line each, with the median of the values.
BEGIN { FS = OFS = "\t" }

{
	name = $1 OFS $2 OFS $3
	if (!(name in count))
		order[++names] = name
	value[name, ++count[name]] = $4 + 0
}

# The median of the values of one name, sorted by insertion.
function median(name, n, i, j, v) {
	n = count[name]
	for (i = 2; i <= n; i++) {
		v = value[name, i]
		for (j = i - 1; j >= 1 && value[name, j] > v; j--)
			value[name, j + 1] = value[name, j]
		value[name, j + 1] = v
	}
	return n % 2 ? value[name, (n + 1) / 2] : (value[name, n / 2] + value[name, n / 2 + 1]) / 2
}

END {
	for (i = 1; i <= names; i++)
		print order[i], median(order[i])
}
