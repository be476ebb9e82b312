/* An executor: runs the operations of its arena on the eventfds it was started with. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

enum { TICK_US = 300, CROWD = 64, PAGE = PLACE_ROOM, READONLY_VALUE = 3 };

static void on_tick(int sig)
{
	(void)sig;
}

/* The tick repeats, so that one which fires before the call blocks costs a moment, not a hang. */
void guard(bool on)
{
	struct itimerval tick = {0};
	if (on)
		tick.it_value.tv_usec = tick.it_interval.tv_usec = TICK_US;
	setitimer(ITIMER_REAL, &tick, NULL);
}

void answer(struct result *r, int64_t ret)
{
	r->err = errno;
	r->ret = ret;
}

void value(struct result *r, uint64_t v)
{
	if (r->n < VALUES)
		r->v[r->n++] = v;
	else
		r->v[VALUES - 1] = r->v[VALUES - 1] * 0x100000001b3 ^ v;
}

int box_fd(const struct box *b, uint64_t slot)
{
	return slot < SLOTS ? b->fd[slot] : -1;
}

void box_keep(struct box *b, uint64_t slot, int fd)
{
	if (fd < 0 || slot >= SLOTS)
		return;
	if (fd >= FD_LIMIT) {
		(void)(b->modelled ? model_close(b, fd) : close(fd));
		return;
	}
	b->fd[slot] = fd;
	if (fd > b->highest)
		b->highest = fd;
}

/* Four pages: usable, none, read-only, none. */
static unsigned char *map_pages(void)
{
	unsigned char *p =
		mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || mprotect(p, PAGE, PROT_READ | PROT_WRITE) != 0 ||
		mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
		return NULL;
	uint64_t v = READONLY_VALUE;
	memcpy(p + 2 * PAGE, &v, sizeof(v));
	return mprotect(p + 2 * PAGE, PAGE, PROT_READ) == 0 ? p : NULL;
}

unsigned char *box_place(struct box *b, uint64_t place)
{
	switch (place) {
	case P_BUF:
		return b->pages;
	case P_EDGE:
		return b->pages + PAGE - 8;
	case P_STRADDLE:
		return b->pages + PAGE - 4;
	case P_UNMAPPED:
		return b->pages + PAGE;
	case P_READONLY:
		return b->pages + 2 * PAGE;
	case P_KERNEL:
		return (unsigned char *)(UINTPTR_MAX - 0xffffff);
	default:
		return NULL;
	}
}

/* How many bytes may be stored there. */
size_t box_room(uint64_t place)
{
	switch (place) {
	case P_BUF:
		return PAGE;
	case P_EDGE:
		return 8;
	case P_STRADDLE:
		return 4;
	default:
		return 0;
	}
}

void box_perform(struct box *b, size_t i)
{
	const struct op *op = &b->arena->ops[i];
	struct result *r = &b->arena->results[i];
	r->status = DONE;
	r->n = 0;
	r->ret = 0;
	errno = r->err = UNTOUCHED;
	kinds[op->kind]->run(b, op, r);
	if (b->fault != NO_FAULT)
		falsify(b, op, r);
}

bool box_copy(const struct box *from, struct box *to, unsigned proc)
{
	unsigned char *pages = to->pages ? to->pages : map_pages();
	*to = *from;
	to->proc = proc;
	to->pages = pages;
	if (pages)
		memcpy(pages, from->pages, PAGE);
	return pages;
}

/* The model's children are copies of the box. */
static void run_modelled(struct box *b, size_t i)
{
	struct result *r = &b->arena->results[i];
	unsigned proc = b->arena->ops[i].proc;
	struct box *who = proc ? b->kin[proc % PROCS] : b;
	who->other = *r;
	if (proc == 0 || (proc < PROCS && child_alive(b, proc))) {
		box_perform(who, i);
	} else {
		r->status = SKIPPED;
		r->n = 0;
	}
	if (model_is_lost())
		r->status = UNDECIDED;
}

static void run_one(struct box *b, size_t i)
{
	unsigned proc = b->arena->ops[i].proc;
	if (b->modelled) {
		run_modelled(b, i);
		return;
	}
	if (proc == 0) {
		box_perform(b, i);
	} else if (proc < PROCS && child_alive(b, proc)) {
		child_relay(b, proc, i);
	} else {
		b->arena->results[i].status = SKIPPED;
		b->arena->results[i].n = 0;
	}
}

static void run_all(struct box *b)
{
	for (uint32_t i = 0; i < b->arena->count; i++) {
		run_one(b, i);
		atomic_store(&b->arena->done, i + 1);
	}
}

/* The driver looks at this fd from outside to learn whose eventfd it is. */
static bool introduce(void)
{
	char byte;
	int fd = eventfd(0, 0);
	bool ok =
		write(CONTROL_FD, &fd, sizeof(fd)) == sizeof(fd) && read(CONTROL_FD, &byte, 1) == 1;
	close(fd);
	return ok && fd >= 0;
}

static bool prepare(struct box *b)
{
	b->arena = mmap(NULL, sizeof(*b->arena), PROT_READ | PROT_WRITE, MAP_SHARED, ARENA_FD, 0);
	close(ARENA_FD);
	b->pages = map_pages();
	for (int i = 0; i < SLOTS; i++)
		b->fd[i] = -1;
	struct sigaction tick = {.sa_handler = on_tick};
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return b->arena != MAP_FAILED && b->pages && sigaction(SIGALRM, &tick, NULL) == 0;
}

int executor_main(int fault_and_role)
{
	static struct box box, kin[PROCS];
	box.fault = (enum fault)(fault_and_role & (MODELS - 1));
	box.allow = (unsigned)fault_and_role >> ALLOW_SHIFT;
	box.models = fault_and_role & MODELS;
	for (int i = 0; (fault_and_role & CROWDED) && i < CROWD; i++)
		eventfd(0, 0);
	for (unsigned proc = 0; proc < PROCS; proc++)
		box.kin[proc] = &kin[proc];
	if (!prepare(&box) || !introduce())
		return 2;
	for (char go; read(CONTROL_FD, &go, 1) == 1;) {
		run_all(&box);
		if (write(CONTROL_FD, &go, 1) != 1)
			return 2;
	}
	return 0;
}
