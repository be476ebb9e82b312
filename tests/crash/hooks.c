/* What the survivor does before, during and after some scenes. */
#define _GNU_SOURCE
#include "crash.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

/* The letter that /proc gives a thread or process; 'X' where it is gone. */
static char state_of(int id)
{
	char path[64], line[512];
	const char *paren;
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, line, sizeof(line) - 1);
		close(fd);
	}
	line[got < 0 ? 0 : got] = 0;
	paren = strrchr(line, ')');
	return paren ? paren[2] : 'X';
}

/* False where it died instead. */
static bool falls_asleep(int id)
{
	char state = 'R';

	for (int seen = 0; seen < 3 && state != 'Z' && state != 'X'; sched_yield()) {
		state = state_of(id);
		seen = state == 'S' ? seen + 1 : 0;
	}
	return state == 'S';
}

void hook_litter(struct run *run)
{
	int status = run_end(run_start("litter", run->journal->memfd, NULL, NULL));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		wrong(run, "litter: status %#x", (unsigned)status);
}

void hook_write_to_sleeper(struct run *run)
{
	uint64_t value = 5;
	char state = 'R';

	while (!run->journal->ready && state != 'Z' && state != 'X') {
		state = state_of(run->child);
		sched_yield();
	}
	run->journal->object[SLEEP].now = value;
	run->journal->object[SLEEP].next = falls_asleep(run->child) ? 0 : value;
	if (write(run->fd[SLEEP], &value, sizeof(value)) != sizeof(value))
		wrong(run, "write to the sleeper: errno %d", errno);
}

static void *sleep_in_read(void *arg)
{
	struct run *run = arg;

	run->sleeper_id = gettid();
	if (read(run->fd[SLEEP], &run->taken, sizeof(run->taken)) != sizeof(run->taken))
		wrong(run, "the sleeper's read: errno %d", errno);
	return NULL;
}

void hook_sleep(struct run *run)
{
	run->sleeper_id = 0;
	if (pthread_create(&run->sleeper, NULL, sleep_in_read, run)) {
		wrong(run, "pthread_create");
		return;
	}
	while (!run->sleeper_id)
		sched_yield();
	falls_asleep(run->sleeper_id);
}

/* A write that returned has woken it; after one that did not, the next one does. */
void hook_woken(struct run *run)
{
	uint64_t one = 1;

	if (!run->journal->object[SLEEP].now) {
		run->added = one;
		if (write(run->fd[SLEEP], &one, sizeof(one)) != sizeof(one))
			wrong(run, "the write that wakes: errno %d", errno);
	}
	pthread_join(run->sleeper, NULL);
}

void hook_mail(struct run *run)
{
	for (unsigned count = 5; count < 7; count++) {
		int fd = eventfd(count, EFD_NONBLOCK);

		if (fd < 0 || !stage_send(run->journal->mail[0], fd, count) || close(fd))
			wrong(run, "sending an eventfd: errno %d", errno);
	}
}

/* What was on its way when the child died has arrived all the same. */
void hook_take_mail(struct run *run)
{
	uint64_t expected, value;
	int fd;

	while ((fd = stage_receive(run->journal->mail[1], &expected)) >= 0) {
		value = 0;
		if (read(fd, &value, sizeof(value)) != sizeof(value) || value != expected)
			wrong(run, "a received eventfd has %lu, not %lu (errno %d)",
				(unsigned long)value, (unsigned long)expected, errno);
		if (close(fd))
			wrong(run, "close of a received eventfd: errno %d", errno);
	}
}
