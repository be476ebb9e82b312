/* What the suites of waiting share: one sequence applied to a kernel eventfd (raw system calls
 * only) and to libc's, with the answers compared; calls that block in a thread or a child; bad
 * memory. */
#ifndef PAIR_H
#define PAIR_H

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#define COUNT_LIMIT (UINT64_MAX - 1)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The same thing twice: an eventfd or an epoll set. */
struct pair {
	int kernel;
	int libc;
};

struct pair pair_eventfd(uint64_t count, int flags);
struct pair pair_epoll(void);
struct pair pair_dup(struct pair p);
void pair_close(struct pair p);

/* Each fails the test where the two answers differ, or where libc's touched errno on success,
 * and returns the answer: -errno on failure. */
long pair_write(struct pair p, uint64_t value);
long pair_read(struct pair p, uint64_t *value);
long pair_ctl(struct pair set, int op, struct pair p, uint32_t events, uint64_t data);
/* Never sleeps. The events come back sorted by their data. */
long pair_wait(struct pair set, struct epoll_event *events, int max);
/* The same for a set that can have one event at most: its mask, or 0. */
uint32_t pair_event(struct pair set);
/* revents of a poll that does not sleep. */
unsigned pair_poll(struct pair p, short events);
/* select that does not sleep; which sets: 1 read, 2 write, 4 except. */
unsigned pair_select(struct pair p, unsigned sets);

/* A pair watched by a pair of sets; the eventfds are non-blocking. */
struct watched {
	struct pair fd, set;
};
struct watched watch_pair(uint64_t count, int flags, uint32_t events);
void unwatch_pair(struct watched w);
/* Fails the test where the only event now is not this one (0: none). */
void expect_event(struct watched w, uint32_t events);

/* libc's answer in the kernel's form: -errno on failure. */
long answer_of(long ret);

void add_count(int fd, uint64_t value);
uint64_t take_count(int fd);
/* A libc eventfd, non-blocking. */
int eventfd_at(uint64_t count);
void set_ctl(int set, int op, int fd, uint32_t events, uint64_t data);
/* A set with one watch. */
int set_watching(int fd, uint32_t events, uint64_t data);
/* The mask of the only event a set has now, or 0; more than one fails the test. */
uint32_t set_event(int set);
/* The revents of one fd now, asked for `events`. */
unsigned poll_now(int fd, short events);

/* A call that blocks in a thread of its own. */
struct waiter {
	long (*call)(void *arg);
	void *arg;
	long ret;
	pthread_t thread;
	sem_t started;
	atomic_int tid;
	atomic_bool done;
};

/* Returns once the thread sleeps in its call. */
void waiter_start(struct waiter *w, long (*call)(void *arg), void *arg);
/* True if the thread is still in its call after it has gone back to sleep. */
bool waiter_sleeps(struct waiter *w);
/* Waits for the end of the call; what it answered (-errno on failure). */
long waiter_result(struct waiter *w);
/* Cancels the thread; true if that ended it. */
bool waiter_cancel(struct waiter *w);

/* Calls for it: poll of one `struct pollfd` and epoll_wait, both without a time limit. */
long call_poll(void *pollfd);
struct waited {
	int set;
	struct epoll_event events[8];
};
long call_epoll_wait(void *waited);

/* A child that runs `run` and exits with what it returns; reap gives that, or -signal. */
pid_t child_start(int (*run)(void *arg), void *arg);
int child_reap(pid_t pid);

/* SIGUSR1 handled by counting, with or without SA_RESTART. */
extern volatile sig_atomic_t signals_seen;
void count_signals(int sa_flags);
/* Leaves SIGUSR1 blocked and pending for the calling thread. */
void make_signal_pending(void);
bool signal_is_pending(void);

/* A page of this protection, all zero; one that is not mapped; a read-only copy;
 * and `size` writable bytes that end where nothing is mapped. */
void *page_of(int prot);
void *page_unmapped(void);
void *page_read_only(const void *from, size_t size);
void *bytes_before_hole(size_t size);

#endif
