/* poll and ppoll that sleep: what wakes them and what does not. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(poll_block, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { MANY = 1000 };

struct polled {
	struct pollfd *fds;
	nfds_t n;
	int ms;
};

static long call_poll_many(void *arg)
{
	struct polled *p = arg;
	return poll(p->fds, p->n, p->ms);
}

static long call_ppoll(void *arg)
{
	struct pollfd *p = arg;
	return ppoll(p, 1, NULL, NULL);
}

static int child_adds_one(void *fd)
{
	uint64_t one = 1;
	return write(*(int *)fd, &one, sizeof(one)) != 8;
}

static int child_takes(void *fd)
{
	uint64_t value;
	return read(*(int *)fd, &value, sizeof(value)) != 8;
}

static int child_polls(void *arg)
{
	struct pollfd *p = arg;
	return poll(p, 1, -1) == 1 && p->revents == p->events ? 0 : 1;
}

Test(poll_block, woken_by_a_write)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	add_count(p.fd, 5);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p.revents, POLLIN);
	cr_assert_eq(take_count(p.fd), 5);
	close(p.fd);
}

Test(poll_block, ppoll_without_a_time_limit_is_woken_by_a_write)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_ppoll, &p);
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p.revents, POLLIN);
	close(p.fd);
}

Test(poll_block, woken_again_and_again)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	for (int i = 0; i < 200; i++) {
		struct waiter w;
		waiter_start(&w, call_poll, &p);
		add_count(p.fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(take_count(p.fd), 1);
	}
	close(p.fd);
}

Test(poll_block, woken_by_a_write_through_a_duplicate)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	int copy = dup(p.fd);
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	add_count(copy, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(copy);
	close(p.fd);
}

Test(poll_block, woken_by_a_write_of_a_child)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	cr_assert_eq(child_reap(child_start(child_adds_one, &p.fd)), 0);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p.revents, POLLIN);
	close(p.fd);
}

Test(poll_block, child_is_woken_by_a_write)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	pid_t pid = child_start(child_polls, &p);
	tk_wait_process_asleep(pid);
	add_count(p.fd, 1);
	cr_assert_eq(child_reap(pid), 0);
	close(p.fd);
}

Test(poll_block, woken_for_out_at_the_limit_by_a_read)
{
	struct pollfd p = {eventfd_at(COUNT_LIMIT), POLLOUT, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	cr_assert_eq(take_count(p.fd), COUNT_LIMIT);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p.revents, POLLOUT);
	close(p.fd);
}

Test(poll_block, woken_for_out_at_the_limit_by_a_read_of_a_child)
{
	struct pollfd p = {eventfd_at(COUNT_LIMIT), POLLOUT, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	cr_assert_eq(child_reap(child_start(child_takes, &p.fd)), 0);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p.revents, POLLOUT);
	close(p.fd);
}

Test(poll_block, child_is_woken_for_out_at_the_limit)
{
	struct pollfd p = {eventfd_at(COUNT_LIMIT), POLLOUT, 0};
	pid_t pid = child_start(child_polls, &p);
	tk_wait_process_asleep(pid);
	cr_assert_eq(take_count(p.fd), COUNT_LIMIT);
	cr_assert_eq(child_reap(pid), 0);
	close(p.fd);
}

Test(poll_block, write_of_zero_wakes_nobody)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	add_count(p.fd, 0);
	cr_assert(waiter_sleeps(&w));
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(p.fd);
}

Test(poll_block, failed_calls_wake_nobody)
{
	struct pollfd p = {eventfd_at(COUNT_LIMIT), POLLOUT, 0};
	uint64_t value = 1;
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	cr_assert_eq(answer_of(write(p.fd, &value, sizeof(value))), -EAGAIN);
	cr_assert_eq(answer_of(read(p.fd, &value, 4)), -EINVAL);
	cr_assert(waiter_sleeps(&w));
	take_count(p.fd);
	cr_assert_eq(waiter_result(&w), 1);
	close(p.fd);
}

Test(poll_block, bits_nobody_raises_do_not_end_the_sleep)
{
	struct pollfd p[] = {
		{eventfd_at(0), POLLPRI | POLLRDHUP | POLLRDNORM, 0}, {eventfd_at(0), POLLIN, 0}};
	struct polled call = {p, 2, -1};
	struct waiter w;
	waiter_start(&w, call_poll_many, &call);
	add_count(p[0].fd, 1);
	cr_assert(waiter_sleeps(&w));
	add_count(p[1].fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p[0].revents, 0);
	cr_assert_eq(p[1].revents, POLLIN);
	close(p[0].fd);
	close(p[1].fd);
}

Test(poll_block, any_negative_time_limit_is_forever)
{
	static const int limits[] = {-1, -2, -1000, INT_MIN};
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct polled call = {&p, 1, limits[i]};
		struct waiter w;
		waiter_start(&w, call_poll_many, &call);
		add_count(p.fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
		take_count(p.fd);
	}
	close(p.fd);
}

Test(poll_block, woken_by_a_write_before_the_time_limit)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct polled call = {&p, 1, INT_MAX};
	struct waiter w;
	waiter_start(&w, call_poll_many, &call);
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(p.fd);
}

Test(poll_block, big_array_is_woken_by_its_last_entry)
{
	int idle = eventfd_at(0), last = eventfd_at(0);
	struct pollfd p[MANY];
	for (int i = 0; i < MANY; i++)
		p[i] = (struct pollfd){i == MANY - 1 ? last : idle, POLLIN, -1};
	struct polled call = {p, MANY, -1};
	struct waiter w;
	waiter_start(&w, call_poll_many, &call);
	add_count(last, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p[0].revents, 0);
	cr_assert_eq(p[MANY - 1].revents, POLLIN);
	close(idle);
	close(last);
}

Test(poll_block, one_fd_many_times_reports_every_entry)
{
	int fd = eventfd_at(0);
	struct pollfd p[MANY];
	for (int i = 0; i < MANY; i++)
		p[i] = (struct pollfd){fd, POLLIN, -1};
	struct polled call = {p, MANY, -1};
	struct waiter w;
	waiter_start(&w, call_poll_many, &call);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), MANY);
	close(fd);
}

Test(poll_block, woken_by_the_pipe_beside_it)
{
	int fd = eventfd_at(0), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	struct pollfd p[] = {{fd, POLLIN, -1}, {pipefd[0], POLLIN, -1}};
	struct polled call = {p, 2, -1};
	struct waiter w;
	waiter_start(&w, call_poll_many, &call);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p[0].revents, 0);
	cr_assert_eq(p[1].revents, POLLIN);
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

Test(poll_block, woken_while_the_pipe_beside_it_is_idle)
{
	int fd = eventfd_at(0), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	struct pollfd p[] = {{pipefd[0], POLLIN, -1}, {fd, POLLIN, -1}};
	struct polled call = {p, 2, -1};
	struct waiter w;
	waiter_start(&w, call_poll_many, &call);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p[0].revents, 0);
	cr_assert_eq(p[1].revents, POLLIN);
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

Test(poll_block, one_write_wakes_every_poller)
{
	enum { POLLERS = 4 };
	int fd = eventfd_at(0);
	struct pollfd p[POLLERS];
	struct waiter w[POLLERS];
	for (int i = 0; i < POLLERS; i++) {
		p[i] = (struct pollfd){fd, POLLIN, 0};
		waiter_start(&w[i], call_poll, &p[i]);
	}
	add_count(fd, 1);
	for (int i = 0; i < POLLERS; i++)
		cr_assert_eq(waiter_result(&w[i]), 1);
	close(fd);
}

Test(poll_block, poller_for_out_and_poller_for_in_are_told_apart)
{
	int fd = eventfd_at(COUNT_LIMIT);
	struct pollfd out = {fd, POLLOUT, 0}, in = {fd, POLLIN, 0};
	struct waiter wants_out, wants_in;
	waiter_start(&wants_out, call_poll, &out);
	take_count(fd);
	cr_assert_eq(waiter_result(&wants_out), 1);
	waiter_start(&wants_in, call_poll, &in);
	add_count(fd, COUNT_LIMIT);
	cr_assert_eq(waiter_result(&wants_in), 1);
	cr_assert_eq(in.revents, POLLIN);
	waiter_start(&wants_out, call_poll, &out);
	take_count(fd);
	cr_assert_eq(waiter_result(&wants_out), 1);
	cr_assert_eq(out.revents, POLLOUT);
	close(fd);
}

Test(poll_block, semaphore_wakes_by_a_write_and_by_one_unit_taken)
{
	struct pair s = pair_eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	struct pollfd p = {s.libc, POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	pair_write(s, COUNT_LIMIT);
	cr_assert_eq(waiter_result(&w), 1);
	p.events = POLLOUT;
	waiter_start(&w, call_poll, &p);
	pair_read(s, NULL);
	cr_assert_eq(waiter_result(&w), 1);
	pair_close(s);
}
