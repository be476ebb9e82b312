/* micro KIND [NAME...]: what single calls cost, a line of 'NAME NANOSECONDS' each.
 * KIND: pipe, socketpair, eventfd, mask, vpoll. micro --list: the names.
 * micro --once TIMES KIND NAME: that often in one go, for those who count system calls. */
#include "micro.h"

#include "die.h"
#include "median.h"

enum { ROUNDS = 5 };

static bool wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++) {
		if (!strcmp(*names, name))
			return true;
	}
	return false;
}

static void list(const struct cost *costs)
{
	for (; costs->name; costs++)
		printf("%s\n", costs->name);
}

/* times 0: as often as is usual, and ROUNDS times. */
static double cost_of(const struct cost *cost, const struct channel_kind *kind, long times)
{
	double values[ROUNDS];

	if (times)
		return cost->measure(kind, times);
	for (int i = 0; i < ROUNDS; i++)
		values[i] = cost->measure(kind, cost->times);
	return median(values, ROUNDS);
}

static void measure(
	const struct cost *cost, const struct channel_kind *kind, char **names, long times)
{
	for (; cost->name; cost++) {
		if (!wanted(cost->name, names) || (cost->fits && !cost->fits(kind)))
			continue;
		printf("%s %.2f\n", cost->name, cost_of(cost, kind, times));
		fflush(stdout);
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: micro [--once TIMES] pipe|socketpair|eventfd|mask|vpoll [NAME...]\n"
			"       micro --list\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	long times = 0;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list(micro_calls);
		list(micro_wakes);
		return 0;
	}
	if (argc > 3 && !strcmp(argv[1], "--once")) {
		times = atol(argv[2]);
		argv += 2;
	}
	const struct channel_kind *kind = argv[1] ? channel_kind_named(argv[1]) : NULL;

	if (!kind || times < 0 || times > MICRO_MOST)
		return usage();
	channels_raise_limit();
	measure(micro_calls, kind, argv + 2, times);
	measure(micro_wakes, kind, argv + 2, times);
	return 0;
}
