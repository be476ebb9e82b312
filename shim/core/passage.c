#include "core/passage.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/fdtable.h"
#include "core/process.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { ROUNDS = 1000000, LANDINGS = 4 };

/* How many threads are opening, and have not looked at the table yet. Moved by them, read by dup2.
 */
static _Atomic uint32_t openers;

/* How many times this thread itself is there: more than once in a handler. */
static _Thread_local uint32_t own_openers;

/* The files that handlers' dup2s have put at numbers meanwhile, the last ones. */
static _Thread_local struct landing {
	int fd;
	dev_t dev;
	ino_t ino;
} landings[LANDINGS];
static _Thread_local uint32_t landed;

static bool begin(void)
{
	if (process_borrows_memory())
		return false;
	fdtable_enter();
	own_openers++;
	atomic_fetch_add(&openers, 1);
	return true;
}

static bool file_of(int fd, struct landing *file)
{
	struct stat st;

	if (raw_syscall3(SYS_fstat, fd, (long)&st, 0))
		return false;
	*file = (struct landing){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return true;
}

/* By the file: the number may have been closed before the opener got it. */
static bool landed_on(int fd)
{
	struct landing now;

	for (uint32_t i = 0; i < LANDINGS && i < landed; i++) {
		const struct landing *then = &landings[i];

		if (then->fd == fd && file_of(fd, &now))
			return now.dev == then->dev && now.ino == then->ino;
	}
	return false;
}

void passage_landed(int fd)
{
	if (own_openers && file_of(fd, &landings[landed % LANDINGS]))
		landed++;
}

/* A forked child starts from none. */
static void looked(void)
{
	uint32_t before = atomic_load(&openers);

	while (before && !atomic_compare_exchange_weak(&openers, &before, before - 1))
		;
	if (!--own_openers)
		landed = 0;
}

static enum passing_step mark(int fd)
{
	if (fd < 0)
		return PASSING_UNKNOWN;
	return landed && landed_on(fd) ? PASSING_TAKEN : fdtable_begin_passing(fd);
}

/* While the number is marked the thread stays entered. */
static int got(int fd)
{
	enum passing_step step = mark(fd);

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

/* Those who are still there after all that time have left by siglongjmp: nobody waits for them
 * again.
 */
void passage_await(int rounds)
{
	uint32_t there = atomic_load(&openers);
	int left = rounds < ROUNDS ? rounds : ROUNDS;

	for (; left && atomic_load(&openers) > own_openers; left--)
		sched_yield();
	if (!left && rounds >= ROUNDS)
		atomic_compare_exchange_strong(&openers, &there, own_openers);
}

void passage_forked(void)
{
	atomic_store(&openers, 0);
}
