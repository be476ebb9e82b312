/* Whoever gets the number of an eventfd that is closed while threads sleep on it hears nothing of
 * what goes on with that eventfd. */
#define _GNU_SOURCE
#include "efd.h"
#include "pair.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(closed_quiet, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, TURNS = 20, ROUNDS = 1500 };

/* Who gets the number: made at it, and given something to read by `feed`. */
struct owner {
	const char *name;
	int (*make)(void);
	int watched; /* what a BOTH|ET watch says after feed */
};

static int far_end;

static int make_eventfd(void)
{
	return far_end = efd_open(0, EFD_NONBLOCK);
}

static int make_pipe(void)
{
	int ends[2];
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	far_end = ends[1];
	return ends[0];
}

static int make_socket(void)
{
	int ends[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	far_end = ends[1];
	return ends[0];
}

static const struct owner owners[] = {
	{"an eventfd", make_eventfd, BOTH},
	{"a pipe", make_pipe, IN},
	{"a socket", make_socket, BOTH},
};

static void feed(void)
{
	uint64_t one = 1;
	cr_assert_eq(write(far_end, &one, 8), 8);
}

static void expect_fed(int fd)
{
	uint64_t value = 0;
	cr_assert_eq(read(fd, &value, 8), 8);
	cr_assert_eq(value, 1, "it holds %#llx", (unsigned long long)value);
	cr_assert_eq(read(fd, &value, 8), -1);
}

/* Threads asleep on the old object, by its old number. */
struct sleepers {
	struct task reader;
	struct waiter poller, waiter;
	struct pollfd polled;
	struct waited waited;
	int copy;
};

static void start_all(struct sleepers *s, int fd)
{
	s->copy = dup(fd);
	s->polled = (struct pollfd){fd, POLLIN, 0};
	s->waited.set = set_watching(fd, IN | EPOLLET, 1);
	task_start_blocked(&s->reader, task_read, fd, 0);
	waiter_start(&s->waiter, call_epoll_wait, &s->waited);
	waiter_start(&s->poller, call_poll, &s->polled);
}

/* The waiter finds nothing, and sleeps on, where a reader is faster: there is none the last time.
 */
static void end_all(struct sleepers *s)
{
	efd_add(s->copy, 1);
	cr_assert_eq(task_join(&s->reader), 8);
	efd_add(s->copy, 1);
	cr_assert_eq(waiter_result(&s->waiter), 1);
	efd_expect(s->copy, 1);
	if (!s->poller.done)
		waiter_cancel(&s->poller);
	else
		waiter_result(&s->poller);
	efd_close(s->copy);
	close(s->waited.set);
}

static void quiet(const struct owner *who, uint32_t events)
{
	struct sleepers s;
	int old = efd_open(0, 0);
	start_all(&s, old);
	efd_close(old);
	int fd = who->make();
	cr_assert_eq(fd, old);
	int set = set_watching(fd, events, 2);
	set_event(set);
	for (int i = 0; i < TURNS; i++) {
		efd_add(s.copy, 1);
		uint32_t got = set_event(set);
		cr_assert(!(got & IN) && (!got || !(events & EPOLLET)), "%s shows %#x", who->name,
			got);
		cr_assert_eq(poll_now(fd, POLLIN), 0);
		if (i)
			efd_expect(s.copy, 1);
		else
			cr_assert_eq(task_join(&s.reader), 8);
	}
	feed();
	cr_assert_eq(set_event(set), (uint32_t)who->watched & events);
	expect_fed(fd);
	task_start_blocked(&s.reader, task_read, s.copy, 0);
	end_all(&s);
	close(set);
	close(fd);
	if (far_end != fd)
		close(far_end);
}

Test(closed_quiet, the_next_owners_level_is_its_own)
{
	for (size_t i = 0; i < ARRAY_LEN(owners); i++)
		quiet(&owners[i], IN);
}

Test(closed_quiet, the_next_owners_edges_are_its_own)
{
	for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
		quiet(&owners[i], IN | EPOLLET);
		quiet(&owners[i], BOTH | EPOLLET);
	}
}

/* The read begins about when the number changes hands: it gets the old one or the new one, and
 * what it did not get is still there. */
static uint64_t race(int fd, int owner, bool overlay)
{
	struct task t;
	int old = dup(fd);
	task_start(&t, task_read, fd, 0);
	if (!overlay)
		efd_close(fd);
	cr_assert_eq(dup2(owner, fd), fd);
	efd_add(old, 1000);
	efd_add(owner, 7);
	ssize_t ret = task_join(&t);
	cr_assert(ret == 8 || (!overlay && ret == -EBADF), "read: %zd", ret);
	uint64_t got = ret == 8 ? t.value : 0;
	cr_assert(ret != 8 || got == 1000 || got == 7, "read %#llx", (unsigned long long)got);
	if (got != 1000)
		efd_expect(old, 1000);
	if (got != 7)
		efd_expect(owner, 7);
	efd_expect_empty(old);
	efd_expect_empty(owner);
	efd_close(old);
	return got;
}

Test(closed_quiet, a_read_that_races_with_the_change_of_owner)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < ROUNDS; i++) {
		int owner = efd_open(0, 0);
		race(fd, owner, i % 2);
		efd_close(owner);
	}
	efd_close(fd);
}

/* The same with a blocked write: what it adds arrives where it was meant to, once. */
Test(closed_quiet, a_write_that_races_with_the_change_of_owner)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct task t;
		int old = dup(fd), owner = efd_open(0, 0);
		efd_add(old, EFD_LIMIT);
		task_start(&t, task_write, fd, 5);
		cr_assert_eq(dup2(owner, fd), fd);
		uint64_t full = 0, there = 0, here = 0;
		cr_assert_eq(efd_try_read(old, &full), 8);
		cr_assert_eq(full, EFD_LIMIT);
		cr_assert_eq(task_join(&t), 8);
		efd_add(old, 1);
		efd_add(owner, 1);
		efd_try_read(old, &there);
		efd_try_read(owner, &here);
		cr_assert(there + here == 7 && (there == 1 || here == 1), "%llu and %llu",
			(unsigned long long)there, (unsigned long long)here);
		efd_close(old);
		efd_close(owner);
	}
	efd_close(fd);
}
