/* Many at once: readers that never read, numbers that come and go, processes that die. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(stress_churn, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { WORKERS = 4, ROUNDS = 4000, FORKS = 300, KILLS = 100 };

struct shared {
	int fd;
	int epfd;
	int back;
	atomic_int posted;
};

static struct shared *new_shared(unsigned events)
{
	struct epoll_event e = {.events = events};
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(s != MAP_FAILED);
	s->fd = efd_open(0, EFD_NONBLOCK);
	s->back = efd_open(0, 0);
	s->epfd = epoll_create1(0);
	cr_assert_eq(epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->fd, &e), 0);
	return s;
}

static void free_shared(struct shared *s)
{
	efd_close(s->fd);
	efd_close(s->back);
	efd_close(s->epfd);
	munmap(s, sizeof(*s));
}

static void put(int fd, uint64_t value)
{
	CHECK(write(fd, &value, sizeof(value)) == sizeof(value));
}

static uint64_t get(int fd)
{
	uint64_t value;
	CHECK(read(fd, &value, sizeof(value)) == sizeof(value));
	return value;
}

static void start_workers(pthread_t threads[WORKERS], void *(*run)(void *), void *arg)
{
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, run, arg), 0);
}

static void join_workers(pthread_t threads[WORKERS])
{
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

static void wake_and_wait_for_the_answer(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		put(s->fd, 1);
		CHECK(get(s->back) == 1);
	}
}

static void *wake_in_thread(void *arg)
{
	wake_and_wait_for_the_answer(arg);
	return NULL;
}

static void wake_in_process(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	wake_and_wait_for_the_answer(arg);
}

static void answer_every_edge(struct shared *s)
{
	struct epoll_event e;
	for (int i = 0; i < ROUNDS; i++) {
		cr_assert_eq(epoll_wait(s->epfd, &e, 1, -1), 1);
		cr_assert_eq(e.events, EPOLLIN);
		efd_add(s->back, 1);
	}
	cr_assert_eq(epoll_wait(s->epfd, &e, 1, 0), 0);
	efd_expect(s->fd, ROUNDS);
}

Test(stress_churn, every_write_is_an_edge_for_a_loop_that_never_reads)
{
	struct shared *s = new_shared(EPOLLIN | EPOLLET);
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, wake_in_thread, s), 0);
	answer_every_edge(s);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	efd_expect_empty(s->back);
	free_shared(s);
}

Test(stress_churn, every_write_of_a_process_is_an_edge_for_a_loop_that_never_reads)
{
	struct shared *s = new_shared(EPOLLIN | EPOLLET);
	pid_t pid = start_child(wake_in_process, s);
	answer_every_edge(s);
	end_child(pid);
	efd_expect_empty(s->back);
	free_shared(s);
}

static void post_and_put(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&s->posted, 1);
		put(s->fd, 1);
	}
}

static void *post_in_thread(void *arg)
{
	post_and_put(arg);
	return NULL;
}

static void post_in_process(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	post_and_put(arg);
}

/* As libevent does: the edge says look, the work is elsewhere, and the count only ever grows. */
static void see_all_posted(struct shared *s)
{
	struct epoll_event e;
	while (atomic_load(&s->posted) < WORKERS * ROUNDS)
		cr_assert_eq(epoll_wait(s->epfd, &e, 1, -1), 1);
}

Test(stress_churn, a_loop_that_never_reads_sees_all_that_four_threads_post)
{
	struct shared *s = new_shared(EPOLLIN | EPOLLET);
	pthread_t threads[WORKERS];
	start_workers(threads, post_in_thread, s);
	see_all_posted(s);
	join_workers(threads);
	efd_expect(s->fd, WORKERS * ROUNDS);
	free_shared(s);
}

Test(stress_churn, a_loop_that_never_reads_sees_all_that_four_processes_post)
{
	struct shared *s = new_shared(EPOLLIN | EPOLLET);
	pid_t pids[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		pids[i] = start_child(post_in_process, s);
	see_all_posted(s);
	for (int i = 0; i < WORKERS; i++)
		end_child(pids[i]);
	efd_expect(s->fd, WORKERS * ROUNDS);
	free_shared(s);
}

static void *put_by_dups(void *arg)
{
	const struct shared *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		int fd = dup(s->fd);
		CHECK(fd >= 0);
		put(fd, 1);
		CHECK(close(fd) == 0);
	}
	return NULL;
}

Test(stress_churn, threads_write_by_dups_that_come_and_go)
{
	struct shared *s = new_shared(EPOLLIN);
	pthread_t threads[WORKERS];
	struct epoll_event e;
	start_workers(threads, put_by_dups, s);
	join_workers(threads);
	cr_assert_eq(epoll_wait(s->epfd, &e, 1, 0), 1);
	efd_expect(s->fd, WORKERS * ROUNDS);
	cr_assert_eq(epoll_wait(s->epfd, &e, 1, 0), 0);
	free_shared(s);
}

static void *make_and_close(void *arg)
{
	uint64_t value;
	(void)arg;
	for (unsigned i = 0; i < ROUNDS / 2; i++) {
		int fd = eventfd(i, EFD_NONBLOCK);
		CHECK(fd >= 0);
		put(fd, 1);
		CHECK(get(fd) == i + 1);
		CHECK(read(fd, &value, sizeof(value)) == -1 && errno == EAGAIN);
		CHECK(close(fd) == 0);
	}
	return NULL;
}

Test(stress_churn, threads_make_and_close_their_own)
{
	pthread_t threads[WORKERS];
	start_workers(threads, make_and_close, NULL);
	join_workers(threads);
}

/* A number that was an eventfd is a pipe next, and the other way round. */
static void *alternate_with_pipes(void *arg)
{
	char text[8];
	(void)arg;
	for (unsigned i = 1; i <= ROUNDS / 2; i++) {
		int p[2], fd = eventfd(i, 0);
		CHECK(pipe(p) == 0);
		CHECK(get(fd) == i);
		CHECK(close(fd) == 0);
		CHECK(write(p[1], "abc", 3) == 3);
		CHECK(read(p[0], text, sizeof(text)) == 3);
		CHECK(close(p[0]) == 0 && close(p[1]) == 0);
	}
	return NULL;
}

Test(stress_churn, threads_use_the_same_numbers_for_eventfds_and_pipes)
{
	pthread_t threads[WORKERS];
	start_workers(threads, alternate_with_pipes, NULL);
	join_workers(threads);
}

static void put_and_make(void *arg)
{
	const struct shared *s = arg;
	int own = eventfd(5, 0);
	CHECK(own >= 0);
	put(s->fd, 1);
	CHECK(get(own) == 5);
}

Test(stress_churn, hundreds_of_children_write_once_each)
{
	struct shared *s = new_shared(EPOLLIN);
	struct epoll_event e;
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = start_child(put_and_make, s);
		cr_assert_eq(epoll_wait(s->epfd, &e, 1, -1), 1);
		end_child(pid);
		efd_expect(s->fd, 1);
		cr_assert_eq(epoll_wait(s->epfd, &e, 1, 0), 0);
	}
	free_shared(s);
}

static void put_and_get_for_ever(void *arg)
{
	struct shared *s = arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		uint64_t value;
		put(s->fd, 1);
		atomic_fetch_add(&s->posted, 1);
		if (read(s->fd, &value, 8) == -1)
			CHECK(errno == EAGAIN);
	}
}

static void start_and_kill(struct shared *s)
{
	int status, before = atomic_load(&s->posted);
	pid_t pid = start_child(put_and_get_for_ever, s);
	while (atomic_load(&s->posted) == before)
		sched_yield();
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
}

Test(stress_churn, a_process_killed_anywhere_leaves_a_working_eventfd)
{
	struct shared *s = new_shared(EPOLLIN);
	for (int i = 0; i < KILLS; i++) {
		uint64_t left;
		struct epoll_event e;
		start_and_kill(s);
		efd_add(s->fd, 1);
		cr_assert_eq(epoll_wait(s->epfd, &e, 1, 0), 1);
		cr_assert_eq(efd_try_read(s->fd, &left), 8);
		cr_assert(left == 1 || left == 2);
		cr_assert_eq(epoll_wait(s->epfd, &e, 1, 0), 0);
		efd_expect_empty(s->fd);
	}
	free_shared(s);
}

static void get_for_ever(void *arg)
{
	const struct shared *s = arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		get(s->back);
}

Test(stress_churn, readers_killed_while_they_wait_take_no_later_count)
{
	struct shared *s = new_shared(EPOLLIN);
	for (int i = 0; i < KILLS; i++) {
		int status;
		pid_t pid = start_child(get_for_ever, s);
		efd_add(s->back, 1);
		tk_wait_process_asleep(pid);
		efd_expect_empty(s->back);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		efd_add(s->back, 3);
		efd_expect(s->back, 3);
	}
	free_shared(s);
}
