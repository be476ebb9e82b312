/* Steps on one eventfd: read, write, dup, close. */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static unsigned of_group(struct member *m, unsigned from, unsigned to)
{
	return from + random_below(&m->random, to - from);
}

/* While the seat says so the supervisor sees to it that the call ends. */
static void may_sleep(struct member *m, unsigned index, uint32_t for_what)
{
	m->seat->waits = (index + 1) << WAITS_SHIFT | for_what;
}

void step_read(struct member *m)
{
	int index = member_any(m);

	if (index >= 0)
		book_read_now(m->book, m->number, (unsigned)index, m->seat->fd[index]);
}

void step_write(struct member *m)
{
	int index = member_any(m);

	if (index < 0 || group_of((unsigned)index) == BULKY)
		return;
	book_write(m->book, m->number, (unsigned)index, m->seat->fd[index],
		amount_for(&m->random, (unsigned)index));
}

void step_block_read(struct member *m)
{
	unsigned index = of_group(m, 40, 60);

	if (m->seat->fd[index] < 0)
		return;
	may_sleep(m, index, 0);
	book_read(m->book, m->number, index, m->seat->fd[index]);
	m->seat->waits = 0;
}

void step_block_write(struct member *m)
{
	unsigned index = of_group(m, 56, 60);

	if (m->seat->fd[index] < 0)
		return;
	may_sleep(m, index, WAITS_FOR_OUT);
	book_write(m->book, m->number, index, m->seat->fd[index], amount_for(&m->random, index));
	m->seat->waits = 0;
}

/* Another number for the same file, in place of that of another index; -1 where there is none. */
static int dup_over(struct member *m, unsigned index)
{
	int other = member_any(m), victim;

	if (other < 0 || (unsigned)other == index)
		return -1;
	victim = fcntl(m->seat->fd[other], F_DUPFD, 200);
	if (victim < 0)
		return -1;
	return chance(&m->random, 2) ? dup2(m->seat->fd[index], victim)
				     : dup3(m->seat->fd[index], victim, 0);
}

static int another_number(struct member *m, unsigned index)
{
	int fd = m->seat->fd[index];

	switch (random_below(&m->random, 4)) {
	case 0:
		return dup(fd);
	case 1:
		return fcntl(fd, F_DUPFD, 100);
	case 2:
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		return fd >= 0 && fcntl(fd, F_SETFD, 0) ? -1 : fd;
	default:
		return dup_over(m, index);
	}
}

void step_dup(struct member *m)
{
	int index = member_any(m), fd;

	if (index < 0)
		return;
	errno = 0;
	fd = another_number(m, (unsigned)index);
	if (fd < 0) {
		if (errno)
			fault(m->book, m->number, "dup of eventfd %d: errno %d", index, errno);
		return;
	}
	book_write(m->book, m->number, (unsigned)index, fd, 1);
	if (chance(&m->random, 2)) {
		if (close(fd))
			fault(m->book, m->number, "close of a dup: errno %d", errno);
		return;
	}
	member_drop(m, (unsigned)index);
	m->seat->fd[index] = fd;
	atomic_fetch_and(&m->seat->wants, ~(1ull << index));
}

void step_drop(struct member *m)
{
	int index = member_any(m);

	if (index >= 0)
		member_drop(m, (unsigned)index);
}
