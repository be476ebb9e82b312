#define _GNU_SOURCE
#include "flow.h"
#include "testkit.h"

#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, ROOM = 8, LIMIT_MS = 10000 };
enum { ROUNDS = 3 };
#define ET ((uint32_t)EPOLLET)
#define ONCE ((uint32_t)EPOLLONESHOT)
#define DATA 0xfedcba9876543210

const uint32_t flow_kinds[FLOW_KINDS] = {
	IN, BOTH, IN | ET, IN | ONCE, BOTH | ONCE, IN | ET | ONCE, OUT, OUT | ONCE, 0};

bool flow_check(bool ok, const char *file, int line, const char *what)
{
	if (!ok)
		dprintf(2, "%s:%d: %s is false (errno %d)\n", file, line, what, errno);
	return ok;
}

static bool wrong(const struct flow *f, int i, const char *what, uint32_t got)
{
	dprintf(2, "a watch of %#x, stage %d, count %llu: %s: %#x instead of %#x\n",
		f->watch[i].interest, f->stage, (unsigned long long)f->count, what, got,
		flow_due(f, i));
	return false;
}

struct flow *flow_map(int memory)
{
	void *at = mmap(NULL, sizeof(struct flow), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	return at == MAP_FAILED ? NULL : at;
}

struct flow *flow_open(uint32_t interest)
{
	int memory = tk_memory_file(O_CLOEXEC);
	if (memory < 0 || ftruncate(memory, sizeof(struct flow)) != 0)
		return NULL;
	struct flow *f = flow_map(memory);
	f->memory = memory;
	f->fd = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < FLOW_WATCHES; i++)
		f->watch[i].set = -1;
	int set = epoll_create1(0);
	return flow_add(f, 0, set, interest, DATA) ? f : NULL;
}

void flow_close(struct flow *f)
{
	int memory = f->memory;
	for (int i = 0; i < FLOW_WATCHES; i++)
		if (f->watch[i].set >= 0)
			close(f->watch[i].set);
	if (f->fd >= 0)
		close(f->fd);
	munmap(f, sizeof(*f));
	close(memory);
}

static uint32_t level(const struct flow *f)
{
	return (f->count ? IN : 0) | (f->count < UINT64_MAX - 1 ? OUT : 0);
}

uint32_t flow_due(const struct flow *f, int i)
{
	const struct flow_watch *w = &f->watch[i];
	if (w->set < 0 || w->fired || ((w->interest & ET) && !w->queued))
		return 0;
	return level(f) & w->interest;
}

/* What an operation that gives rise to `events` means for the watches. */
static void stir(struct flow *f, uint32_t events)
{
	for (int i = 0; i < FLOW_WATCHES; i++)
		if (f->watch[i].interest & events)
			f->watch[i].queued |= !f->watch[i].fired;
}

void flow_wrote(struct flow *f)
{
	f->count++;
	stir(f, IN);
}

void flow_was_read(struct flow *f)
{
	f->count = 0;
	stir(f, OUT);
}

/* A sleeper may look at the watch as soon as the write is done. */
bool flow_write(struct flow *f)
{
	uint64_t one = 1;
	flow_wrote(f);
	return HOLDS(write(f->fd, &one, sizeof(one)) == sizeof(one));
}

bool flow_read(struct flow *f)
{
	uint64_t got = 0;
	ssize_t ret = read(f->fd, &got, sizeof(got));
	if (!f->count)
		return HOLDS(ret == -1 && errno == EAGAIN);
	bool same = HOLDS(ret == sizeof(got)) && HOLDS(got == f->count);
	flow_was_read(f);
	return same;
}

bool flow_add(struct flow *f, int i, int set, uint32_t interest, uint64_t data)
{
	struct epoll_event event = {.events = interest, .data.u64 = data};
	f->watch[i] =
		(struct flow_watch){.set = set, .interest = interest, .data = data, .queued = true};
	return HOLDS(epoll_ctl(set, EPOLL_CTL_ADD, f->fd, &event) == 0);
}

void flow_armed(struct flow *f, int i)
{
	f->watch[i].fired = false;
	f->watch[i].queued = true;
}

bool flow_arm(struct flow *f, int i)
{
	struct flow_watch *w = &f->watch[i];
	struct epoll_event event = {.events = w->interest, .data.u64 = w->data};
	flow_armed(f, i);
	return HOLDS(epoll_ctl(w->set, EPOLL_CTL_MOD, f->fd, &event) == 0);
}

bool flow_saw(struct flow *f, int i, uint32_t events, uint64_t data)
{
	struct flow_watch *w = &f->watch[i];
	if (events != flow_due(f, i))
		return wrong(f, i, "events", events);
	w->queued = false;
	w->fired |= events && (w->interest & ONCE);
	return !events || HOLDS(data == w->data);
}

bool flow_tells_by(struct flow *f, int i, int set)
{
	struct epoll_event events[ROOM] = {{0}};
	int n = epoll_wait(set, events, ROOM, flow_due(f, i) ? LIMIT_MS : 0);
	if (n < 0 || n > 1)
		return wrong(f, i, "number of events", (uint32_t)n);
	return flow_saw(f, i, n ? events[0].events : 0, events[0].data.u64);
}

bool flow_tells(struct flow *f, int i)
{
	return flow_tells_by(f, i, f->watch[i].set);
}

static bool arm_again(struct flow *f, int i)
{
	return !f->watch[i].fired || flow_arm(f, i);
}

bool flow_ready_for_more(struct flow *f, int i)
{
	return flow_read(f) && arm_again(f, i) && flow_tells(f, i) && arm_again(f, i) &&
	       (!(f->watch[i].interest & ET) || flow_tells(f, i));
}

static bool one_round(struct flow *f, int i)
{
	return flow_write(f) && flow_tells(f, i) && flow_tells(f, i) && flow_write(f) &&
	       flow_tells(f, i) && flow_tells(f, i) && arm_again(f, i) && flow_tells(f, i) &&
	       flow_read(f) && flow_tells(f, i) && flow_write(f) && flow_read(f) &&
	       arm_again(f, i) && flow_tells(f, i) && arm_again(f, i);
}

bool flow_runs(struct flow *f, int i)
{
	bool good = flow_tells(f, i) && flow_tells(f, i) && flow_read(f) && arm_again(f, i);
	for (int round = 0; good && round < ROUNDS; round++)
		good = one_round(f, i);
	return good;
}

bool flow_bring(struct flow *f, enum flow_stage stage)
{
	f->stage = (int)stage;
	switch (stage) {
	case FLOW_WRITTEN:
		return flow_write(f);
	case FLOW_TOLD:
		return flow_write(f) && flow_tells(f, 0);
	case FLOW_READ:
		return flow_write(f) && flow_tells(f, 0) && flow_read(f);
	case FLOW_WRITTEN_MORE:
		return flow_write(f) && flow_tells(f, 0) && flow_write(f);
	case FLOW_UNSEEN:
		return flow_write(f) && flow_read(f);
	case FLOW_ARMED:
		return flow_write(f) && flow_tells(f, 0) && flow_arm(f, 0);
	default:
		return true;
	}
}

bool flow_each_at(enum flow_stage stage, int kinds, flow_run run)
{
	for (int kind = 0; kind < kinds; kind++) {
		struct flow *f = flow_open(flow_kinds[kind]);
		if (!HOLDS(f != NULL) || !flow_runs(f, 0) || !flow_bring(f, stage))
			return false;
		if (!run(f)) {
			dprintf(2, "with a watch of %#x, stage %d\n", flow_kinds[kind], stage);
			return false;
		}
		flow_close(f);
	}
	return true;
}

bool flow_each(int kinds, flow_run run)
{
	for (int stage = 0; stage < FLOW_STAGES; stage++)
		if (!flow_each_at((enum flow_stage)stage, kinds, run))
			return false;
	return true;
}
