/* The supervisor: kills, replaces, wakes sleepers, watches for what hangs or spins. */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shimcmd.h"
#include "supervisor.h"

enum {
	KILLS_AN_AUDIT = 32,
	AUDITS_A_QUIET = 8,
	QUIET_MS = 60,
	IDLE_MS = 10,
	SUSPECT_MS = 100,
	ALARM_SECONDS = 120
};

static int new_eventfd(unsigned index)
{
	int flags =
		(is_blocking(index) ? 0 : EFD_NONBLOCK) | (is_semaphore(index) ? EFD_SEMAPHORE : 0);

	return eventfd(0, flags);
}

static void prepare(struct storm *s)
{
	struct epoll_event event;

	s->set = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < FDS; i++) {
		s->book->fd[i] = new_eventfd(i);
		event = (struct epoll_event){.events = EPOLLIN, .data.u64 = i};
		if (epoll_ctl(s->set, EPOLL_CTL_ADD, s->book->fd[i], &event))
			fault(s->book, SUPERVISOR, "EPOLL_CTL_ADD of eventfd %u: errno %d", i,
				errno);
	}
	for (unsigned k = 0; k < MEMBERS; k++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, s->book->mailbox[k]))
			fault(s->book, SUPERVISOR, "socketpair: errno %d", errno);
	}
}

/* In the child: lets go of what it was not meant to have. */
static _Noreturn void be_born(struct storm *s, unsigned k, enum birth birth)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->pid)
		_exit(1);
	alarm(0);
	signal(SIGALRM, SIG_DFL);
	if (birth == BORN_BY_FORK) {
		close(s->set);
		member_live(s->book, k, birth);
	}
	for (unsigned i = 0; birth == BORN_BY_MAIL && i < FDS; i++) {
		if (i % 2 ? close(s->book->fd[i]) : fcntl(s->book->fd[i], F_SETFD, FD_CLOEXEC))
			fault(s->book, k, "letting go of eventfd %u: errno %d", i, errno);
	}
	member_exec(s->book, k, birth);
}

static void give_birth(struct storm *s, unsigned k)
{
	struct seat *seat = &s->book->seats[k];
	enum birth birth = random_below(&s->random, BORN_AGAIN);

	seat->waits = 0;
	seat->wants = 0;
	seat->own = 0;
	seat->obeyed = 0;
	seat->lives++;
	memset(seat->watched, 0, sizeof(seat->watched));
	s->births[birth]++;
	s->seen[k] = (struct seen){.progress = seat->progress, .since = now_ms()};
	s->child[k] = fork();
	if (s->child[k] == 0)
		be_born(s, k, birth);
	if (s->child[k] < 0)
		fault(s->book, SUPERVISOR, "fork: errno %d", errno);
}

static void slay(struct storm *s, unsigned k)
{
	int status = 0;

	kill(s->child[k], SIGKILL);
	if (waitpid(s->child[k], &status, 0) != s->child[k] || !WIFSIGNALED(status) ||
		WTERMSIG(status) != SIGKILL)
		fault(s->book, k, "ended by itself, status %#x", (unsigned)status);
	ledger_death(&s->ledger, s->book, k);
}

static bool all_obeyed(struct storm *s)
{
	for (unsigned k = 0; k < MEMBERS; k++) {
		if (s->book->seats[k].obeyed != s->book->command)
			return false;
	}
	return true;
}

static void order(struct storm *s, enum order order)
{
	s->book->command = ((s->book->command >> ORDER_BITS) + 1) << ORDER_BITS | order;
	book_wake(&s->book->command);
}

static void wait_obeyed(struct storm *s)
{
	while (!s->book->faults) {
		uint32_t arrivals = s->book->arrivals;

		if (all_obeyed(s))
			return;
		book_sleep(&s->book->arrivals, arrivals, 1);
		watch_over(s);
	}
}

static void drain_all(struct storm *s)
{
	for (unsigned i = 0; i < FDS; i++) {
		while (book_read_now(s->book, SUPERVISOR, i, s->book->fd[i]) > 0)
			continue;
	}
}

/* All sleep in the kernel, as nothing is readable; then everything is, and all wake up. */
static void be_quiet(struct storm *s)
{
	struct timespec while_asleep = {0, QUIET_MS * 1000000L};
	int64_t used[MEMBERS];

	drain_all(s);
	order(s, SLEEP);
	wait_obeyed(s);
	for (unsigned k = 0; k < MEMBERS; k++)
		used[k] = cpu_ms(s->child[k]);
	nanosleep(&while_asleep, NULL);
	for (unsigned k = 0; k < MEMBERS; k++) {
		if (cpu_ms(s->child[k]) - used[k] > IDLE_MS)
			fault(s->book, k, "spins: %ld ms of CPU in %d ms asleep",
				(long)(cpu_ms(s->child[k]) - used[k]), QUIET_MS);
	}
	order(s, PARK);
	for (unsigned i = 0; i < FDS; i++)
		book_write(s->book, SUPERVISOR, i, s->book->fd[i], 1);
	wait_obeyed(s);
}

static void take_stock(struct storm *s, bool last)
{
	int objects = FDS;

	order(s, PARK);
	wait_obeyed(s);
	if (s->book->faults)
		return;
	for (unsigned k = 0; k < MEMBERS; k++)
		mail_empty(s->book, k);
	audit(&s->ledger, s->book, s->set);
	for (unsigned k = 0; k < MEMBERS; k++)
		objects += s->book->seats[k].own;
	if (last || s->ledger.audits % AUDITS_A_QUIET == 0) {
		if (shimcmd_there())
			command_ls(s->book, objects);
		be_quiet(s);
	}
	order(s, last ? END : RUN);
}

/* Waits for a random moment. */
static void pass_time(struct storm *s)
{
	uint32_t us = random_below(&s->random, chance(&s->random, 2) ? 500 : 4000);

	while (us) {
		uint32_t part = us > 1000 ? 1000 : us;
		struct timespec moment = {0, part * 1000L};

		nanosleep(&moment, NULL);
		watch_over(s);
		us -= part;
	}
}

/* One that does not move any more lives on, until it moves or is found to hang. */
static bool is_suspect(const struct storm *s, unsigned k)
{
	return now_ms() - s->seen[k].since > SUSPECT_MS;
}

static void rage(struct storm *s)
{
	int64_t end = s->plan->seconds ? now_ms() + s->plan->seconds * 1000 : INT64_MAX;

	while (s->kills < s->plan->kills && !s->book->faults) {
		unsigned k = random_below(&s->random, MEMBERS);

		pass_time(s);
		if (now_ms() > end)
			fault(s->book, SUPERVISOR, "only %lu of %lu kills in %ld seconds", s->kills,
				s->plan->kills, (long)s->plan->seconds);
		if (s->book->faults || is_suspect(s, k))
			continue;
		slay(s, k);
		give_birth(s, k);
		if (++s->kills % KILLS_AN_AUDIT == 0 || ledger_is_full(&s->ledger))
			take_stock(s, false);
	}
}

/* The members close all they have and leave; after a fault they are made to. */
static void end_members(struct storm *s)
{
	int64_t end = now_ms() + STUCK_MS;

	for (unsigned k = 0; k < MEMBERS; k++) {
		int status = -1;
		pid_t gone = 0;

		while (!s->book->faults && !gone) {
			gone = waitpid(s->child[k], &status, WNOHANG);
			if (!gone && now_ms() > end)
				fault(s->book, k, "does not leave");
			book_sleep(&s->book->arrivals, s->book->arrivals, gone ? 0 : 1);
		}
		if (gone && status)
			fault(s->book, k, "leaves with status %#x", (unsigned)status);
		if (!gone) {
			kill(s->child[k], SIGKILL);
			waitpid(s->child[k], NULL, 0);
		}
	}
}

static void close_all(struct storm *s)
{
	for (unsigned k = 0; k < MEMBERS; k++) {
		close(s->book->mailbox[k][0]);
		close(s->book->mailbox[k][1]);
	}
	for (unsigned i = 0; i < FDS; i++) {
		if (close(s->book->fd[i]))
			fault(s->book, SUPERVISOR, "close of eventfd %u: errno %d", i, errno);
	}
	close(s->set);
	if (shimcmd_there() && !s->book->faults) {
		command_ls(s->book, 0);
		command_gc(s->book);
		command_ls(s->book, 0);
	}
}

static void stuck(int signal)
{
	static const char line[] = "storm: the supervisor hangs\n";

	(void)signal;
	if (write(2, line, sizeof(line) - 1) < 0)
		abort();
	_exit(1);
}

static int conclude(struct storm *s)
{
	unsigned long operations = 0;

	for (unsigned k = 0; k < SEATS; k++)
		operations += s->book->seats[k].progress;
	printf("storm: born by fork %lu, exec %lu, exec and mail %lu; %lu audits; in doubt: "
	       "%lu reads, %lu of them done; %lu writes, %lu of them not\n",
		s->births[BORN_BY_FORK], s->births[BORN_BY_EXEC], s->births[BORN_BY_MAIL],
		s->ledger.audits, s->ledger.doubted_reads, s->ledger.lost_reads,
		s->ledger.doubted_writes, s->ledger.lost_writes);
	printf("storm: %lu kills, %lu operations, %u faults (seed %lu)\n", s->kills, operations,
		s->book->faults, (unsigned long)s->plan->seed);
	return s->book->faults != 0;
}

int storm_run(const struct plan *plan)
{
	static struct storm s;

	s.plan = plan;
	s.random = plan->seed;
	s.pid = getpid();
	s.book = book_make();
	s.book->seed = plan->seed;
	s.alarm_seconds = ALARM_SECONDS;
	signal(SIGALRM, stuck);
	order(&s, RUN);
	prepare(&s);
	for (unsigned k = 0; k < MEMBERS && !s.book->faults; k++)
		give_birth(&s, k);
	rage(&s);
	if (!s.book->faults)
		take_stock(&s, true);
	end_members(&s);
	close_all(&s);
	return conclude(&s);
}
