#include "core/passage.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/process.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { ROUNDS = 1000000 };

/* How many threads are opening, and have not looked at the table yet. Moved by them, read by dup2.
 */
static _Atomic uint32_t openers;

static bool begin(void)
{
	if (process_borrows_memory())
		return false;
	fdtable_enter();
	atomic_fetch_add(&openers, 1);
	return true;
}

/* A forked child starts from none. */
static void looked(void)
{
	uint32_t before = atomic_load(&openers);

	while (before && !atomic_compare_exchange_weak(&openers, &before, before - 1))
		;
}

/* While the number is marked the thread stays entered. */
static int got(int fd)
{
	enum passing_step step = fd < 0 ? PASSING_UNKNOWN : fdtable_begin_passing(fd);

	looked();
	if (step != PASSING_MARKED)
		fdtable_leave();
	return step == PASSING_TAKEN ? -EBUSY : fd;
}

static void close_it(int fd)
{
	if (process_borrows_memory() || !fdtable_entry(fd)) {
		raw_close(fd); /* the table was not there, or has no room for it */
		return;
	}
	fdtable_end_passing(fd);
	fdtable_leave();
}

void passage_start(void)
{
	static const struct passing_hooks hooks = {begin, got, close_it};

	passing_set_hooks(&hooks);
}

void passage_await(int rounds)
{
	for (int i = rounds < ROUNDS ? rounds : ROUNDS; i && atomic_load(&openers); i--)
		sched_yield();
}

void passage_forked(void)
{
	atomic_store(&openers, 0);
}
