/* asyncfd among processes: forked children with the parent's ring or a copy of it, other images,
 * receivers of messages; and memory that libc took away itself. */
#define _GNU_SOURCE
#include "askboth.h"
#include "reexec.h"
#include "rights.h"
#include "ringkit.h"
#include "testkit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

TestSuite(asyncfd_kin, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static void give(int fd)
{
	cr_assert_eq(write(fd, "", 1), 1);
}

static bool got(int fd)
{
	char byte;
	return read(fd, &byte, 1) == 1;
}

static void end(pid_t pid)
{
	int status = 0;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "child: %#x", status);
}

/* Watches the fd in a set of its own, and waits until there have been so many results. */
static bool take_in_child(struct asyncfd_uring *head, int fd, int count, uint32_t flags)
{
	int set = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN | flags};
	struct asyncfd_result result;
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event))
		return false;
	while (count > 0) {
		if (epoll_wait(set, &event, 1, 10000) != 1)
			return false;
		while (asyncfd_take_result(head, &result))
			count--;
	}
	close(set);
	return count == 0;
}

struct feeder {
	struct efd_file *file;
	int count;
};

static void *feed(void *arg)
{
	struct feeder *f = arg;
	struct asyncfd_result result = {.cookie = 1};
	while (f->count > 0) {
		int n = asyncfd_add_results(f->file, &result, 1);
		if (n < 0)
			abort();
		f->count -= n;
		if (!n)
			sched_yield();
	}
	return NULL;
}

/* Each sees its own results only, and all of them, while the other one watches too. */
static void both_use_their_copies(uint32_t flags)
{
	enum { COUNT = 2000 };
	struct kit_ring ring = ring_open(4, MAP_PRIVATE);
	struct feeder feeder = {ring.file, COUNT};
	pthread_t thread;
	pid_t pid = fork();
	if (!pid)
		alarm(30);
	cr_assert_eq(pthread_create(&thread, NULL, feed, &feeder), 0);
	bool good = take_in_child(ring.head, ring.fd, COUNT, flags);
	pthread_join(thread, NULL);
	if (!pid)
		_exit(!good);
	cr_assert(good);
	end(pid);
	ring_close(&ring);
}

Test(asyncfd_kin, a_copied_ring_is_the_childs_own)
{
	for (int round = 0; round < 5; round++)
		both_use_their_copies(round & 1 ? EPOLLET : 0);
}

/* The parent finds its own ring empty each time it is woken, and must not take that away which is
 * the child's. */
Test(asyncfd_kin, a_copied_rings_watcher_is_woken_beside_another)
{
	enum { ROUNDS = 3000 };
	struct kit_ring ring = ring_open(4, MAP_PRIVATE);
	struct epoll_event event = {.events = EPOLLIN};
	int done[2], set = epoll_create1(0);
	cr_assert_eq(pipe(done), 0);
	pid_t pid = fork();
	if (!pid) {
		alarm(30);
		for (int i = 0; i < ROUNDS; i++) {
			struct feeder feeder = {ring.file, 1};
			pthread_t thread;
			pthread_create(&thread, NULL, feed, &feeder);
			if (!take_in_child(ring.head, ring.fd, 1, 0))
				_exit(1);
			pthread_join(thread, NULL);
		}
		_exit(0);
	}
	close(done[1]);
	ring_watch(set, EPOLL_CTL_ADD, ring.fd, EPOLLIN);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, done[0], &event), 0);
	cr_assert_eq(epoll_wait(set, &event, 1, -1), 1);
	cr_assert_neq(event.data.u64, 77);
	end(pid);
	close(set), close(done[0]);
	ring_close(&ring);
}

static _Atomic bool enough;

static void *feed_for_ever(void *arg)
{
	struct kit_ring *ring = arg;
	struct asyncfd_result result = {.cookie = 1};
	while (!enough)
		asyncfd_add_results(ring->file, &result, 1);
	return NULL;
}

/* Wherever the parent's threads are in their additions, the child's copy goes on. */
Test(asyncfd_kin, a_fork_while_others_add)
{
	struct kit_ring ring = ring_open(64, MAP_PRIVATE);
	struct asyncfd_result result;
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, feed_for_ever, &ring), 0);
	for (int round = 0; round < 200; round++) {
		while (asyncfd_take_result(ring.head, &result))
			;
		pid_t pid = fork();
		if (!pid) {
			alarm(10);
			while (asyncfd_take_result(ring.head, &result))
				;
			for (int i = 0; i < 200; i++) {
				if (ring_try(ring.file, 5, 1) != 1 ||
					!asyncfd_take_result(ring.head, &result) ||
					result.cookie != 5)
					_exit(1);
			}
			/* nobody is waited for who is not there */
			_exit(asyncfd(ring.fd, ring_map(8, MAP_PRIVATE)) != ring.fd);
		}
		end(pid);
	}
	enough = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ring_close(&ring);
}

ROLE(image)
{
	int fd = arg[0];
	struct asyncfd_result result;
	CHECK(ring_poll(fd) == POLLERR);
	struct efd_file *file = asyncfd_fget(fd);
	CHECK(file);
	CHECK(ring_try(file, 1, 1) == -EFAULT);
	struct asyncfd_uring *head = ring_map(4, MAP_PRIVATE);
	CHECK(asyncfd(fd, head) == fd);
	CHECK(ring_poll(fd) == 0);
	CHECK(ring_try(file, 7, 1) == 1);
	CHECK(ring_poll(fd) == POLLIN);
	CHECK(asyncfd_take_result(head, &result) == 1 && result.cookie == 7);
	CHECK(ring_poll(fd) == 0);
}

Test(asyncfd_kin, another_image_sets_a_ring_of_its_own)
{
	struct kit_ring ring = ring_open(4, MAP_SHARED);
	int set = epoll_create1(0);
	ring_watch(set, EPOLL_CTL_ADD, ring.fd, EPOLLIN);
	ring_put(ring.file, 3, 1);
	in_role("image %d", ring.fd);
	cr_assert_eq(ring_event(set), EPOLLIN);
	ring_take(ring.head, 3);
	cr_assert_eq(ring_event(set), 0);
	for (int i = 0; i < 5; i++) {
		ring_put(ring.file, 4, 1);
		cr_assert_eq(ring_event(set), EPOLLIN);
		cr_assert_eq(ring_event(set), EPOLLIN);
		ring_take(ring.head, 4);
		cr_assert_eq(ring_event(set), 0);
	}
	close(set);
	ring_close(&ring);
}

Test(asyncfd_kin, a_receiver_sets_a_ring_of_its_own)
{
	enum { COUNT = 500 };
	int sock[2], ready[2];
	rights_pair(sock, SOCK_STREAM);
	cr_assert_eq(pipe(ready), 0);
	pid_t pid = fork(); /* before there is any asyncfd */
	if (!pid) {
		alarm(30);
		int fd = rights_receive_one(sock[1], 0);
		struct asyncfd_uring *head = ring_map(4, MAP_PRIVATE);
		if (ring_poll(fd) != POLLERR || asyncfd(fd, head) != fd)
			_exit(1);
		struct feeder feeder = {asyncfd_fget(fd), COUNT};
		pthread_t thread;
		give(ready[1]);
		pthread_create(&thread, NULL, feed, &feeder);
		bool good = take_in_child(head, fd, COUNT, 0);
		pthread_join(thread, NULL);
		_exit(!good);
	}
	struct kit_ring ring = ring_open(4, MAP_PRIVATE);
	struct feeder feeder = {ring.file, COUNT};
	pthread_t thread;
	rights_send_one(sock[0], ring.fd);
	cr_assert(got(ready[0]));
	pthread_create(&thread, NULL, feed, &feeder);
	cr_assert(take_in_child(ring.head, ring.fd, COUNT, 0));
	pthread_join(thread, NULL);
	end(pid);
	close(sock[0]), close(sock[1]), close(ready[0]), close(ready[1]);
	ring_close(&ring);
}

/* A large free() unmaps without telling anybody. */
ROLE(strict)
{
	enum { BYTES = 4 << 20 };
	struct asyncfd_uring *head = calloc(1, BYTES);
	(void)arg;
	*head = (struct asyncfd_uring){.ptr = (uintptr_t)(head + 1), .size = 64};
	int fd = asyncfd(-1, head);
	CHECK(fd >= 0);
	struct efd_file *file = asyncfd_fget(fd);
	for (int i = 0; i < 3; i++)
		CHECK(ring_try(file, 1, 1) == 1);
	CHECK(ring_poll(fd) == POLLIN);
	free(head);
	CHECK(ring_try(file, 1, 1) == -EFAULT);
	CHECK(ring_poll(fd) == POLLERR);
}

Test(asyncfd_kin, strictly_every_look_is_verified)
{
	setenv("EFDSHIM_STRICT", "1", 1);
	in_role("strict");
}

Test(asyncfd_kin, links_and_infos_are_those_of_an_anonymous_file)
{
	struct kit_ring ring = ring_open(4, MAP_PRIVATE);
	char path[64], text[4096] = "";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ring.fd);
	cr_assert_eq(readlink(path, text, sizeof(text)), (ssize_t)strlen("anon_inode:[asyncfd]"));
	cr_assert_str_eq(text, "anon_inode:[asyncfd]");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ring.fd);
	int info = open(path, O_RDONLY);
	memset(text, 0, sizeof(text));
	cr_assert(read(info, text, sizeof(text) - 1) > 0);
	cr_assert(strstr(text, "flags:"));
	cr_assert_null(strstr(text, "eventfd"));
	close(info);
	cr_assert_eq(fcntl(ring.fd, F_GETFD), 0);
	cr_assert_eq(fcntl(ring.fd, F_GETFL), O_RDWR);
	ring_close(&ring);
}
