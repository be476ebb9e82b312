/* Eventfds that are closed, duplicated and inherited while I/O is under way; many of them; many
 * threads. */
#include "aio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* I/O that is under way until it is let go. */
struct held {
	io_context_t context;
	struct iocb block;
	int ends[2];
};

static void hold(struct held *held, int efd)
{
	struct iocb *block = &held->block;

	held->context = context_new();
	if (pipe(held->ends))
		exit(2);
	io_prep_poll(block, held->ends[0], POLLIN);
	io_set_eventfd(block, efd);
	printf(" held %d", io_submit(held->context, 1, &block));
}

static void let_go(struct held *held)
{
	struct timespec limit = {.tv_sec = LIMIT_MS / 1000};
	struct io_event event;

	printf(" %zd", write(held->ends[1], "x", 1));
	printf(" %d", io_getevents(held->context, 1, 1, &event, &limit));
}

static void drop(struct held *held)
{
	io_destroy(held->context);
	close(held->ends[0]);
	close(held->ends[1]);
	printf("\n");
}

static void closed_in_flight(void)
{
	struct held held;
	int efd = eventfd(0, 0), again;

	printf("closed:");
	hold(&held, efd);
	close(efd);
	again = eventfd(0, EFD_NONBLOCK);
	let_go(&held);
	printf(" %d", again == efd);
	printf(" %d", poll(&(struct pollfd){.fd = again, .events = POLLIN}, 1, 20));
	close(again);
	drop(&held);
}

static void duplicated_in_flight(void)
{
	struct held held;
	int efd = eventfd(0, 0), copy = dup(efd);

	printf("duplicated:");
	hold(&held, efd);
	close(efd);
	let_go(&held);
	printf(" %llu", (unsigned long long)count_up_to(copy, 1));
	close(copy);
	drop(&held);
}

/* The block names the number, which is another eventfd's at each submission. */
static void number_reused(void)
{
	io_context_t context = context_new();
	struct request request;
	int right = 0;

	for (int i = 0; i < 300; i++) {
		int efd = eventfd(0, EFD_NONBLOCK);

		request_read(&request, (unsigned)i, efd);
		submit_requests(context, &request, 1);
		right += count_up_to(efd, 1) == 1 && take_completions(context, 1) == 1;
		right += request.block.u.c.resfd == (unsigned)efd;
		close(efd);
	}
	printf("numbers reused: %d\n", right);
	io_destroy(context);
}

static void replaced_by_dup2(void)
{
	struct held held;
	int efd = eventfd(0, 0), other = eventfd(0, 0);

	printf("replaced:");
	hold(&held, efd);
	dup2(other, efd);
	let_go(&held);
	printf(" %d", poll(&(struct pollfd){.fd = efd, .events = POLLIN}, 1, 20));
	close(other);
	close(efd);
	drop(&held);
}

static int child_reads(int efd)
{
	io_context_t context = context_new();
	struct request request;
	int own = eventfd(0, 0);

	for (int i = 0; i < 20; i++) {
		request_read(&request, (unsigned)i, i % 2 ? own : efd);
		submit_requests(context, &request, 1);
		if (take_completions(context, 1) != 1)
			return 1;
	}
	return count_up_to(own, 10) == 10 ? 0 : 2;
}

/* Both processes have I/O that is told by the eventfd they share. */
static void forked(void)
{
	int efd = eventfd(0, 0), status = -1, failed = 0;
	struct held held;

	printf("forked:");
	hold(&held, efd);
	for (int i = 0; i < 10; i++) {
		pid_t child;

		fflush(stdout);
		child = fork();
		if (!child)
			_exit(child_reads(efd));
		waitpid(child, &status, 0);
		failed += status != 0;
	}
	let_go(&held);
	printf(" %d failed, %llu counted", failed, (unsigned long long)count_up_to(efd, 101));
	close(efd);
	drop(&held);
}

/* Only the child has the eventfd by the time. */
static void told_child(void)
{
	int efd = eventfd(0, 0), status = -1, ready[2];
	struct held held;
	pid_t child;

	printf("told the child:");
	hold(&held, efd);
	fflush(stdout);
	if (pipe(ready))
		return;
	child = fork();
	if (!child) {
		close(ready[1]);
		_exit(read(ready[0], &status, 1) < 0 || count_up_to(efd, 1) != 1);
	}
	close(efd);
	let_go(&held);
	close(ready[1]);
	waitpid(child, &status, 0);
	printf(" %d", status);
	close(ready[0]);
	drop(&held);
}

void try_life(void)
{
	closed_in_flight();
	duplicated_in_flight();
	number_reused();
	replaced_by_dup2();
	forked();
	told_child();
	printf("threads left: %d\n", wait_threads(1));
}

enum { THREADS = 4, ROUNDS = 2000, MANY = 300, REUSED = 8 };

static int shared_efd;

static void *submit_many(void *arg)
{
	struct request *requests = calloc(REUSED, sizeof(*requests));
	io_context_t context = context_new();
	intptr_t right = 0;

	(void)arg;
	for (int round = 0; round < ROUNDS / REUSED; round++) {
		for (unsigned i = 0; i < REUSED; i++)
			request_read(&requests[i], (unsigned)round * REUSED + i, shared_efd);
		submit_requests(context, requests, REUSED);
		right += take_completions(context, REUSED);
	}
	io_destroy(context);
	free(requests);
	return (void *)right;
}

static void by_threads(void)
{
	pthread_t threads[THREADS];
	void *right;

	shared_efd = eventfd(0, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, submit_many, NULL);
	printf("threads: %llu counted,",
		(unsigned long long)count_up_to(shared_efd, THREADS * ROUNDS));
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &right);
		printf(" %d", (int)(intptr_t)right);
	}
	printf(" right\n");
	close(shared_efd);
}

/* One thread submits, another takes the completions and makes the blocks anew at once, while the
 * first may still be in the call. */
struct relay {
	io_context_t context;
	struct request requests[REUSED];
	int efd, taken;
	pthread_barrier_t begun;
};

static void *resubmit(void *arg)
{
	struct relay *relay = arg;
	struct timespec limit = {.tv_sec = LIMIT_MS / 1000};

	for (int got = 0; got < ROUNDS;) {
		struct io_event event;

		if (io_getevents(relay->context, 1, 1, &event, &limit) != 1)
			break;
		got++;
		relay->taken += request_right((struct request *)event.obj);
		if (got > ROUNDS - REUSED)
			continue;
		request_read((struct request *)event.obj, (unsigned)got, relay->efd);
		if (io_submit(relay->context, 1, (struct iocb **)&(struct iocb *){event.obj}) != 1)
			break;
	}
	return NULL;
}

static void relayed(void)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	pthread_t thread;

	relay->context = context_new();
	relay->efd = eventfd(0, 0);
	for (unsigned i = 0; i < REUSED; i++)
		request_read(&relay->requests[i], i, relay->efd);
	pthread_create(&thread, NULL, resubmit, relay);
	submit_requests(relay->context, relay->requests, REUSED);
	pthread_join(thread, NULL);
	printf("relayed: %d right,", relay->taken);
	printf(" %llu counted\n", (unsigned long long)count_up_to(relay->efd, ROUNDS));
	close(relay->efd);
	io_destroy(relay->context);
	free(relay);
}

static void many_eventfds(void)
{
	struct request *requests = calloc(MANY, sizeof(*requests));
	io_context_t context = context_new();
	int fds[MANY], right = 0;

	for (int i = 0; i < MANY; i++) {
		fds[i] = eventfd(0, 0);
		request_read(&requests[i], (unsigned)i % BLOCKS, fds[i]);
	}
	submit_requests(context, requests, MANY);
	for (int i = 0; i < MANY; i++)
		right += count_up_to(fds[i], 1) == 1;
	printf("many eventfds: %d told, %d right\n", right, take_completions(context, MANY));
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	io_destroy(context);
	free(requests);
}

void try_crowds(void)
{
	by_threads();
	relayed();
	many_eventfds();
	printf("threads left: %d\n", wait_threads(1));
}

/* A sandbox that lets no thread be made; where none is needed nothing fails. */
void try_alone(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	io_context_t context = context_new();
	struct request requests[2];
	struct iocb *blocks[2] = {&requests[0].block, &requests[1].block};
	int efd = eventfd(0, EFD_NONBLOCK);

	request_read(&requests[0], 3, -1);
	request_read(&requests[1], 4, efd);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return;
	printf("no thread: %d", io_submit(context, 1, &blocks[1]));
	printf(" %d", io_submit(context, 2, blocks));
	printf(" %d\n", requests[1].block.u.c.resfd == (unsigned)efd);
}

/* No number is left for anybody; where none is needed nothing fails. */
void try_limit(void)
{
	const struct rlimit few = {.rlim_cur = 100, .rlim_max = 100};
	io_context_t context = context_new();
	struct request request;
	struct iocb *block = &request.block;
	int efd = eventfd(0, 0), ret;

	setrlimit(RLIMIT_NOFILE, &few);
	while (dup(0) >= 0)
		;
	request_read(&request, 3, efd);
	ret = io_submit(context, 1, &block);
	printf("no fd left: %d %d", ret, request.block.u.c.resfd == (unsigned)efd);
	for (int fd = 60; fd < 100; fd++)
		close(fd);
	if (ret != 1)
		ret = io_submit(context, 1, &block);
	printf(", then %d %llu %d\n", ret, (unsigned long long)count_up_to(efd, 1),
		take_completions(context, 1));
}
