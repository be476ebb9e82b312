/* Wrong executors, and the proof that each of them is found out. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MOST_SHRUNK = 3, OPS = 20000, HANG_MS = 300 };

static const char *const fault_names[FAULTS] = {
	[FAULT_READ] = "a read that returns a wrong value",
	[FAULT_ERRNO] = "a call that succeeds and changes errno",
	[FAULT_POLL] = "a poll that misses an event",
	[FAULT_HISTORY] = "an error that needs an earlier sequence",
	[FAULT_CRASH] = "a crash",
	[FAULT_HANG] = "a hang",
};

static void miss_event(struct result *r)
{
	for (unsigned i = 0; i < r->n; i++)
		r->v[i] &= ~(uint64_t)EPOLLOUT;
}

/* Armed by a close_range in one sequence, it shows in a later one. */
static void remember(struct box *b, const struct op *op, struct result *r)
{
	static bool seen;
	if (op->kind == K_CLOSE_RANGE)
		seen = true;
	if (op->kind == K_RESET)
		b->fault_armed = seen;
	if (op->kind == K_GETFD && b->fault_armed)
		r->ret = 99;
}

static _Noreturn void hang(void)
{
	for (;;)
		pause();
}

void falsify(struct box *b, const struct op *op, struct result *r)
{
	switch (b->fault) {
	case FAULT_READ:
		if (op->kind == K_READ && r->ret == 8)
			r->v[0]++;
		break;
	case FAULT_ERRNO:
		if (op->kind == K_SETFL && r->ret == 0)
			r->err = EAGAIN;
		break;
	case FAULT_POLL:
		if (op->kind == K_POLL)
			miss_event(r);
		break;
	case FAULT_HISTORY:
		remember(b, op, r);
		break;
	case FAULT_CRASH:
		if (op->kind == K_SELECT && r->ret > 0)
			kill(getpid(), SIGKILL);
		break;
	case FAULT_HANG:
		if (op->kind == K_DUP && r->ret > 0)
			hang();
		break;
	default:
		break;
	}
}

static bool found_out(enum fault fault)
{
	struct campaign c;
	campaign_init(&c, "");
	c.quiet = true;
	c.seed = fault;
	c.wanted = OPS;
	c.pair.side[1].fault = fault;
	if (fault == FAULT_HANG)
		c.pair.watchdog_ms = HANG_MS;
	campaign_run(&c);
	bool ok = c.differences == 1 && c.shrunk > 0 && c.shrunk <= MOST_SHRUNK;
	printf("fuzz selftest: %s: %s, %zu operations\n", fault_names[fault],
		c.differences ? "found" : "NOT FOUND", c.shrunk);
	fflush(stdout);
	campaign_end(&c);
	return ok;
}

static bool clean_without_fault(void)
{
	struct campaign c;
	campaign_init(&c, "");
	c.seed = 1;
	c.wanted = OPS;
	campaign_run(&c);
	campaign_end(&c);
	return c.differences == 0;
}

int selftest(void)
{
	bool ok = clean_without_fault();
	for (int fault = NO_FAULT + 1; fault < FAULTS; fault++)
		ok &= found_out((enum fault)fault);
	printf("fuzz selftest: %s\n", ok ? "passed" : "FAILED");
	return ok ? 0 : 1;
}
