# Medians to a plot (SVG): microseconds per event of the ring, 1 active, over the number of channels.
BEGIN {
	FS = "\t"
	kinds = split("pipe socketpair kernel mirror fast mask vpoll", kind, " ")
	split("pipe|unix socketpair|the kernel's eventfd|efdshim, mirrored|efdshim|EFD_MASK on efdshim|libvpoll's emulation", label, "|")
	split("#d55e00 #999999 #0072b2 #56b4e9 #009e73 #cc79a7 #e69f00", color, " ")
	left = 70; top = 50; wide = 560; high = 340
}

$1 ~ /^ring-(10|100|1000|10000|max)-1$/ && $3 == "us" { cost[$2, $1] = $4; if ($4 > most) most = $4 }
$1 ~ /^ring-(10|100|1000|10000|max)-1$/ && $3 == "channels" { channels[$2, $1] = $4; if ($4 > widest) widest = $4 }

function log10(x) { return log(x) / log(10) }
function x_of(n) { return left + wide * (log10(n) - 1) / (log10(widest) - 1) }
function y_of(us) { return top + high - high * us / ceiling }

function text(x, y, anchor, words, extra) {
	printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", x, y, anchor, extra, words
}

function line(x1, y1, x2, y2, stroke, width) {
	printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%d\"/>\n", x1, y1, x2, y2,
		stroke, width ? width : 1
}

# 1, 2 or 5 times a power of ten: the least that makes no more than ten steps.
function step_to(value, step) {
	for (step = 0.01; value > 10 * step; step *= 10)
		if (value <= 20 * step)
			return 2 * step
		else if (value <= 50 * step)
			return 5 * step
	return step
}

function axes(us, n) {
	for (us = 0; us <= ceiling * 1.001; us += gap) {
		line(left, y_of(us), left + wide, y_of(us), us ? "#e0e0e0" : "#404040")
		text(left - 8, y_of(us) + 4, "end", us)
	}
	for (n = 10; n <= widest; n *= 10) {
		line(x_of(n), top, x_of(n), top + high, "#e0e0e0")
		text(x_of(n), top + high + 18, "middle", n)
	}
	if (widest > 1.5 * n / 10) {
		line(left + wide, top, left + wide, top + high, "#e0e0e0")
		text(left + wide, top + high + 18, "middle", widest)
	}
	text(left + wide / 2, top + high + 38, "middle", "channels")
	text(left, top - 26, "start", "microseconds per event, one active channel, one thread in epoll_wait", " font-weight=\"bold\"")
	text(left, top - 10, "start", machine, " fill=\"#606060\"")
}

function curve(k, i, row, path, dots, last) {
	for (i = 1; i <= steps; i++) {
		row = "ring-" step[i] "-1"
		if (!((kind[k], row) in cost) || channels[kind[k], row] <= last)
			continue
		last = channels[kind[k], row]
		path = path (path ? " L" : "M") sprintf("%.1f %.1f", x_of(last), y_of(cost[kind[k], row]))
		dots = dots sprintf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x_of(last), y_of(cost[kind[k], row]), color[k])
	}
	if (!path)
		return
	printf "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n%s", path, color[k], dots
	shown++
	line(left + wide + 20, top + 22 * shown - 4, left + wide + 44, top + 22 * shown - 4, color[k], 3)
	text(left + wide + 50, top + 22 * shown, "start", label[k])
}

END {
	steps = split("10 100 1000 10000 max", step, " ")
	gap = step_to(most)
	ceiling = gap * (int(most / gap) + 1)
	if (widest <= 10)
		widest = 100
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 840 440\" font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"840\" height=\"440\" fill=\"white\"/>"
	axes()
	for (k = 1; k <= kinds; k++)
		curve(k)
	print "</svg>"
}
