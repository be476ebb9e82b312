/* Wrong executors, and the proof that each of them is found out. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { OPS = 20000, MASK_OPS = 60000, MODEL_OPS = 50000, HANG_MS = 300 };

enum { FEW = 3, SOME = 12 };

/* The faults of masks are in a second model, which is set beside the first. */
static const struct planted {
	const char *name;
	size_t most; /* operations that it is shrunk to */
} planted[FAULTS] = {
	[FAULT_READ] = {"a read that returns a wrong value", FEW},
	[FAULT_ERRNO] = {"a call that succeeds and changes errno", FEW},
	[FAULT_POLL] = {"a poll that misses an event", FEW},
	[FAULT_HISTORY] = {"an error that needs an earlier sequence", FEW},
	[FAULT_CRASH] = {"a crash", FEW},
	[FAULT_HANG] = {"a hang", FEW},
	[FAULT_MASK_EDGE] = {"a mask that makes no edge of the same events again", SOME},
	[FAULT_MASK_BIT] = {"a mask whose HUP or ERR shows only where asked for", SOME},
	[FAULT_MASK_DATA] = {"a mask that keeps old data with the same events", SOME},
	[FAULT_MASK_MOD] = {"a mask's watch that keeps its interest", SOME},
	[FAULT_MASK_ONESHOT] = {"a mask's watch that fires again", SOME},
	[FAULT_MASK_TWICE] = {"a mask's edge that is reported twice", SOME},
	[FAULT_MASK_NESTED] = {"a mask's edge that an outer set does not see", SOME},
	[FAULT_MASK_CHILD] = {"a child's write that is no edge", SOME},
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
	c.pair.side[1].fault = fault;
	c.pair.side[1].models = fault >= FAULT_MASK_EDGE;
	c.mix.modelled = c.pair.side[1].models ? 100 : 0;
	c.wanted = c.pair.side[1].models ? MASK_OPS : OPS;
	if (fault == FAULT_HANG)
		c.pair.watchdog_ms = HANG_MS;
	campaign_run(&c);
	bool ok = c.differences == 1 && c.shrunk > 0 && c.shrunk <= planted[fault].most;
	printf("fuzz selftest: %s: %s after %llu operations, shrunk to %zu\n", planted[fault].name,
		c.differences ? "found" : "NOT FOUND", (unsigned long long)c.done, c.shrunk);
	fflush(stdout);
	campaign_end(&c);
	return ok;
}

/* The kernel with itself, or with the model of it. */
static bool clean_without_fault(unsigned modelled, uint64_t ops)
{
	struct campaign c;
	campaign_init(&c, "");
	c.seed = 1;
	c.wanted = ops;
	c.mix.modelled = modelled;
	campaign_run(&c);
	printf("fuzz selftest: %s: %u differences in %llu operations\n",
		modelled ? "model and kernel" : "kernel and kernel", c.differences,
		(unsigned long long)c.done);
	campaign_end(&c);
	return c.differences == 0;
}

int selftest(void)
{
	bool ok = clean_without_fault(0, OPS);
	ok &= clean_without_fault(100, MODEL_OPS);
	for (int fault = NO_FAULT + 1; fault < FAULTS; fault++)
		ok &= found_out((enum fault)fault);
	printf("fuzz selftest: %s\n", ok ? "passed" : "FAILED");
	return ok ? 0 : 1;
}
