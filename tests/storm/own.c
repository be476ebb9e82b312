/* Eventfds that a member makes for itself: nobody else touches them, so they must count exactly.
 * They die with it, or are given away. */
#include "storm.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void make(struct member *m, int slot)
{
	int flags = EFD_NONBLOCK | (chance(&m->random, 2) ? EFD_CLOEXEC : 0);
	unsigned value = random_below(&m->random, 100);
	int fd = eventfd(value, flags);

	if (fd < 0) {
		fault(m->book, m->number, "eventfd: errno %d", errno);
		return;
	}
	m->own[slot].fd = fd;
	m->own[slot].value = value;
	atomic_fetch_add(&m->seat->own, 1);
}

static void unmake(struct member *m, int slot)
{
	atomic_fetch_sub(&m->seat->own, 1);
	if (close(m->own[slot].fd))
		fault(m->book, m->number, "close of its own eventfd: errno %d", errno);
	m->own[slot].fd = -1;
}

static void add(struct member *m, int slot)
{
	uint64_t value = 1 + random_below(&m->random, 1000);

	if (write(m->own[slot].fd, &value, sizeof(value)) != sizeof(value))
		fault(m->book, m->number, "write to its own eventfd: errno %d", errno);
	m->own[slot].value += value;
}

static void take(struct member *m, int slot)
{
	uint64_t value = 0;
	long ret = read(m->own[slot].fd, &value, sizeof(value));

	if (value != m->own[slot].value || (ret < 0 && errno != EAGAIN))
		fault(m->book, m->number, "its own eventfd has %lu, not %lu (errno %d)",
			(unsigned long)value, (unsigned long)m->own[slot].value, errno);
	m->own[slot].value = 0;
}

void step_own(struct member *m)
{
	int slot = (int)random_below(&m->random, OWN_MAX);

	if (m->own[slot].fd < 0) {
		make(m, slot);
		return;
	}
	switch (random_below(&m->random, 4)) {
	case 0:
		take(m, slot);
		break;
	case 1:
		unmake(m, slot);
		break;
	default:
		add(m, slot);
	}
}

void step_gift_own(struct member *m)
{
	unsigned to = random_below(&m->random, MEMBERS), index = MAIL_OWN;
	int slot = (int)random_below(&m->random, OWN_MAX);

	if (m->own[slot].fd < 0)
		return;
	add(m, slot);
	if (mail_send(m->book, to, &index, &m->own[slot].fd, 1, m->own[slot].value))
		unmake(m, slot);
}

void own_forget(struct member *m)
{
	for (int slot = 0; slot < OWN_MAX; slot++) {
		if (m->own[slot].fd >= 0)
			unmake(m, slot);
	}
}
