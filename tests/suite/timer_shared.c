/* Timers of several fds and processes: one timer, whoever sets, waits for and reads it. */
#define _GNU_SOURCE
#include "askboth.h"
#include "peer.h"
#include "reexec.h"
#include "timerkit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

TestSuite(timer_shared, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN };

Test(timer_shared, duplicates)
{
	int fd = new_timer(TFD_NONBLOCK), copy = dup(fd);
	int set = new_set_of(copy, IN, 5);
	set_timer(fd, 0, 100 * SECOND, 5 * SECOND);
	cr_assert_eq(ns_of(get_timer(copy).it_interval), 5 * SECOND);
	close(fd);
	set_timer(copy, 0, 2 * MS, 0);
	cr_assert_eq(told(set, LIMIT_MS), IN);
	int third = fcntl(copy, F_DUPFD, 0);
	cr_assert_eq(read_timer(third), 1);
	cr_assert_eq(read_timer(copy), -EAGAIN);
	close(copy);
	set_timer(third, 0, 2 * MS, 0);
	cr_assert_eq(polled_timer(third, POLLIN, LIMIT_MS), POLLIN);
	close(third);
	close(set);
}

Test(timer_shared, closed_while_it_is_armed_and_made_anew)
{
	for (int i = 0; i < 200; i++) {
		int fd = new_timer(TFD_NONBLOCK);
		cr_assert_eq(read_timer(fd), -EAGAIN);
		cr_assert_eq(ns_of(get_timer(fd).it_value), 0);
		set_timer(fd, 0, i % 3 ? 1 : MS / 5, i % 2 ? 1000 : 0);
		if (i % 5 == 0)
			cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
		close(fd);
	}
}

/* How a child waits for one expiration: true where it got it. */
enum way { BY_READ, BY_POLL, BY_EPOLL, BY_NEW_EPOLL, WAYS };

static bool waits(enum way way, int fd, int set)
{
	struct epoll_event event;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t count = 0;
	int own;

	switch (way) {
	case BY_READ:
		return read(fd, &count, 8) == 8 && count == 1;
	case BY_POLL:
		return poll(&p, 1, LIMIT_MS) == 1 && read(fd, &count, 8) == 8 && count == 1;
	case BY_EPOLL:
		return epoll_wait(set, &event, 1, LIMIT_MS) == 1 && read(fd, &count, 8) == 8;
	default:
		own = epoll_create1(0);
		event.events = IN;
		bool good = !epoll_ctl(own, EPOLL_CTL_ADD, fd, &event) &&
			    epoll_wait(own, &event, 1, LIMIT_MS) == 1 && read(fd, &count, 8) == 8;
		close(own);
		return good;
	}
}

static int end_of(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(timer_shared, a_child_waits_for_what_its_parent_set)
{
	for (enum way way = 0; way < WAYS; way++) {
		int fd = new_timer(0), set = new_set_of(fd, IN, 5);
		set_timer(fd, 0, 30 * MS, 0);
		let_threads_start();
		pid_t pid = fork();
		if (!pid)
			_exit(!waits(way, fd, set));
		cr_assert_eq(end_of(pid), 0, "way %d", way);
		cr_assert_eq(polled_timer(fd, POLLIN, 0), 0);
		close(set);
		close(fd);
	}
}

Test(timer_shared, a_parent_waits_for_what_its_child_set_and_left)
{
	for (int i = 0; i < 2 * WAYS; i++) {
		int fd = new_timer(0), set = new_set_of(fd, IN, 5);
		struct itimerspec to = spec(50 * MS, 0);
		if (i >= WAYS)
			set_timer(fd, 0, 3600 * SECOND, 0);
		let_threads_start();
		pid_t pid = fork();
		if (!pid) {
			tk_wait_process_asleep(getppid());
			timerfd_settime(fd, 0, &to, NULL);
			_exit(0);
		}
		cr_assert(waits((enum way)(i % WAYS), fd, set), "way %d", i);
		cr_assert_eq(end_of(pid), 0);
		close(set);
		close(fd);
	}
}

/* The grandchild waits when its parent, which set the timer, is killed. */
Test(timer_shared, who_set_it_is_killed)
{
	for (enum way way = 0; way < WAYS; way++) {
		int fd = new_timer(0), set = new_set_of(fd, IN, 5), ends[2];
		char told_by = 0;
		cr_assert_eq(pipe(ends), 0);
		let_threads_start();
		pid_t pid = fork();
		if (!pid) {
			struct itimerspec to = spec(100 * MS, 0);
			timerfd_settime(fd, 0, &to, NULL);
			let_threads_start();
			if (!fork()) {
				bool good;
				kill(getppid(), SIGKILL);
				good = waits(way, fd, set);
				_exit(write(ends[1], good ? "y" : "n", 1) != 1);
			}
			pause();
		}
		cr_assert_eq(end_of(pid), -1);
		cr_assert_eq(read(ends[0], &told_by, 1), 1);
		cr_assert_eq(told_by, 'y', "way %d", way);
		close(ends[0]), close(ends[1]), close(set);
		close(fd);
	}
}

Test(timer_shared, two_processes_share_the_expirations_out)
{
	int fd = new_timer(0), ends[2];
	int64_t first = now() + MS, interval = MS / 2, all = 0, part;
	cr_assert_eq(pipe(ends), 0);
	set_timer(fd, TFD_TIMER_ABSTIME, first, interval);
	pid_t pid = fork();
	for (int i = 0; i < 100; i++) {
		int64_t n = read_timer(fd);
		all += n;
	}
	if (!pid)
		_exit(write(ends[1], &all, sizeof(all)) != sizeof(all));
	cr_assert_eq(read(ends[0], &part, sizeof(part)), (ssize_t)sizeof(part));
	cr_assert_eq(end_of(pid), 0);
	all += part;
	cr_assert_geq(all, 200);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	first += all * interval;
	sleep_until(first + 20 * interval);
	int64_t least = (now() - first) / interval + 1, count = read_timer(fd);
	int64_t most = (now() - first) / interval + 1;
	cr_assert(count >= least && count <= most);
	close(ends[0]), close(ends[1]);
	close(fd);
}

ROLE(waits_in_every_way)
{
	struct itimerspec to = spec(20 * MS, 0);
	CHECK(waits(BY_READ, arg[0], -1));
	for (int way = BY_READ; way < WAYS; way++) {
		CHECK(timerfd_settime(arg[0], 0, &to, NULL) == 0);
		CHECK(waits((enum way)way, arg[0], arg[1]));
	}
	to.it_value.tv_sec = 77;
	CHECK(timerfd_settime(arg[0], 0, &to, NULL) == 0);
}

Test(timer_shared, another_program_has_it)
{
	int fd = new_timer(0), set = new_set_of(fd, IN, 5);
	set_timer(fd, 0, 50 * MS, 0);
	in_role("waits_in_every_way %d %d", fd, set);
	cr_assert_gt(get_timer(fd).it_value.tv_sec, 50);
	close(set);
	close(fd);
}

ROLE(waits_once)
{
	CHECK(waits((enum way)arg[2], arg[0], arg[1]));
}

Test(timer_shared, a_process_becomes_another_program)
{
	for (enum way way = 0; way < WAYS; way++) {
		int fd = new_timer(0), set = new_set_of(fd, IN, 5);
		let_threads_start();
		pid_t pid = fork();
		if (!pid) {
			struct itimerspec to = spec(100 * MS, 0);
			timerfd_settime(fd, 0, &to, NULL);
			become("waits_once %d %d %d", fd, set, way);
		}
		close(set);
		close(fd);
		end_child(pid);
	}
}

Test(timer_shared, sent_to_a_peer)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		struct peer p = peer_start(kind);
		int fd = new_timer(0);
		peer_send_one(p, fd);
		set_timer(fd, 0, 20 * MS, 0);
		struct peer_answer a = peer_do(p, PEER_READ, 0, 0, 0);
		cr_assert(a.ret == 8 && a.value == 1);
		set_timer(fd, 0, 20 * MS, 0);
		cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN | POLLOUT, LIMIT_MS).ret, POLLIN);
		cr_assert_eq(read_timer(fd), 1);
		peer_ask_asleep(p, PEER_READ, 0, 0, 0);
		set_timer(fd, 0, 20 * MS, 0);
		close(fd);
		a = peer_answer(p);
		cr_assert(a.ret == 8 && a.value == 1);
		peer_end(p);
	}
}

Test(timer_shared, in_a_set_of_a_peer)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		struct peer p = peer_start(kind);
		int fd = new_timer(0);
		set_timer(fd, 0, 20 * MS, 0);
		peer_send_one(p, fd);
		int set = 1; /* the second fd it has */
		cr_assert_eq(peer_do(p, PEER_SET, 0, IN | EPOLLOUT, 99).ret, 0);
		struct peer_answer a = peer_do(p, PEER_WAIT, set, 0, 0);
		cr_assert(a.ret == IN && a.value == 99);
		cr_assert_eq(peer_do(p, PEER_READ, 0, 0, 0).ret, 8);
		cr_assert_eq(peer_do(p, PEER_LOOK, set, 0, 0).ret, 0);
		peer_ask_asleep(p, PEER_WAIT, set, 0, 0);
		set_timer(fd, 0, 20 * MS, 0);
		close(fd);
		cr_assert_eq(peer_answer(p).ret, IN);
		peer_end(p);
	}
}

ROLE(ends_all_threads)
{
	struct itimerspec to = spec(3600 * SECOND, 0);
	CHECK(timerfd_settime(arg[0], 0, &to, NULL) == 0);
	pthread_exit(NULL);
}

/* Whatever sees to the timers does not hold the process up. */
Test(timer_shared, a_process_ends_with_its_last_thread)
{
	int fd = new_timer(0), ends[2];
	cr_assert_eq(pipe(ends), 0);
	pid_t pid = start_role("ends_all_threads %d", fd);
	close(ends[1]);
	struct pollfd end = {.fd = ends[0], .events = POLLIN};
	int n = poll(&end, 1, LIMIT_MS);
	if (!n)
		kill(pid, SIGKILL);
	cr_assert_eq(n, 1, "it is there yet");
	end_child(pid);
	close(ends[0]);
	close(fd);
}

/* What cannot be kept is not promised: nobody waits for a timer that nothing fires. */
static int set_where_no_thread_can_be_had(void)
{
	struct itimerspec to = spec(20 * MS, 0);
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), ret;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	tk_deny(SYS_clone, SYS_clone3);
	ret = timerfd_settime(fd, 0, &to, NULL);
	if (ret)
		return ret == -1 && errno == ENOMEM && tk_under_shim() ? 0 : 1;
	return poll(&p, 1, LIMIT_MS) == 1 ? 0 : 2;
}

Test(timer_shared, without_another_thread)
{
	int status;
	pid_t pid = fork();
	if (!pid)
		_exit(set_where_no_thread_can_be_had());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		cr_skip_test("no filters");
	cr_assert_eq(status, 0);
}
