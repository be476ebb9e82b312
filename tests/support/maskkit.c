#define _GNU_SOURCE
#include "maskkit.h"
#include "maskmodel.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>
#include <unistd.h>

enum { UNTOUCHED = 4095 };

/* Odd, so that the product can be undone. */
#define MIX UINT64_C(0x9e3779b97f4a7c15)

bool mask_by_kernel(void)
{
	return !tk_under_shim();
}

int mask_try_open(int flags)
{
	if (!mask_by_kernel()) {
		int fd = eventfd(0, EFD_MASK | flags);
		return fd < 0 ? -errno : fd;
	}
	const char *path = getenv("MASKFS");
	int fd = path ? open(path, O_RDWR | flags) : -1;
	return fd < 0 ? -ENODEV : fd;
}

int mask_open(int flags)
{
	int fd = mask_try_open(flags);
	if (fd < 0)
		cr_assert_fail("eventfd(0, EFD_MASK | %#x): errno %d", (unsigned)flags, -fd);
	return fd;
}

void mask_close(int fd)
{
	if (close(fd))
		cr_assert_fail("close: errno %d", errno);
}

static uint64_t undo_mix(void)
{
	uint64_t inverse = MIX;
	for (int i = 0; i < 6; i++)
		inverse *= 2 - MIX * inverse;
	return inverse;
}

uint64_t mask_data(uint32_t events, uint64_t when)
{
	return (when << 5 | (events & 31)) * MIX;
}

bool mask_whole(const struct efd_mask *mask)
{
	static uint64_t inverse;
	if (!inverse)
		inverse = undo_mix();
	return (mask->data * inverse & 31) == mask->events;
}

static long told(long ret)
{
	if (ret == -1)
		return -errno;
	return errno == UNTOUCHED ? ret : -UNTOUCHED;
}

long mask_try_write(int fd, uint32_t events, uint64_t data)
{
	struct efd_mask mask = {events, data};
	errno = UNTOUCHED;
	return told(write(fd, &mask, sizeof(mask)));
}

long mask_try_read(int fd, struct efd_mask *mask)
{
	errno = UNTOUCHED;
	return told(read(fd, mask, sizeof(*mask)));
}

void mask_put(int fd, uint32_t events, uint64_t data)
{
	long ret = mask_try_write(fd, events, data);
	if (ret != MASK_BYTES)
		cr_assert_fail("write of %#x: %ld", events, ret);
}

void mask_set(int fd, uint32_t events)
{
	mask_put(fd, events, mask_data(events, 0));
}

struct efd_mask mask_get(int fd)
{
	struct efd_mask mask = {~0U, 0};
	long ret = mask_try_read(fd, &mask);
	if (ret != MASK_BYTES)
		cr_assert_fail("read: %ld", ret);
	return mask;
}

void mask_expect(int fd, uint32_t events, uint64_t data)
{
	struct efd_mask mask = mask_get(fd);
	if (mask.events != events || mask.data != data)
		cr_assert_fail("read %#x and %#jx, not %#x and %#jx", mask.events,
			(uintmax_t)mask.data, events, (uintmax_t)data);
}

uint32_t mask_poll(int fd, uint32_t interest)
{
	struct pollfd p = {fd, (short)interest, -1};
	errno = UNTOUCHED;
	long n = told(poll(&p, 1, 0));
	if (n != (p.revents != 0))
		cr_assert_fail("poll returns %ld, revents %#x", n, (unsigned)p.revents);
	return (unsigned short)p.revents;
}

unsigned mask_select(int fd, unsigned sets)
{
	fd_set set[3], *arg[3];
	struct timeval now = {0};
	unsigned ready = 0;
	int bits = 0;
	for (unsigned i = 0; i < 3; i++) {
		FD_ZERO(&set[i]);
		arg[i] = sets & 1U << i ? &set[i] : NULL;
		if (arg[i])
			FD_SET(fd, arg[i]);
	}
	errno = UNTOUCHED;
	long n = told(select(fd + 1, arg[0], arg[1], arg[2], &now));
	for (unsigned i = 0; i < 3; i++) {
		if (!FD_ISSET(fd, &set[i]))
			continue;
		ready |= 1U << i;
		bits++;
	}
	if (n != bits)
		cr_assert_fail("select returns %ld for %d bits", n, bits);
	return ready;
}

uint32_t mask_event(int set, uint64_t *data)
{
	struct epoll_event events[4];
	errno = UNTOUCHED;
	long n = told(epoll_wait(set, events, 4, 0));
	if (n != 0 && n != 1)
		cr_assert_fail("epoll_wait: %ld", n);
	if (n && data)
		*data = events[0].data.u64;
	return n ? events[0].events : 0;
}

int mask_new_set(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		cr_assert_fail("epoll_create1: errno %d", errno);
	return set;
}

void mask_ctl(int set, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};
	errno = UNTOUCHED;
	long ret = told(epoll_ctl(set, op, fd, &event));
	if (ret)
		cr_assert_fail("epoll_ctl %d for %#x: %ld", op, events, ret);
}

int mask_watch(int fd, uint32_t events, uint64_t data)
{
	int set = mask_new_set();
	mask_ctl(set, EPOLL_CTL_ADD, fd, events, data);
	return set;
}

/* xorshift64* */
uint64_t mask_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

unsigned mask_below(uint64_t *seed, unsigned limit)
{
	return (unsigned)((mask_random(seed) >> 32) % limit);
}
