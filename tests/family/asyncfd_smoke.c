/* asyncfd at a glance: rings, who watches them, who fills them. */
#define _GNU_SOURCE
#include "ringkit.h"
#include "testkit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/prctl.h>
#include <sys/wait.h>

TestSuite(asyncfd_smoke, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { PRODUCERS = 4 };

Test(asyncfd_smoke, results_come_in_order_until_the_ring_is_full)
{
	static const uint32_t sizes[] = {2, 3, 4, 7, 64};
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct kit_ring ring = ring_open(sizes[s], MAP_PRIVATE);
		int room = (int)sizes[s] - 1;
		for (int round = 0; round < 20; round++) {
			cr_assert_eq(ring_poll(ring.fd), 0);
			cr_assert_eq(ring_try(ring.file, 1000, 64), room);
			cr_assert_eq(ring_try(ring.file, 1, 1), 0);
			cr_assert_eq(ring_poll(ring.fd), POLLIN);
			for (int i = 0; i < room; i++)
				ring_take(ring.head, 1000 + (uint64_t)i);
			ring_expect_empty(ring.head);
			ring_put(ring.file, 9, 1); /* at another place each round */
			ring_take(ring.head, 9);
		}
		ring_close(&ring);
	}
}

Test(asyncfd_smoke, bad_rings_and_results_are_refused)
{
	struct kit_ring ring = ring_open(4, MAP_PRIVATE);
	struct asyncfd_uring bad = *ring.head;
	struct asyncfd_result result = {.cookie = 1};
	int plain = open("/dev/null", O_RDWR);
	char byte;

#define REFUSED(call, why) cr_assert((call) == -1 && errno == (why), "%s: %d", #call, errno)
	REFUSED(asyncfd(-1, NULL), EFAULT);
	REFUSED(asyncfd(-1, (struct asyncfd_uring *)16), EFAULT);
	REFUSED(asyncfd(-1, (struct asyncfd_uring *)((char *)&bad + 4)), EINVAL);
	bad.size = 1;
	REFUSED(asyncfd(-1, &bad), EINVAL);
	bad.size = 1 << 30;
	REFUSED(asyncfd(-1, &bad), EFAULT);
	bad = *ring.head;
	bad.ptr += 4;
	REFUSED(asyncfd(-1, &bad), EINVAL);
	bad.ptr = 0;
	REFUSED(asyncfd(-1, &bad), EFAULT);
	bad = *ring.head;
	bad.ikernel = 4;
	REFUSED(asyncfd(-1, &bad), EINVAL);
	REFUSED(asyncfd(-2, ring.head), EBADF);
	REFUSED(asyncfd(plain, ring.head), EINVAL);
	REFUSED(asyncfd_add_results(ring.file, &result, -1), EINVAL);
	REFUSED(asyncfd_add_results(NULL, &result, 1), EINVAL);
	REFUSED(asyncfd_add_results(ring.file, NULL, 1), EFAULT);
	result.cookie = 0;
	REFUSED(asyncfd_add_results(ring.file, &result, 1), EINVAL);
	REFUSED(read(ring.fd, &byte, 1), EINVAL);
	REFUSED(write(ring.fd, &byte, 1), EINVAL);
	REFUSED(read(ring.fd, NULL, 0), EINVAL);
	cr_assert_null(asyncfd_fget(plain));
	cr_assert_null(asyncfd_fget(-1));
	cr_assert_null(eventfd_fget(ring.fd));
	ring.head->ikernel = 4;
	cr_assert_eq(ring_poll(ring.fd), POLLERR);
	REFUSED(asyncfd_add_results(ring.file, &(struct asyncfd_result){.cookie = 1}, 1), EFAULT);
	ring.head->ikernel = 0;
	cr_assert_eq(ring_poll(ring.fd), 0);
	close(plain);
	int copy = dup(ring.fd);
	struct efd_file *file = asyncfd_fget(copy);
	close(ring.fd);
	ring.fd = copy;
	ring_put(ring.file, 1, 1);
	cr_assert_eq(close(ring.fd), 0);
	REFUSED(asyncfd_add_results(ring.file, &(struct asyncfd_result){.cookie = 1}, 1), EBADFD);
	efd_fput(file);
	ring.fd = open("/dev/null", O_RDWR);
	ring_close(&ring);
}

Test(asyncfd_smoke, memory_that_is_gone_is_no_crash)
{
	struct kit_ring ring = ring_open(1024, MAP_PRIVATE);
	cr_assert_eq(munmap((char *)ring.head + 4096, 4096), 0);
	cr_assert_eq(ring_try(ring.file, 1, 1), -EFAULT);
	cr_assert_eq(ring_poll(ring.fd), 0);
	cr_assert_eq(munmap(ring.head, 4096), 0);
	cr_assert_eq(ring_try(ring.file, 1, 1), -EFAULT);
	cr_assert_eq(ring_poll(ring.fd), POLLERR);
	efd_fput(ring.file);
	close(ring.fd);
}

Test(asyncfd_smoke, epoll_tells_of_levels_edges_and_once)
{
	struct kit_ring ring = ring_open(8, MAP_PRIVATE);
	int level = epoll_create1(0), edge = epoll_create1(0), once = epoll_create1(0);
	ring_watch(level, EPOLL_CTL_ADD, ring.fd, EPOLLIN);
	ring_watch(edge, EPOLL_CTL_ADD, ring.fd, EPOLLIN | EPOLLET);
	ring_watch(once, EPOLL_CTL_ADD, ring.fd, EPOLLIN | EPOLLONESHOT);
	for (int round = 0; round < 10; round++) {
		cr_assert_eq(ring_event(level) | ring_event(edge) | ring_event(once), 0);
		ring_put(ring.file, 1, 1);
		cr_assert_eq(ring_event(level), EPOLLIN);
		cr_assert_eq(ring_event(level), EPOLLIN);
		cr_assert_eq(ring_event(edge), EPOLLIN);
		cr_assert_eq(ring_event(edge), 0);
		ring_put(ring.file, 2, 2);
		cr_assert_eq(ring_event(edge), EPOLLIN);
		cr_assert_eq(ring_event(edge), 0);
		cr_assert_eq(ring_event(once), EPOLLIN);
		cr_assert_eq(ring_event(once), 0);
		for (uint64_t i = 1; i <= 3; i++)
			ring_take(ring.head, i);
		ring_watch(once, EPOLL_CTL_MOD, ring.fd, EPOLLIN | EPOLLONESHOT);
	}
	close(level), close(edge), close(once);
	ring_close(&ring);
}

Test(asyncfd_smoke, outer_sets_and_select_follow_the_level)
{
	struct kit_ring ring = ring_open(8, MAP_PRIVATE);
	int inner = epoll_create1(0), outer = epoll_create1(0);
	struct timeval now = {0};
	fd_set set;
	ring_watch(inner, EPOLL_CTL_ADD, ring.fd, EPOLLIN);
	ring_watch(outer, EPOLL_CTL_ADD, inner, EPOLLIN);
	for (int round = 0; round < 10; round++) {
		cr_assert_eq(ring_event(outer), 0);
		cr_assert_eq(ring_poll(inner), 0);
		FD_ZERO(&set);
		FD_SET(ring.fd, &set);
		cr_assert_eq(select(ring.fd + 1, &set, NULL, NULL, &now), 0);
		ring_put(ring.file, 1, 1);
		FD_SET(ring.fd, &set);
		cr_assert_eq(select(ring.fd + 1, &set, NULL, NULL, &now), 1);
		cr_assert_eq(ring_event(outer), EPOLLIN);
		cr_assert_eq(ring_poll(inner), POLLIN);
		ring_take(ring.head, 1);
	}
	close(inner), close(outer);
	ring_close(&ring);
}

/* Many producers: each result's obj says whose it is, and the cookie which. */
struct crowd {
	struct efd_file *file;
	uint64_t each;
};

struct member {
	struct crowd *crowd;
	uint64_t name;
	pthread_t thread;
};

static void *produce(void *arg)
{
	struct member *m = arg;
	struct asyncfd_result batch[5];
	for (uint64_t done = 0; done < m->crowd->each;) {
		uint64_t left = m->crowd->each - done, n = 1 + done % 5;
		n = n < left ? n : left;
		for (uint64_t i = 0; i < n; i++)
			batch[i] = (struct asyncfd_result){done + i + 1, m->name, 0, (int64_t)n};
		int stored = asyncfd_add_results(m->crowd->file, batch, (int)n);
		if (stored < 0)
			abort();
		done += (uint64_t)stored;
		if (!stored)
			sched_yield();
	}
	return NULL;
}

/* Takes what is there; how many. */
static uint64_t consume(struct asyncfd_uring *head, uint64_t next[PRODUCERS])
{
	struct asyncfd_result result;
	uint64_t taken = 0;
	for (; asyncfd_take_result(head, &result); taken++) {
		cr_assert(result.obj < PRODUCERS);
		if (result.cookie != ++next[result.obj])
			cr_assert_fail("producer %ju: %ju, not %ju", (uintmax_t)result.obj,
				(uintmax_t)result.cookie, (uintmax_t)next[result.obj]);
	}
	return taken;
}

static void start(struct member members[PRODUCERS], struct crowd *crowd)
{
	for (uint64_t i = 0; i < PRODUCERS; i++) {
		members[i] = (struct member){.crowd = crowd, .name = i};
		cr_assert_eq(pthread_create(&members[i].thread, NULL, produce, &members[i]), 0);
	}
}

static void wait_in(int set, int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	struct epoll_event event;
	int n = set < 0 ? poll(&entry, 1, 10000) : epoll_wait(set, &event, 1, 10000);
	if (n != 1)
		cr_assert_fail("slept while results were missing");
}

static void crowded(uint32_t size, uint64_t each, int flags, bool by_poll)
{
	struct kit_ring ring = ring_open(size, MAP_PRIVATE);
	struct crowd crowd = {.file = ring.file, .each = each};
	struct member members[PRODUCERS];
	uint64_t next[PRODUCERS] = {0}, taken = 0;
	int set = by_poll ? -1 : epoll_create1(0);
	if (set >= 0)
		ring_watch(set, EPOLL_CTL_ADD, ring.fd, EPOLLIN | (uint32_t)flags);
	start(members, &crowd);
	while (taken < each * PRODUCERS) {
		wait_in(set, ring.fd);
		taken += consume(ring.head, next);
		if (flags & EPOLLONESHOT)
			ring_watch(set, EPOLL_CTL_MOD, ring.fd, EPOLLIN | (uint32_t)flags);
	}
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(members[i].thread, NULL);
	ring_expect_empty(ring.head);
	if (set >= 0)
		close(set);
	ring_close(&ring);
}

Test(asyncfd_smoke, four_producers_and_level_triggered_epoll)
{
	crowded(2, 5000, 0, false);
	crowded(64, 50000, 0, false);
	crowded(65536, 100000, 0, false);
}

Test(asyncfd_smoke, four_producers_and_edges)
{
	crowded(2, 5000, EPOLLET, false);
	crowded(64, 50000, EPOLLET, false);
}

Test(asyncfd_smoke, four_producers_and_oneshot)
{
	crowded(2, 5000, EPOLLONESHOT, false);
	crowded(1000, 50000, EPOLLONESHOT, false);
}

Test(asyncfd_smoke, four_producers_and_poll)
{
	crowded(3, 5000, 0, true);
	crowded(1000, 50000, 0, true);
}

Test(asyncfd_smoke, a_ring_is_replaced_while_results_arrive)
{
	enum { RINGS = 300, ROOM = 32 };
	struct kit_ring ring = ring_open(ROOM, MAP_PRIVATE);
	struct crowd crowd = {.file = ring.file, .each = 20000};
	struct member members[PRODUCERS];
	uint64_t next[PRODUCERS] = {0}, taken = 0;
	start(members, &crowd);
	for (int i = 0; taken < crowd.each * PRODUCERS; i++) {
		wait_in(-1, ring.fd);
		if (i < RINGS) {
			struct asyncfd_uring *old = ring.head;
			ring.head = ring_map(ROOM + (uint32_t)i, MAP_PRIVATE);
			cr_assert_eq(asyncfd(ring.fd, ring.head), ring.fd);
			taken += consume(old, next);
			ring_unmap(old);
		}
		taken += consume(ring.head, next);
	}
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(members[i].thread, NULL);
	ring_close(&ring);
}

Test(asyncfd_smoke, children_fill_a_shared_ring)
{
	enum { EACH = 20000 };
	struct kit_ring ring = ring_open(128, MAP_SHARED);
	uint64_t next[PRODUCERS] = {0}, taken = 0;
	int set = epoll_create1(0);
	pid_t pids[PRODUCERS];
	ring_watch(set, EPOLL_CTL_ADD, ring.fd, EPOLLIN);
	for (uint64_t i = 0; i < PRODUCERS; i++) {
		struct crowd crowd = {.file = ring.file, .each = EACH};
		struct member member = {.crowd = &crowd, .name = i};
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			produce(&member);
			_exit(0);
		}
	}
	while (taken < EACH * PRODUCERS) {
		wait_in(set, ring.fd);
		taken += consume(ring.head, next);
	}
	for (int i = 0; i < PRODUCERS; i++) {
		int status;
		cr_assert(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	}
	close(set);
	ring_close(&ring);
}

static struct efd_file *handlers_file;
static _Atomic uint64_t by_handler;

static void store_one(int sig)
{
	struct asyncfd_result result = {.cookie = by_handler + 1, .obj = 1};
	int saved = errno;
	(void)sig;
	if (asyncfd_add_results(handlers_file, &result, 1) == 1)
		by_handler++;
	errno = saved;
}

/* The handler interrupts a producer of the same thread at any place. */
Test(asyncfd_smoke, a_signal_handler_fills_it_too)
{
	enum { EACH = 200000 };
	struct kit_ring ring = ring_open(256, MAP_PRIVATE);
	struct itimerval often = {{0, 200}, {0, 200}}, never = {0};
	uint64_t next[PRODUCERS] = {0};
	handlers_file = ring.file;
	signal(SIGALRM, store_one);
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t i = 0; i < EACH; i++) {
		struct asyncfd_result result = {.cookie = i + 1, .obj = 0};
		while (asyncfd_add_results(ring.file, &result, 1) == 0)
			consume(ring.head, next);
		if (i % 50 == 0)
			consume(ring.head, next);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
	consume(ring.head, next);
	cr_assert_eq(next[0], EACH);
	cr_assert_eq(next[1], by_handler);
	cr_assert(by_handler > 0);
	ring_close(&ring);
}
