#include "loop.h"

#include <sys/select.h>

#include "die.h"

static _Thread_local fd_set watched;
static _Thread_local int *numbers, count_watched, highest;

static void select_open(const int *fds, int count, bool edges)
{
	(void)edges;
	FD_ZERO(&watched);
	count_watched = count;
	numbers = calloc((size_t)count, sizeof(*numbers));
	highest = 0;
	if (!numbers)
		die(EXIT_CANNOT, "calloc");
	for (int i = 0; i < count; i++) {
		numbers[i] = fds[i];
		highest = fds[i] > highest ? fds[i] : highest;
		FD_SET(fds[i], &watched);
	}
}

static int select_take(int *ready, int timeout)
{
	struct timeval time = {.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000L};
	fd_set set = watched;
	int left = select(highest + 1, &set, NULL, NULL, timeout < 0 ? NULL : &time), n = 0;

	if (left < 0)
		die(EXIT_WRONG, "select");
	for (int i = 0; n < left; i++) {
		if (FD_ISSET(numbers[i], &set))
			ready[n++] = i;
	}
	return n;
}

static void select_end(void)
{
	free(numbers);
}

const struct loop loop_select = {.name = "select",
	.most = FD_SETSIZE,
	.open = select_open,
	.wait = select_take,
	.close = select_end};
