/* Rings that are full: results wait, in order, and nobody else does. */
#define _GNU_SOURCE
#include "submitkit.h"

#include <string.h>
#include <sys/epoll.h>

TestSuite(submit_pressure, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { OPS = 200, EACH = 256, ALL = 1024 };

/* Operations that are done at once; the cookies from `first` on. */
static void send_many(struct submit_ring *ring, int fd, uint64_t first, int n)
{
	struct asyncfd_op ops[OPS];
	for (int i = 0; i < n; i++)
		ops[i] = (struct asyncfd_op){.cookie = first + (uint64_t)i,
			.obj = ~(first + (uint64_t)i),
			.code = ASYNCFD_PWRITE,
			.fd = fd,
			.buf = "x",
			.len = 1,
			.offset = (int64_t)first + i - 1};
	submit(ring, ops, n);
}

struct seen {
	bool cookies[OPS + 1];
	int count;
};

static void note(struct seen *seen, struct asyncfd_result result)
{
	cr_assert(result.cookie >= 1 && result.cookie <= OPS);
	cr_assert_eq(result.obj, ~result.cookie);
	cr_assert_eq(result.res, 1);
	if (seen->cookies[result.cookie])
		cr_assert_fail("result %ju twice", (uintmax_t)result.cookie);
	seen->cookies[result.cookie] = true;
	seen->count++;
}

Test(submit_pressure, two_places_for_two_hundred)
{
	struct submit_ring ring = submit_open(2);
	struct seen seen = {0};
	int fd = submit_file();
	send_many(&ring, fd, 1, OPS);
	submit_wait_size(fd, OPS); /* nothing waits for the consumer but results */
	while (seen.count < OPS)
		note(&seen, submit_take(&ring));
	cr_assert_eq(poll(&(struct pollfd){.fd = ring.fd, .events = POLLIN}, 1, 20), 0);
	close(fd);
	submit_close(&ring);
}

/* A consumer that never asks about the fd. */
Test(submit_pressure, a_consumer_that_looks_at_memory_only)
{
	struct submit_ring ring = submit_open(3);
	struct asyncfd_result result;
	struct seen seen = {0};
	int fd = submit_file();
	int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS;
	send_many(&ring, fd, 1, OPS);
	while (seen.count < OPS) {
		if (asyncfd_take_result(ring.head, &result))
			note(&seen, result);
		else
			submit_pause();
		if (tk_now_ms() > end)
			cr_assert_fail("%d results", seen.count);
	}
	close(fd);
	submit_close(&ring);
}

static void by_epoll(uint32_t mode)
{
	struct submit_ring ring = submit_open(2);
	struct epoll_event event = {.events = EPOLLIN | mode};
	int set = epoll_create1(0), fd = submit_file();
	struct asyncfd_result result;
	struct seen seen = {0};
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, ring.fd, &event), 0);
	send_many(&ring, fd, 1, OPS);
	while (seen.count < OPS) {
		cr_assert_eq(epoll_wait(set, &event, 1, SUBMIT_LIMIT_MS), 1);
		while (asyncfd_take_result(ring.head, &result))
			note(&seen, result);
	}
	close(set), close(fd);
	submit_close(&ring);
}

Test(submit_pressure, waiting_results_come_by_level_triggered_epoll)
{
	by_epoll(0);
}

Test(submit_pressure, waiting_results_come_by_edge_triggered_epoll)
{
	by_epoll(EPOLLET);
}

/* A look at the fd has them delivered: no consumer waits for the next try. The figure is far below
 * what tries alone would take. */
Test(submit_pressure, who_looks_at_the_fd_does_not_wait)
{
	struct submit_ring ring = submit_open(2);
	struct seen seen = {0};
	int fd = submit_file();
	int64_t begin, spent;
	send_many(&ring, fd, 1, OPS);
	submit_wait_size(fd, OPS);
	begin = tk_now_ms();
	while (seen.count < OPS)
		note(&seen, submit_take(&ring));
	spent = tk_now_ms() - begin;
	cr_assert(spent < OPS * 5, "%jd ms", (intmax_t)spent);
	close(fd);
	submit_close(&ring);
}

/* Until every other thread sleeps: the one that has written has put its result where it belongs. */
static void wait_quiet(void)
{
	DIR *dir = opendir("/proc/self/task");
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != getpid())
			tk_wait_asleep(atoi(entry->d_name));
	}
	closedir(dir);
}

/* Each is done before the next is begun. */
Test(submit_pressure, in_the_order_of_completion)
{
	struct submit_ring ring = submit_open(4);
	int fd = submit_file();
	for (uint64_t i = 1; i <= OPS; i++) {
		send_many(&ring, fd, i, 1);
		submit_wait_size(fd, (off_t)i);
		wait_quiet();
	}
	for (uint64_t i = 1; i <= OPS; i++)
		cr_assert_eq(submit_take(&ring).cookie, i);
	close(fd);
	submit_close(&ring);
}

/* Until no more are accepted; how many were. */
static int fill(struct submit_ring *ring, int fd, int wanted)
{
	struct asyncfd_op ops[OPS];
	int accepted = 0, ret;
	int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS;
	for (int i = 0; i < OPS; i++)
		ops[i] = (struct asyncfd_op){
			.cookie = 1, .code = ASYNCFD_PWRITE, .fd = fd, .buf = "x", .len = 1};
	while (accepted < wanted && tk_now_ms() < end) {
		ret = submit_try(ring->fd, ops, OPS);
		if (ret == -EAGAIN)
			submit_pause();
		else if (ret > 0)
			accepted += ret;
		else
			cr_assert_fail("%d", ret);
	}
	cr_assert_eq(submit_try(ring->fd, ops, 1), -EAGAIN);
	return accepted;
}

static int take_all(struct submit_ring *ring, int n)
{
	for (int i = 0; i < n; i++)
		cr_assert_eq(submit_take(ring).res, 1);
	return poll(&(struct pollfd){.fd = ring->fd, .events = POLLIN}, 1, 20);
}

Test(submit_pressure, a_full_ring_is_eagain_and_nobody_elses_business)
{
	struct submit_ring stuck = submit_open(2), other = submit_open(8);
	struct seen seen = {0};
	int fd = submit_file();
	cr_assert_eq(fill(&stuck, fd, EACH + 1), EACH + 1); /* one is in the ring */
	for (int i = 0; i < OPS; i++) {
		send_many(&other, fd, (uint64_t)i + 1, 1);
		note(&seen, submit_take(&other));
	}
	cr_assert_eq(take_all(&stuck, EACH + 1), 0);
	send_many(&stuck, fd, 1, 1);
	cr_assert_eq(submit_take(&stuck).cookie, 1);
	close(fd);
	submit_close(&stuck), submit_close(&other);
}

/* All places are taken by rings that nobody empties; closing one of them makes room. */
Test(submit_pressure, closed_rings_give_their_places_back)
{
	struct submit_ring stuck[ALL / EACH], other = submit_open(8);
	struct asyncfd_op op = {.cookie = 5, .code = ASYNCFD_FSYNC, .fd = -1};
	int fd = submit_file(), ret;
	int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS;
	for (int i = 0; i < ALL / EACH; i++) {
		stuck[i] = submit_open(2);
		cr_assert_eq(fill(&stuck[i], fd, EACH + 1), EACH + 1);
	}
	cr_assert_eq(submit_try(other.fd, &op, 1), -EAGAIN);
	submit_close(&stuck[0]);
	while ((ret = submit_try(other.fd, &op, 1)) == -EAGAIN && tk_now_ms() < end)
		submit_pause();
	cr_assert_eq(ret, 1);
	cr_assert_eq(submit_take(&other).cookie, 5);
	for (int i = 1; i < ALL / EACH; i++) {
		cr_assert_eq(take_all(&stuck[i], EACH + 1), 0);
		submit_close(&stuck[i]);
	}
	close(fd);
	submit_close(&other);
}

/* The operations are done all the same. */
Test(submit_pressure, a_closed_asyncfd_drops_results_only)
{
	struct submit_ring ring = submit_open(2);
	int fd = submit_file(), threads = submit_threads();
	send_many(&ring, fd, 1, OPS);
	submit_close(&ring);
	submit_wait_size(fd, OPS);
	submit_wait_threads(threads);
	close(fd);
}

/* A ring whose head is no good gets nothing; one that is good again gets what has waited. */
Test(submit_pressure, a_broken_ring_keeps_results_waiting)
{
	struct submit_ring ring = submit_open(8);
	int fd = submit_file();
	ring.head->ikernel = 1000;
	send_many(&ring, fd, 1, OPS);
	submit_wait_size(fd, OPS);
	ring.head->ikernel = 0;
	cr_assert_eq(take_all(&ring, OPS), 0);
	close(fd);
	submit_close(&ring);
}

/* The ring is unmapped under them; another one gets them. */
Test(submit_pressure, an_unmapped_ring_keeps_results_waiting)
{
	struct submit_ring ring = submit_open(8), other = submit_open(OPS + 1);
	int fd = submit_file();
	cr_assert_eq(munmap(ring.head, ring.bytes), 0);
	send_many(&ring, fd, 1, OPS);
	submit_wait_size(fd, OPS);
	cr_assert_eq(close(other.fd), 0);
	other.fd = asyncfd(ring.fd, other.head);
	cr_assert_eq(other.fd, ring.fd);
	cr_assert_eq(take_all(&other, OPS), 0);
	close(fd);
	submit_close(&other);
}

/* A larger ring is set while results wait for the small one. */
Test(submit_pressure, a_new_ring_gets_what_waits)
{
	struct submit_ring small = submit_open(2), large = submit_open(OPS + 1);
	struct asyncfd_result result;
	struct seen seen = {0};
	int fd = submit_file();
	send_many(&small, fd, 1, OPS);
	submit_wait_size(fd, OPS);
	cr_assert_eq(close(large.fd), 0);
	memset(large.head, 0, large.bytes);
	large.head->ptr = (uintptr_t)large.head + 4096;
	large.head->size = OPS + 1;
	large.fd = asyncfd(small.fd, large.head);
	cr_assert_eq(large.fd, small.fd);
	while (asyncfd_take_result(small.head, &result))
		note(&seen, result);
	while (seen.count < OPS)
		note(&seen, submit_take(&large));
	close(fd);
	submit_close(&large);
}
