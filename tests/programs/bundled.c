/* For machines without any of the other programs: producers ring, a loop answers, sums are
 * compared. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PRODUCERS = 4, RINGS = 50000, TURNS = 20000 };

static int bells[PRODUCERS];
static int there, back;

static void require(int fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "not ok: %s\n", what);
	exit(1);
}

static void *produce(void *bell)
{
	for (int i = 0; i < RINGS; i++)
		require(eventfd_write(*(int *)bell, 1) == 0, "write to a bell");
	return NULL;
}

static int open_bells(pthread_t threads[PRODUCERS])
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	require(set >= 0, "epoll_create1");
	for (int i = 0; i < PRODUCERS; i++) {
		bells[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = bells[i]};
		require(bells[i] >= 0, "eventfd");
		require(epoll_ctl(set, EPOLL_CTL_ADD, bells[i], &event) == 0, "epoll_ctl");
		require(pthread_create(&threads[i], NULL, produce, &bells[i]) == 0, "thread");
	}
	return set;
}

static void answer_bells(void)
{
	pthread_t threads[PRODUCERS];
	int set = open_bells(threads);
	uint64_t sum = 0;
	while (sum < (uint64_t)PRODUCERS * RINGS) {
		struct epoll_event ready[PRODUCERS];
		int n = epoll_wait(set, ready, PRODUCERS, 20000);
		require(n > 0, "epoll_wait");
		for (int i = 0; i < n; i++) {
			eventfd_t value = 0;
			require(eventfd_read(ready[i].data.fd, &value) == 0, "read of a bell");
			sum += value;
		}
	}
	require(sum == (uint64_t)PRODUCERS * RINGS, "the sum of all rings");
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(threads[i], NULL);
		close(bells[i]);
	}
	close(set);
	printf("%d threads rang %d times each, one epoll loop counted them all\n", PRODUCERS,
		RINGS);
}

static void *return_turns(void *unused)
{
	for (int i = 0; i < TURNS; i++) {
		eventfd_t value = 0;
		require(eventfd_read(there, &value) == 0, "read of a turn");
		require(eventfd_write(back, value + 1) == 0, "return of a turn");
	}
	return unused;
}

static void play_ping_pong(void)
{
	pthread_t partner;
	there = eventfd(0, 0);
	back = eventfd(0, 0);
	require(there >= 0 && back >= 0, "eventfd");
	require(pthread_create(&partner, NULL, return_turns, NULL) == 0, "thread");
	for (eventfd_t i = 1; i <= TURNS; i++) {
		eventfd_t value = 0;
		require(eventfd_write(there, i) == 0, "a turn");
		require(eventfd_read(back, &value) == 0 && value == i + 1, "the turn's answer");
	}
	pthread_join(partner, NULL);
	close(there);
	close(back);
	printf("two threads exchanged %d turns by blocking reads\n", TURNS);
}

static void share_with_a_child(void)
{
	int fd = eventfd(0, EFD_SEMAPHORE);
	require(fd >= 0, "eventfd");
	pid_t child = fork();
	if (child == 0)
		_exit(eventfd_write(fd, 3) == 0 ? 0 : 1);
	eventfd_t value = 0;
	int status = 1;
	for (int i = 0; i < 3; i++)
		require(eventfd_read(fd, &value) == 0 && value == 1, "a read of the child's write");
	require(waitpid(child, &status, 0) == child && status == 0, "the child");
	close(fd);
	printf("a forked child woke its parent\n");
}

int main(void)
{
	answer_bells();
	play_ping_pong();
	share_with_a_child();
	return 0;
}
