/* micro [KIND [NAME...]]: what single calls cost, a line of 'NAME NANOSECONDS' each.
 * KIND: pipe, socketpair, eventfd, mask, vpoll. micro --list: the names. */
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

static void measure(const struct cost *costs, const struct channel_kind *kind, char **names)
{
	double values[ROUNDS];

	for (; costs->name; costs++) {
		if (!wanted(costs->name, names) || (costs->fits && !costs->fits(kind)))
			continue;
		for (int i = 0; i < ROUNDS; i++)
			values[i] = costs->measure(kind, costs->times);
		printf("%s %.2f\n", costs->name, median(values, ROUNDS));
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const struct channel_kind *kind = channel_kind_named(argc > 1 ? argv[1] : "eventfd");

	if (argc > 1 && !strcmp(argv[1], "--list")) {
		list(micro_calls);
		list(micro_wakes);
		return 0;
	}
	if (!kind) {
		fprintf(stderr, "usage: %s [pipe|socketpair|eventfd|mask|vpoll [NAME...]]\n",
			argv[0]);
		return EXIT_USAGE;
	}
	channels_raise_limit();
	char *none = NULL, **names = argc > 2 ? argv + 2 : &none;

	measure(micro_calls, kind, names);
	measure(micro_wakes, kind, names);
	return 0;
}
