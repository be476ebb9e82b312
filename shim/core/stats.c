#include "core/stats.h"

#include <fcntl.h>

#include "core/text.h"
#include "sys/passing.h"
#include "sys/raw.h"

bool stats_on;
_Atomic uint64_t stats[STATS_COUNT];

static _Atomic int owner; /* pid whose numbers these are; 0 once they are printed */

static const char *const labels[STATS_COUNT] = {
	[STATS_EVENTFDS] = "eventfds ",
	[STATS_READS] = ", reads ",
	[STATS_WRITES] = ", writes ",
	[STATS_WAKEUPS] = ", wake-ups ",
	[STATS_SYSCALLS] = ", syscalls made ",
	[STATS_AVOIDED] = ", avoided ",
};

/* A forked child speaks only if it did something. */
static bool quiet;

static bool did_nothing(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < STATS_COUNT; i++)
		sum += atomic_load(&stats[i]);
	return !sum;
}

void stats_reset(bool in_child)
{
	if (!stats_on)
		return;
	quiet = in_child;
	for (int i = 0; i < STATS_COUNT; i++)
		atomic_store(&stats[i], 0);
	atomic_store(&owner, raw_getpid());
}

static void add_program_name(struct text *line)
{
	char name[32];
	int fd = passing_openat(AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? 0 : raw_read(fd, name, sizeof(name));

	if (fd >= 0)
		passing_close(fd);
	if (n <= 1)
		return;
	name[n - 1] = 0;
	text_string(line, " ");
	text_string(line, name);
}

void stats_print(void)
{
	char space[256];
	struct text line = text_in(space, sizeof(space));
	int pid = raw_getpid();

	if (!stats_on || (quiet && did_nothing()) ||
		!atomic_compare_exchange_strong(&owner, &pid, 0))
		return;
	text_string(&line, "efdshim: pid ");
	text_number(&line, (uint64_t)pid, 10);
	add_program_name(&line);
	text_string(&line, ": ");
	for (int i = 0; i < STATS_COUNT; i++) {
		text_string(&line, labels[i]);
		text_number(&line, atomic_load(&stats[i]), 10);
	}
	text_string(&line, "\n");
	raw_write(2, line.start, line.used);
}
