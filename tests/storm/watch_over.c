/* What the supervisor does between two kills. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t cpu_ms(pid_t pid)
{
	struct timespec used = {0, 0};
	clockid_t clock;

	if (!clock_getcpuclockid(pid, &clock))
		clock_gettime(clock, &used);
	return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* The system call a process is in, as /proc tells it. */
static void where(pid_t pid, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, size - 1);
	text[got < 0 ? 0 : got] = 0;
	text[strcspn(text, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

static void report_stuck(struct storm *s, unsigned k)
{
	const struct seat *seat = &s->book->seats[k];
	char call[256];

	where(s->child[k], call, sizeof(call));
	fault(s->book, k, "stuck for %d ms with %ld ms of CPU; waits %#x, phase %u %u %u, in %s",
		STUCK_MS, (long)cpu_ms(s->child[k]), seat->waits, seat->diary.phase,
		seat->diary.what, seat->diary.index, call);
}

/* Makes an eventfd readable, or not full, again; also where that takes a new edge. */
static void rouse(struct storm *s, uint32_t waits)
{
	unsigned index = (waits >> WAITS_SHIFT) - 1;
	int fd = s->book->fd[index];

	if (!(waits & WAITS_FOR_OUT) && book_write(s->book, SUPERVISOR, index, fd, 1) > 0)
		return;
	book_read_now(s->book, SUPERVISOR, index, fd);
	if (!(waits & WAITS_FOR_OUT))
		book_write(s->book, SUPERVISOR, index, fd, 1);
}

/* Nobody writes now. */
static bool is_quiet(const struct storm *s)
{
	return (s->book->command & ORDER_MASK) == SLEEP;
}

static void look_at(struct storm *s, unsigned k)
{
	struct seat *seat = &s->book->seats[k];
	struct seen *seen = &s->seen[k];
	uint64_t progress = seat->progress;
	bool obeys = (s->book->command & ORDER_MASK) == PARK && seat->obeyed == s->book->command;

	if (progress != seen->progress || obeys) {
		*seen = (struct seen){.progress = progress, .since = now_ms()};
		return;
	}
	if (now_ms() - seen->since > STUCK_MS)
		report_stuck(s, k);
	if (seat->waits && seat->waits == seen->waits && !is_quiet(s))
		rouse(s, seat->waits);
	seen->waits = seat->waits;
}

static void serve(struct storm *s, unsigned k)
{
	uint64_t wanted = s->book->seats[k].wants;
	unsigned index[MAIL_FDS], start = random_below(&s->random, FDS);
	int fd[MAIL_FDS], count = 0;

	for (unsigned i = 0; i < FDS && count < MAIL_FDS; i++) {
		unsigned one = (start + i) % FDS;

		if (!(wanted >> one & 1))
			continue;
		index[count] = one;
		fd[count++] = s->book->fd[one];
	}
	if (count)
		mail_send(s->book, k, index, fd, count, 0);
}

static void bury_strangers(struct storm *s)
{
	int status;
	pid_t pid = waitpid(-1, &status, WNOHANG);

	for (unsigned k = 0; k < MEMBERS && pid > 0 && !s->book->faults; k++) {
		if (s->child[k] == pid)
			fault(s->book, k, "died by itself, status %#x", (unsigned)status);
	}
}

/* An eventfd is used by the supervisor too: none may be lost. */
static void use_one(struct storm *s)
{
	unsigned index = random_below(&s->random, FDS);
	int fd = s->book->fd[index];

	if (chance(&s->random, 2))
		book_read_now(s->book, SUPERVISOR, index, fd);
	else if (group_of(index) != BULKY)
		book_write(s->book, SUPERVISOR, index, fd, amount_for(&s->random, index));
	s->book->seats[SUPERVISOR].progress++;
}

void watch_over(struct storm *s)
{
	alarm(s->alarm_seconds);
	bury_strangers(s);
	for (unsigned k = 0; k < MEMBERS && !s->book->faults; k++) {
		look_at(s, k);
		if (s->book->seats[k].wants && chance(&s->random, 2))
			serve(s, k);
	}
	if (!is_quiet(s))
		use_one(s);
}
