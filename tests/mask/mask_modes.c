/* epoll of mask eventfds beyond the matrix: errors of epoll_ctl, user data, few events at a time,
 * real files in the same set. */
#define _GNU_SOURCE
#include "askboth.h"
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(mask_modes, .init = tk_setup, .fini = tk_teardown, .timeout = 30);
TestSuite(mask_mixed, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL, WATCHES = 8 };

static long control(int set, int op, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = 1};
	return epoll_ctl(set, op, fd, &event);
}

Test(mask_modes, user_data_comes_back_bit_for_bit)
{
	static const uint64_t odd[] = {0, UINT64_MAX, 1, UINT64_C(1) << 63, UINT32_MAX,
		UINT64_C(0xffffffff00000000), UINT64_C(0xdeadbeefcafef00d),
		UINT64_C(0x7fffffffffffffff)};
	static const uint32_t modes[] = {
		0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLWAKEUP};
	int fd = mask_open(0);
	for (uint32_t i = 0; i < MASK_INTERESTS * 5; i++) {
		for (unsigned d = 0; d < sizeof(odd) / sizeof(*odd); d++) {
			uint64_t data = odd[d] ^ 0x5555;
			int set = mask_watch(fd, i / 5 | modes[i % 5], odd[d]);
			mask_set(fd, EPOLLHUP);
			cr_assert_eq(mask_event(set, &data), EPOLLHUP);
			cr_assert_eq(data, odd[d]);
			mask_ctl(set, MOD, fd, i / 5 | modes[i % 5], ~odd[d]);
			cr_assert_eq(mask_event(set, &data), EPOLLHUP);
			cr_assert_eq(data, ~odd[d]);
			close(set);
		}
	}
	mask_close(fd);
}

Test(mask_modes, the_same_user_data_for_all_watches)
{
	int fd[WATCHES], set = mask_new_set();
	struct epoll_event events[WATCHES];
	for (int i = 0; i < WATCHES; i++) {
		fd[i] = i ? dup(fd[0]) : mask_open(0);
		mask_ctl(set, ADD, fd[i], (uint32_t)i, UINT64_MAX);
	}
	mask_set(fd[0], 7);
	cr_assert_eq(epoll_wait(set, events, WATCHES, 0), WATCHES - 1);
	uint32_t seen = 0;
	for (int i = 0; i < WATCHES - 1; i++) {
		cr_assert_eq(events[i].data.u64, UINT64_MAX);
		seen |= 1U << events[i].events;
	}
	cr_assert_eq(seen, 0xfe);
	for (int i = 0; i < WATCHES; i++)
		mask_close(fd[i]);
	close(set);
}

Test(mask_modes, errors_of_epoll_ctl)
{
	int fd = mask_open(0), set = mask_new_set(), other = mask_new_set();
	FAILS(control(set, MOD, fd, EPOLLPRI), ENOENT);
	FAILS(control(set, DEL, fd, 0), ENOENT);
	FAILS(control(set, 9, fd, EPOLLPRI), EINVAL);
	FAILS(control(fd, ADD, set, EPOLLPRI), EINVAL);
	FAILS(control(fd, ADD, fd, EPOLLPRI), EINVAL);
	FAILS(control(set, ADD, 9999, EPOLLPRI), EBADF);
	FAILS(control(9999, ADD, fd, EPOLLPRI), EBADF);
	FAILS(epoll_ctl(set, ADD, fd, NULL), EFAULT);
	for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
		cr_assert_eq(control(set, ADD, fd, i), 0);
		FAILS(control(set, ADD, fd, 7 - i), EEXIST);
		FAILS(epoll_ctl(set, MOD, fd, NULL), EFAULT);
		cr_assert_eq(epoll_ctl(set, DEL, fd, NULL), 0);
		FAILS(control(set, MOD, fd, i), ENOENT);
		FAILS(control(other, DEL, fd, i), ENOENT);
	}
	struct epoll_event event;
	FAILS(epoll_wait(fd, &event, 1, 0), EINVAL);
	FAILS(epoll_wait(set, &event, 0, 0), EINVAL);
	cr_assert_eq(mask_poll(set, 7), 0);
	close(other);
	close(set);
	mask_close(fd);
}

/* One event at a time: by level they come in turn, by edge each once. */
static void one_by_one(uint32_t flags)
{
	int fd[WATCHES], set = mask_new_set();
	for (int i = 0; i < WATCHES; i++) {
		fd[i] = i % 2 ? dup(fd[i - 1]) : mask_open(0);
		mask_ctl(set, ADD, fd[i], (i % 2 ? EPOLLPRI : EPOLLOUT) | flags, (uint64_t)i);
		mask_set(fd[i], EPOLLPRI | EPOLLOUT);
	}
	for (int round = 0; round < 3; round++) {
		unsigned seen = 0;
		for (int i = 0; i < WATCHES; i++) {
			struct epoll_event event;
			int n = epoll_wait(set, &event, 1, 0);
			cr_assert_eq(n, flags && round ? 0 : 1);
			if (n)
				seen |= 1U << event.data.u64;
		}
		cr_assert_eq(seen, flags && round ? 0 : 0xff, "round %d: %#x", round, seen);
	}
	for (int i = 0; i < WATCHES; i++)
		mask_close(fd[i]);
	close(set);
}

Test(mask_modes, one_event_at_a_time)
{
	one_by_one(0);
	one_by_one(EPOLLET);
	one_by_one(EPOLLONESHOT);
}

/* What did not fit comes with the next call. */
Test(mask_modes, an_edge_that_did_not_fit_is_not_lost)
{
	int a = mask_open(0), b = mask_open(0), set = mask_watch(a, EPOLLPRI | EPOLLET, 1);
	mask_ctl(set, ADD, b, EPOLLOUT | EPOLLET, 2);
	for (int round = 0; round < 100; round++) {
		struct epoll_event first, second;
		mask_set(a, EPOLLPRI);
		mask_set(b, EPOLLOUT);
		cr_assert_eq(epoll_wait(set, &first, 1, 0), 1);
		cr_assert_eq(epoll_wait(set, &second, 1, 0), 1);
		cr_assert_eq(first.data.u64 + second.data.u64, 3);
		cr_assert_eq(mask_event(set, NULL), 0);
	}
	close(set);
	mask_close(a);
	mask_close(b);
}

/* What does not match any more when it is looked at is dropped, and says so no more. */
Test(mask_modes, a_pulse_between_two_looks_is_not_reported)
{
	int fd = mask_open(0), level = mask_watch(fd, EPOLLPRI, 1),
	    edge = mask_watch(fd, EPOLLPRI | EPOLLET, 1),
	    once = mask_watch(fd, EPOLLPRI | EPOLLONESHOT, 1);
	int sets[] = {level, edge, once};
	for (int round = 0; round < 100; round++) {
		mask_set(fd, EPOLLPRI);
		mask_set(fd, EPOLLIN);
		for (int i = 0; i < 3; i++) {
			cr_assert_eq(mask_event(sets[i], NULL), 0);
			cr_assert_eq(mask_poll(sets[i], EPOLLIN), 0);
		}
	}
	mask_set(fd, EPOLLPRI);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(mask_event(sets[i], NULL), EPOLLPRI);
		close(sets[i]);
	}
	mask_close(fd);
}

/* A pipe, a socket and a counter next to masks of every class. */
struct mixture {
	int pipe[2], sock[2], counter, mask[WATCHES];
};

static struct mixture mix(void)
{
	struct mixture m;
	cr_assert_eq(pipe2(m.pipe, O_CLOEXEC), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, m.sock), 0);
	m.counter = new_eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < WATCHES; i++)
		m.mask[i] = mask_open(0);
	return m;
}

static void unmix(struct mixture *m)
{
	for (int i = 0; i < 2; i++) {
		close(m->pipe[i]);
		close(m->sock[i]);
	}
	close(m->counter);
	for (int i = 0; i < WATCHES; i++)
		mask_close(m->mask[i]);
}

Test(mask_mixed, in_one_set)
{
	struct mixture m = mix();
	struct epoll_event events[16];
	int set = mask_watch(m.pipe[0], EPOLLIN, 100);
	mask_ctl(set, ADD, m.sock[0], EPOLLIN | EPOLLET, 101);
	mask_ctl(set, ADD, m.counter, EPOLLIN, 102);
	for (int i = 0; i < WATCHES; i++)
		mask_ctl(set, ADD, m.mask[i], (uint32_t)i, (uint64_t)i);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		int expected = 3;
		cr_assert_eq(write(m.pipe[1], "x", 1), 1);
		cr_assert_eq(write(m.sock[1], "y", 1), 1);
		add(m.counter, 1);
		for (uint32_t i = 0; i < WATCHES; i++) {
			mask_set(m.mask[i], state);
			expected += model_wakes(state, i);
		}
		int n = epoll_wait(set, events, 16, 0);
		cr_assert_eq(n, expected, "state %#x: %d", state, n);
		for (int e = 0; e < n; e++) {
			uint32_t of = (uint32_t)events[e].data.u64;
			cr_assert_eq(events[e].events, of < 100 ? model_poll(state, of) : EPOLLIN);
		}
		char byte;
		cr_assert_eq(read(m.pipe[0], &byte, 1), 1);
		cr_assert_eq(read(m.sock[0], &byte, 1), 1);
		assert_count(m.counter, 1);
		for (int i = 0; i < WATCHES; i++)
			mask_set(m.mask[i], 0);
		cr_assert_eq(epoll_wait(set, events, 16, 0), 0);
	}
	close(set);
	unmix(&m);
}

/* One thread sleeps on all of them: each wakes it. */
static long sleep_on_all(const struct mixture *m, struct mate *mate, int set, int source)
{
	mate_ask_asleep(mate, (struct mate_call){.op = MATE_WAIT, .fd = set, .limit = -1});
	if (source == 100)
		cr_assert_eq(write(m->pipe[1], "x", 1), 1);
	else if (source == 101)
		cr_assert_eq(write(m->sock[1], "x", 1), 1);
	else if (source == 102)
		add(m->counter, 1);
	else
		mask_set(m->mask[source], source ? (uint32_t)source : EPOLLERR);
	struct mate_reply r = mate_answer(mate);
	cr_assert_eq(r.ret, 1);
	cr_assert_eq(r.data, (uint64_t)source);
	return r.events;
}

Test(mask_mixed, asleep_on_all_in_one_set)
{
	struct mixture m = mix();
	struct mate mate = mate_start(MATE_THREAD);
	int set = mask_watch(m.pipe[0], EPOLLIN | EPOLLET, 100);
	mask_ctl(set, ADD, m.sock[0], EPOLLIN | EPOLLET, 101);
	mask_ctl(set, ADD, m.counter, EPOLLIN | EPOLLET, 102);
	for (int i = 0; i < WATCHES; i++)
		mask_ctl(set, ADD, m.mask[i], (uint32_t)i | EPOLLET, (uint64_t)i);
	for (int round = 0; round < 3; round++) {
		for (int source = 0; source < 103; source = source == 7 ? 100 : source + 1) {
			long events = sleep_on_all(&m, &mate, set, source);
			cr_assert_eq(events, source >= 100 ? EPOLLIN : source ? source : EPOLLERR);
		}
	}
	mate_end(&mate);
	close(set);
	unmix(&m);
}

Test(mask_mixed, in_one_poll_and_one_select)
{
	struct mixture m = mix();
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		struct pollfd p[4] = {{m.pipe[0], POLLIN, 0}, {m.mask[0], POLLPRI, 0},
			{m.sock[1], POLLOUT, 0}, {m.mask[1], POLLIN | POLLOUT, 0}};
		fd_set in, out, except;
		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_ZERO(&except);
		FD_SET(m.pipe[0], &in);
		FD_SET(m.sock[1], &out);
		FD_SET(m.mask[0], &except);
		FD_SET(m.mask[1], &in);
		FD_SET(m.mask[1], &out);
		mask_set(m.mask[0], state);
		mask_set(m.mask[1], MASK_STATES - 1 - state);
		cr_assert_eq(poll(p, 4, 1000), 1 + !!p[1].revents + !!p[3].revents);
		cr_assert(!p[0].revents && p[2].revents == POLLOUT);
		cr_assert_eq((uint32_t)p[1].revents, model_poll(state, EPOLLPRI));
		cr_assert_eq((uint32_t)p[3].revents, model_poll(MASK_STATES - 1 - state, 5));
		unsigned first = model_select(state, SELECT_EXCEPT),
			 second = model_select(MASK_STATES - 1 - state, SELECT_IN | SELECT_OUT);
		int n = select(64, &in, &out, &except, NULL);
		cr_assert_eq(n, 1 + __builtin_popcount(first) + __builtin_popcount(second));
		cr_assert(!FD_ISSET(m.pipe[0], &in) && FD_ISSET(m.sock[1], &out));
		cr_assert_eq(!!FD_ISSET(m.mask[0], &except), !!first);
		cr_assert_eq(!!FD_ISSET(m.mask[1], &in), !!(second & SELECT_IN));
		cr_assert_eq(!!FD_ISSET(m.mask[1], &out), !!(second & SELECT_OUT));
	}
	unmix(&m);
}
