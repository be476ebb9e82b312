/* An eventfd is closed, and its number given to something else, while a thread sleeps in a call on
 * it. The same steps by raw system calls on the kernel's eventfds say what must come of it. */
#define _GNU_SOURCE
#include "askboth.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(closed_in_use, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

/* The kernel's side, or libc's. */
static long call(bool raw, long nr, long a, long b, long c)
{
	if (raw)
		return tk_raw_syscall(nr, a, b, c, 0, 0, 0);
	switch (nr) {
	case SYS_read:
		return answer_of(read((int)a, (void *)b, (size_t)c));
	case SYS_write:
		return answer_of(write((int)a, (void *)b, (size_t)c));
	case SYS_close:
		return answer_of(close((int)a));
	case SYS_dup:
		return answer_of(dup((int)a));
	case SYS_dup3:
		return answer_of(dup3((int)a, (int)b, (int)c));
	case SYS_close_range:
		return answer_of(close_range((unsigned)a, (unsigned)b, (int)c));
	default:
		return answer_of(eventfd((unsigned)a, (int)b));
	}
}

struct sleeper {
	long (*sleep)(struct sleeper *s);
	bool raw, wants_room; /* it sleeps on a full one */
	int fd, set;
	uint64_t value; /* what it read, or the revents, or the event's data */
	long ret;
	atomic_int tid;
	atomic_bool done;
	sem_t leave;
	pthread_t thread;
};

static long sleep_read(struct sleeper *s)
{
	return call(s->raw, SYS_read, s->fd, addr(&s->value), 8);
}

static long sleep_write(struct sleeper *s)
{
	uint64_t seven = 7;
	return call(s->raw, SYS_write, s->fd, addr(&seven), 8);
}

static long sleep_poll(struct sleeper *s)
{
	struct pollfd p = {s->fd, s->wants_room ? POLLOUT : POLLIN, 0};
	long ret = s->raw ? tk_raw_syscall(SYS_ppoll, addr(&p), 1, 0, 0, 8, 0)
			  : answer_of(poll(&p, 1, -1));
	s->value = (uint64_t)p.revents;
	return ret;
}

static long sleep_select(struct sleeper *s)
{
	fd_set in;
	FD_ZERO(&in);
	FD_SET(s->fd, &in);
	fd_set *none = NULL, *out = s->wants_room ? &in : none, *ins = s->wants_room ? none : &in;
	long ret = s->raw ? tk_raw_syscall(SYS_pselect6, s->fd + 1, addr(ins), addr(out), 0, 0, 0)
			  : answer_of(select(s->fd + 1, ins, out, NULL, NULL));
	s->value = ret > 0 && FD_ISSET(s->fd, &in);
	return ret;
}

static long sleep_epoll(struct sleeper *s)
{
	struct epoll_event e = {0};
	long ret = s->raw ? tk_raw_syscall(SYS_epoll_pwait, s->set, addr(&e), 1, -1, 0, 8)
			  : answer_of(epoll_wait(s->set, &e, 1, -1));
	s->value = e.data.u64 << 32 | e.events;
	return ret;
}

/* It stays when its call is done: asleep, whichever way it went. */
static void *run_sleeper(void *arg)
{
	struct sleeper *s = arg;
	atomic_store(&s->tid, gettid());
	s->ret = s->sleep(s);
	atomic_store(&s->done, true);
	while (sem_wait(&s->leave) == -1)
		;
	return NULL;
}

static bool is_done(struct sleeper *s)
{
	tk_wait_asleep(s->tid);
	return s->done;
}

static void watch(struct sleeper *s)
{
	struct epoll_event e = {.events = s->wants_room ? EPOLLOUT : EPOLLIN, .data.u64 = 5};
	s->set = epoll_create1(EPOLL_CLOEXEC);
	if (s->raw)
		tk_raw_syscall(SYS_epoll_ctl, s->set, EPOLL_CTL_ADD, s->fd, addr(&e), 0, 0);
	else
		epoll_ctl(s->set, EPOLL_CTL_ADD, s->fd, &e);
}

static void start_sleeper(struct sleeper *s)
{
	watch(s);
	sem_init(&s->leave, 0, 0);
	cr_assert_eq(pthread_create(&s->thread, NULL, run_sleeper, s), 0);
	while (!atomic_load(&s->tid))
		sched_yield();
	cr_assert_not(is_done(s), "it does not block: %ld", s->ret);
}

static void end_sleeper(struct sleeper *s)
{
	count_signals(0);
	while (!is_done(s))
		cr_assert_eq(pthread_kill(s->thread, SIGUSR1), 0);
	sem_post(&s->leave);
	cr_assert_eq(pthread_join(s->thread, NULL), 0);
	sem_destroy(&s->leave);
	cr_assert_eq(close(s->set), 0);
}

/* Who gets the number. */
enum owner { NOBODY, EMPTY, READABLE, FULL, PIPE, PIPE_READABLE, MEMORY, OWNERS };
enum way { CLOSE, RANGE, OVERLAY, WAYS };

static int other_end;

static int make_owner(bool raw, enum owner who)
{
	static const uint64_t counts[] = {[EMPTY] = 0, [READABLE] = 3, [FULL] = COUNT_LIMIT};
	int ends[2], fd;
	if (who == MEMORY)
		return tk_memory_file(O_CLOEXEC);
	if (who < PIPE) {
		fd = (int)call(raw, SYS_eventfd2, 0, EFD_NONBLOCK, 0);
		if (counts[who])
			call(raw, SYS_write, fd, addr(&counts[who]), 8);
		return fd;
	}
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	other_end = ends[1];
	if (who == PIPE_READABLE)
		cr_assert_eq(write(other_end, "abcdefgh", 8), 8);
	return ends[0];
}

static void replace(bool raw, int fd, enum way way, enum owner who)
{
	other_end = -1;
	if (way == OVERLAY && who != NOBODY) {
		int owner = make_owner(raw, who);
		cr_assert_eq(call(raw, SYS_dup3, owner, fd, 0), fd);
		cr_assert_eq(call(raw, SYS_close, owner, 0, 0), 0);
		return;
	}
	if (way == RANGE)
		cr_assert_eq(call(raw, SYS_close_range, fd, fd, 0), 0);
	else
		cr_assert_eq(call(raw, SYS_close, fd, 0, 0), 0);
	if (who != NOBODY)
		cr_assert_eq(make_owner(raw, who), fd);
}

/* What the new owner holds; closes it. */
static uint64_t leave(bool raw, int fd, enum owner who)
{
	uint64_t value = 0;
	if (who == NOBODY)
		return 0;
	if (who == MEMORY)
		value = (uint64_t)lseek(fd, 0, SEEK_END);
	else
		call(raw, SYS_read, fd, addr(&value), 8);
	cr_assert_eq(call(raw, SYS_close, fd, 0, 0), 0);
	if (other_end >= 0)
		cr_assert_eq(close(other_end), 0);
	return value;
}

/* What happened. */
struct outcome {
	bool by_close, by_owner, by_copy; /* it had returned then */
	long ret;
	uint64_t value, owners, copys;
};

static void change_owner(bool raw, int fd, enum owner who)
{
	uint64_t one = 1, value;
	if (who == EMPTY || who == READABLE)
		call(raw, SYS_write, fd, addr(&one), 8);
	else if (who == FULL)
		call(raw, SYS_read, fd, addr(&value), 8);
	else if (other_end >= 0)
		cr_assert_eq(write(other_end, "12345678", 8), 8);
}

static struct outcome happen(struct sleeper s, enum way way, enum owner who)
{
	struct outcome o;
	uint64_t value = s.wants_room ? COUNT_LIMIT : 9;
	memset(&o, 0, sizeof(o));
	int pad = dup(0); /* a lower number, for what opens files meanwhile */
	s.fd = (int)call(s.raw, SYS_eventfd2, 0, 0, 0);
	if (who != NOBODY)
		close(pad);
	int fd = s.fd, copy = (int)call(s.raw, SYS_dup, fd, 0, 0);
	if (s.wants_room)
		cr_assert_eq(call(s.raw, SYS_write, copy, addr(&value), 8), 8);
	start_sleeper(&s);
	if (who == NOBODY)
		close(pad);
	replace(s.raw, fd, way, who);
	o.by_close = is_done(&s);
	change_owner(s.raw, fd, who);
	o.by_owner = is_done(&s);
	if (s.wants_room)
		call(s.raw, SYS_read, copy, addr(&value), 8);
	else
		call(s.raw, SYS_write, copy, addr(&value), 8);
	o.by_copy = is_done(&s);
	end_sleeper(&s);
	o.ret = s.ret;
	o.value = s.value;
	fcntl(copy, F_SETFL, O_NONBLOCK);
	if (call(s.raw, SYS_read, copy, addr(&o.copys), 8) == -EAGAIN)
		o.copys = 0;
	cr_assert_eq(call(s.raw, SYS_close, copy, 0, 0), 0);
	o.owners = leave(s.raw, fd, who);
	return o;
}

static void same(struct outcome k, struct outcome l, int way, int who)
{
	cr_assert(k.by_close == l.by_close && k.by_owner == l.by_owner && k.by_copy == l.by_copy,
		"way %d, owner %d: returned %d%d%d, the kernel %d%d%d", way, who, l.by_close,
		l.by_owner, l.by_copy, k.by_close, k.by_owner, k.by_copy);
	cr_assert(k.ret == l.ret && k.value == l.value,
		"way %d, owner %d: %ld with %#jx, the kernel %ld with %#jx", way, who, l.ret,
		(uintmax_t)l.value, k.ret, (uintmax_t)k.value);
	cr_assert(k.owners == l.owners && k.copys == l.copys,
		"way %d, owner %d: counts %#jx and %#jx, the kernel's %#jx and %#jx", way, who,
		(uintmax_t)l.owners, (uintmax_t)l.copys, (uintmax_t)k.owners, (uintmax_t)k.copys);
}

static void as_the_kernel(long (*sleep)(struct sleeper *), bool wants_room)
{
	for (enum way way = 0; way < WAYS; way++) {
		for (enum owner who = 0; who < OWNERS; who++) {
			struct sleeper s = {.sleep = sleep, .wants_room = wants_room};
			struct outcome libc, kernel;
			s.raw = true;
			kernel = happen(s, way, who);
			s.raw = false;
			libc = happen(s, way, who);
			same(kernel, libc, way, who);
			cr_assert_not(kernel.by_close || kernel.by_owner);
		}
	}
}

Test(closed_in_use, while_a_thread_reads)
{
	as_the_kernel(sleep_read, false);
}

Test(closed_in_use, while_a_thread_writes)
{
	as_the_kernel(sleep_write, true);
}

Test(closed_in_use, while_a_thread_polls_for_in)
{
	as_the_kernel(sleep_poll, false);
}

Test(closed_in_use, while_a_thread_polls_for_out)
{
	as_the_kernel(sleep_poll, true);
}

Test(closed_in_use, while_a_thread_selects_for_reading)
{
	as_the_kernel(sleep_select, false);
}

Test(closed_in_use, while_a_thread_selects_for_writing)
{
	as_the_kernel(sleep_select, true);
}

Test(closed_in_use, while_a_thread_waits_in_epoll_for_in)
{
	as_the_kernel(sleep_epoll, false);
}

Test(closed_in_use, while_a_thread_waits_in_epoll_for_out)
{
	as_the_kernel(sleep_epoll, true);
}
