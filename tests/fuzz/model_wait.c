/* The model's levels, poll and select. Nothing changes while they wait. */
#define _GNU_SOURCE
#include "model_file.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static const uint32_t always = POLLERR | POLLHUP;
static const uint32_t select_bits[] = {
	POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
	POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR,
	POLLPRI,
};

static uint32_t counter_level(const struct mfile *f)
{
	return (f->count ? POLLIN : 0u) | (f->count == UINT64_MAX ? POLLERR : 0u) |
	       (f->count < UINT64_MAX - 1 ? POLLOUT : 0u);
}

/* A pipe never fills up here. */
uint32_t mfile_level(const struct mfile *f)
{
	switch (f->kind) {
	case M_COUNTER:
		return counter_level(f);
	case M_MASK:
		return f->events;
	case M_PIPE_R:
		return (f->held ? POLLIN | POLLRDNORM : 0u) | (f->peer ? 0u : POLLHUP);
	case M_PIPE_W:
		return POLLOUT | POLLWRNORM | (f->peer ? 0u : POLLERR);
	default:
		return mset_ready(f) ? POLLIN | POLLRDNORM : 0;
	}
}

static uint32_t ask(const struct mfile *f)
{
	uint32_t level = mfile_level(f);
	if (f->kind == M_SET)
		mset_scanned(f, true);
	return level;
}

static short poll_one(const struct box *b, const struct pollfd *p)
{
	if (p->fd < 0)
		return 0;
	const struct mfile *f = mfile_of(b, p->fd);
	if (!f)
		return POLLNVAL;
	uint32_t interest = (uint16_t)p->events;
	if (model_fault != FAULT_MASK_BIT || f->kind != M_MASK)
		interest |= always;
	return (short)(ask(f) & interest);
}

long model_poll(const struct box *b, struct pollfd *fds, unsigned n)
{
	int before = errno;
	long ready = 0;
	if ((uintptr_t)fds > INTPTR_MAX || (n && model_reach(b, fds, true) < n * sizeof(*fds)))
		return model_fail(EFAULT);
	for (unsigned i = 0; i < n; i++) {
		fds[i].revents = poll_one(b, &fds[i]);
		ready += fds[i].revents != 0;
	}
	errno = before;
	return ready;
}

static bool all_open(const struct box *b, int n, fd_set set[3])
{
	for (int fd = 0; fd < n; fd++)
		for (int k = 0; k < 3; k++)
			if (FD_ISSET(fd, &set[k]) && !mfile_of(b, fd))
				return false;
	return true;
}

static long select_one(const struct mfile *f, int fd, fd_set set[3])
{
	uint32_t level = ask(f);
	long bits = 0;
	for (int k = 0; k < 3; k++) {
		if (!FD_ISSET(fd, &set[k]))
			continue;
		if (level & select_bits[k])
			bits++;
		else
			FD_CLR(fd, &set[k]);
	}
	return bits;
}

long model_select(const struct box *b, int n, fd_set set[3])
{
	long ready = 0;
	if (n < 0)
		return model_fail(EINVAL);
	if (!all_open(b, n, set))
		return model_fail(EBADF);
	for (int fd = 0; fd < n; fd++)
		if (FD_ISSET(fd, &set[0]) || FD_ISSET(fd, &set[1]) || FD_ISSET(fd, &set[2]))
			ready += select_one(mfile_of(b, fd), fd, set);
	return ready;
}
