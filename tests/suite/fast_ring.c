/* Loops, each in a thread and with a set of its own, that hand a token round by eventfds: each
 * sleeps until the one before it writes. A lost wake-up hangs the test; so does a sleep that never
 * ends. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_ring, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { IN = EPOLLIN, MEMBERS = 4, PASSES = 2500, STOP = 1 << 20 };

struct ring {
	uint32_t interest;
	int fd[MEMBERS], set[MEMBERS];
	atomic_int wrong;
	_Atomic uint64_t passes;
};

struct member {
	struct ring *ring;
	int me;
};

static void pass(struct ring *r, int to, uint64_t value)
{
	r->wrong += write(r->fd[to % MEMBERS], &value, sizeof(value)) != 8;
}

static void *take_part(void *arg)
{
	struct member *m = arg;
	struct ring *r = m->ring;
	struct epoll_event event = {0};
	for (uint64_t value = 0; value < STOP;) {
		r->wrong += epoll_wait(r->set[m->me], &event, 1, -1) != 1;
		r->wrong += event.data.u64 != (uint64_t)m->me || event.events != IN;
		r->wrong += read(r->fd[m->me], &value, sizeof(value)) != 8;
		event = (struct epoll_event){.events = r->interest, .data.u64 = (uint64_t)m->me};
		if (r->interest & EPOLLONESHOT)
			r->wrong += epoll_ctl(r->set[m->me], EPOLL_CTL_MOD, r->fd[m->me], &event);
		if (value < STOP && ++r->passes > MEMBERS * PASSES)
			value = STOP;
		pass(r, m->me + 1, value);
	}
	return NULL;
}

static void fork_now_and_then(struct ring *r)
{
	for (uint64_t at = 500; at < MEMBERS * PASSES; at += 2500) {
		int status = -1;
		while (r->passes < at)
			sched_yield();
		pid_t pid = fork();
		if (!pid)
			_exit(0);
		cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

/* A libc that blocks signals while it forks has those of children that end meanwhile queued, and
 * they interrupt other threads. */
static void block_signals_of_children(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
}

/* The token of STOP goes round once: each member gets it, or has ended. */
static void go_round(uint32_t interest, bool forks)
{
	struct ring r = {.interest = interest};
	struct member who[MEMBERS];
	pthread_t thread[MEMBERS];
	block_signals_of_children();
	for (int i = 0; i < MEMBERS; i++) {
		r.fd[i] = eventfd_at(0);
		r.set[i] = set_watching(r.fd[i], interest, (uint64_t)i);
	}
	for (int i = 0; i < MEMBERS; i++) {
		who[i] = (struct member){&r, i};
		cr_assert_eq(pthread_create(&thread[i], NULL, take_part, &who[i]), 0);
	}
	pass(&r, 0, 1);
	if (forks)
		fork_now_and_then(&r);
	for (int i = 0; i < MEMBERS; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	cr_assert_eq(r.wrong, 0);
	for (int i = 0; i < MEMBERS; i++) {
		close(r.fd[i]);
		close(r.set[i]);
	}
}

Test(fast_ring, by_level)
{
	go_round(IN, false);
	go_round(IN, true);
}

Test(fast_ring, by_edge)
{
	go_round(IN | EPOLLET, false);
	go_round(IN | EPOLLET, true);
}

Test(fast_ring, by_one_shot)
{
	go_round(IN | EPOLLONESHOT, false);
	go_round(IN | EPOLLONESHOT, true);
}

/* Writes that are taken back before the sleeper looks: it is not told of them, never returns
 * without an event, and its time limit is not put off by them. */
struct vain {
	int fd, set, limit;
	atomic_bool over;
	uint64_t pairs;
	long told;
	int64_t slept;
};

static void *wait_in_vain(void *arg)
{
	struct vain *v = arg;
	struct epoll_event event;
	int64_t start = tk_now_ms();
	v->told = answer_of(epoll_wait(v->set, &event, 1, v->limit));
	v->slept = tk_now_ms() - start;
	v->over = true;
	return NULL;
}

static void take_back(struct vain *v, uint32_t interest)
{
	pthread_t thread;
	v->fd = eventfd_at(0);
	v->set = set_watching(v->fd, interest, 1);
	v->over = false;
	cr_assert_eq(pthread_create(&thread, NULL, wait_in_vain, v), 0);
	for (v->pairs = 0; !v->over && v->pairs < 2000000000; v->pairs++) {
		uint64_t value = 1;
		if (write(v->fd, &value, 8) != 8 || read(v->fd, &value, 8) != 8)
			cr_assert_fail("a pair");
		if (v->limit < 0 && v->pairs > 20000)
			add_count(v->fd, 1);
		if (v->limit < 0 && v->pairs > 20000)
			break;
	}
	cr_assert_eq(pthread_join(thread, NULL), 0);
	close(v->set);
	close(v->fd);
}

Test(fast_ring, a_sleep_without_limit_ends_with_an_event)
{
	for (int i = 0; i < 5; i++) {
		struct vain v = {.limit = -1};
		take_back(&v, i % 2 ? IN : IN | EPOLLET);
		cr_assert_eq(v.told, 1);
	}
}

Test(fast_ring, a_limit_is_not_put_off)
{
	for (int i = 0; i < 5; i++) {
		struct vain v = {.limit = 30};
		take_back(&v, i % 2 ? IN : IN | EPOLLET);
		cr_assert(v.told == 1 || (v.told == 0 && v.slept >= 30), "%ld after %ld ms", v.told,
			(long)v.slept);
	}
}
