/* A member of the storm: it does random things to random eventfds until it is killed. */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct {
	unsigned weight;
	void (*run)(struct member *m);
} steps[] = {
	{300, step_read},
	{240, step_write},
	{200, step_poll},
	{200, step_epoll},
	{120, step_watch},
	{120, step_own},
	{60, step_dup},
	{30, step_gift},
	{30, step_help},
	{20, step_drop},
	{20, step_gift_own},
	{10, step_renew_set},
	{4, step_block_read},
	{4, step_block_poll},
	{4, step_block_epoll},
	{2, step_block_write},
};

enum { STEPS_AN_EXEC = 2000 }; /* on average, until it runs its own program anew */

int member_any(struct member *m)
{
	for (int tries = 0; tries < 8; tries++) {
		unsigned index = random_below(&m->random, FDS);

		if (m->seat->fd[index] >= 0)
			return (int)index;
	}
	return -1;
}

/* Before a number is closed. A watch that is left behind reports as long as anybody has the file
 * open. */
static void forget_watches(struct member *m, unsigned index)
{
	for (int set = 0; set < SETS; set++) {
		if (!m->seat->watched[set][index])
			continue;
		m->seat->watched[set][index] = 0;
		if (chance(&m->random, 8))
			continue;
		if (epoll_ctl(m->seat->set[set], EPOLL_CTL_DEL, m->seat->fd[index], NULL))
			fault(m->book, m->number, "EPOLL_CTL_DEL of eventfd %u: errno %d", index,
				errno);
	}
}

void member_drop(struct member *m, unsigned index)
{
	int fd = m->seat->fd[index];

	if (fd < 0)
		return;
	forget_watches(m, index);
	m->seat->fd[index] = -1;
	atomic_fetch_or(&m->seat->wants, 1ull << index);
	if (close(fd))
		fault(m->book, m->number, "close of eventfd %u: errno %d", index, errno);
}

static void leave(struct member *m)
{
	for (unsigned index = 0; index < FDS; index++)
		member_drop(m, index);
	own_forget(m);
	_exit(0);
}

/* What the supervisor orders; true where there was nothing to obey. */
static bool obey(struct member *m)
{
	uint32_t command = m->book->command;

	if (command == m->seat->obeyed)
		return true;
	m->seat->obeyed = command;
	atomic_fetch_add(&m->book->arrivals, 1);
	book_wake(&m->book->arrivals);
	switch (command & ORDER_MASK) {
	case PARK:
		while (m->book->command == command)
			book_sleep(&m->book->command, command, 1000);
		break;
	case SLEEP:
		wait_quietly(m);
		if (m->book->command == command)
			fault(m->book, m->number, "woke up although no eventfd is readable");
		break;
	case END:
		leave(m);
	default:
		break;
	}
	return false;
}

static void one_step(struct member *m)
{
	unsigned all = 0, pick;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		all += steps[i].weight;
	pick = random_below(&m->random, all);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (pick < steps[i].weight) {
			steps[i].run(m);
			return;
		}
		pick -= steps[i].weight;
	}
}

static void live_on(struct member *m)
{
	while (!m->book->faults) {
		if (!obey(m))
			continue;
		if (chance(&m->random, 8))
			mail_take(m);
		one_step(m);
		atomic_fetch_add(&m->seat->progress, 1);
		if (chance(&m->random, STEPS_AN_EXEC)) {
			own_forget(m);
			member_exec(m->book, m->number, BORN_AGAIN);
		}
	}
	leave(m);
}

/* The numbers a newborn has. */
static void take_inheritance(struct member *m, enum birth birth)
{
	if (birth == BORN_AGAIN)
		return;
	for (unsigned index = 0; index < FDS; index++)
		m->seat->fd[index] = birth == BORN_BY_MAIL ? -1 : m->book->fd[index];
	m->seat->wants = birth == BORN_BY_MAIL ? ~0ull : 0;
	for (int set = 0; set < SETS; set++)
		m->seat->set[set] = epoll_create1(0);
}

_Noreturn void member_live(struct book *book, unsigned number, enum birth birth)
{
	struct member m = {.book = book, .number = number, .seat = &book->seats[number]};

	m.random = book->seed * 1000003 + number + ((uint64_t)m.seat->lives << 8) +
		   m.seat->progress * 64;
	for (int i = 0; i < OWN_MAX; i++)
		m.own[i].fd = -1;
	m.seat->own = 0;
	take_inheritance(&m, birth);
	live_on(&m);
	_exit(0);
}

_Noreturn void member_exec(struct book *book, unsigned number, enum birth birth)
{
	char which[16], memfd[16], how[16];
	char *argv[] = {"storm", "--member", which, memfd, how, NULL};

	snprintf(which, sizeof(which), "%u", number);
	snprintf(memfd, sizeof(memfd), "%d", book->memfd);
	snprintf(how, sizeof(how), "%d", birth);
	execv("/proc/self/exe", argv);
	fault(book, number, "exec: errno %d", errno);
	_exit(1);
}
