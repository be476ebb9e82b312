/* Operations on epoll sets. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EPFD, WHAT, AT, EVENTS_WANTED, DATA, PLACE };
enum { MOST = 128, DRAIN_LIMIT = 64, NESTING = 3 };

static const uint32_t stop_at_edge = EPOLLET | EPOLLONESHOT;

static void make_ep_create(struct gen *g, struct op *op)
{
	static const unsigned flags[] = {
		0, 0, 0, 0, EPOLL_CLOEXEC, EPOLL_CLOEXEC, EPOLL_CLOEXEC, 1};
	op->arg[EPFD] = EP0 + (g->nests ? g->sets++ % NESTING : below(g, EPS));
	op->arg[WHAT] = chance(g, 10);
	op->arg[2] = PICK(g, flags);
	if (op->arg[2] != 1 && (op->arg[2] || !op->arg[WHAT]))
		believe_new(g, op, op->arg[EPFD], SET);
}

static void run_ep_create(struct box *b, const struct op *op, struct result *r)
{
	int n = (int)op->arg[2];
	if (b->modelled)
		answer(r, model_epoll_create(b, !op->arg[WHAT], n));
	else
		answer(r, op->arg[WHAT] ? epoll_create(n) : epoll_create1(n));
	box_keep(b, op->arg[EPFD], (int)r->ret);
}

static void show_ep_create(FILE *f, const struct op *op)
{
	fprintf(f, "%s = epoll_create%s(%#x)", slot_name(op->arg[EPFD]), op->arg[WHAT] ? "" : "1",
		(unsigned)op->arg[2]);
}

static uint64_t any_set(struct gen *g)
{
	return chance(g, 97) ? slot_of(g, SET) : any_slot(g);
}

/* The interests of a loop; others now and then, for which see below. */
static uint32_t loop_events(struct gen *g)
{
	static const uint32_t usual[] = {
		EPOLLIN, EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLET, EPOLLIN | EPOLLET};
	uint32_t events = PICK(g, usual) | (chance(g, 20) ? (uint32_t)EPOLLONESHOT : 0);
	return g->edges && !(events & stop_at_edge) ? events | EPOLLET : events;
}

static uint32_t any_events(struct gen *g)
{
	static const uint32_t usual[] = {
		EPOLLIN, EPOLLIN, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, 0};
	static const uint32_t single[] = {EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLERR,
		EPOLLHUP, EPOLLRDNORM, EPOLLWRNORM, EPOLLRDBAND, EPOLLMSG};
	if (g->loops && chance(g, 95))
		return loop_events(g);
	uint32_t events = chance(g, 75) ? PICK(g, usual) : 0;
	if (g->masks && chance(g, 50))
		events = chance(g, 50) ? below(g, 8) : g->mask; /* IN, PRI, OUT */
	while (chance(g, 30))
		events |= PICK(g, single);
	if (chance(g, g->masks ? 45 : 30))
		events |= EPOLLET;
	if (chance(g, 20))
		events |= EPOLLONESHOT;
	if (chance(g, 6))
		events = (events & ~(uint32_t)EPOLLONESHOT) | EPOLLEXCLUSIVE;
	if (chance(g, 4))
		events |= EPOLLWAKEUP;
	if (g->edges && !(events & stop_at_edge))
		events |= EPOLLET;
	return events;
}

static void choose_watch(struct gen *g, struct op *op)
{
	bool watched = believes_watched(g, op->arg[EPFD], op->arg[AT]);
	if (op->arg[WHAT] == EPOLL_CTL_ADD && watched && chance(g, 70))
		op->arg[WHAT] = EPOLL_CTL_MOD;
	else if (op->arg[WHAT] != EPOLL_CTL_ADD && chance(g, 90) &&
		 !some_watch(g, &op->arg[EPFD], &op->arg[AT]))
		op->arg[WHAT] = EPOLL_CTL_ADD;
	if (op->arg[WHAT] == EPOLL_CTL_ADD)
		believe_watched(g, op->arg[EPFD], op->arg[AT]);
	if (op->arg[WHAT] == EPOLL_CTL_DEL)
		believe_unwatched(g, op->arg[EPFD], op->arg[AT]);
}

/* No two watches alike, so that one can tell which of them were reported; still every bit is
 * either way in some. */
static uint64_t data_of_its_own(struct gen *g)
{
	uint64_t serial = ++g->serial, bases[] = {0, UINT64_MAX << 16, 1ull << 63, rnd(g) << 16};
	return chance(g, 20) ? serial << 40 : PICK(g, bases) | serial;
}

static void make_ep_ctl(struct gen *g, struct op *op)
{
	static const int what[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
		EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	static const uint64_t special[] = {0, UINT64_MAX, 1ull << 63, UINT32_MAX, 1ull << 32};
	op->arg[EPFD] = any_set(g);
	op->arg[WHAT] = chance(g, 98) ? (uint64_t)PICK(g, what) : 0;
	op->arg[AT] = chance(g, g->loops ? 98 : 92) ? any_slot(g) : slot_of(g, SET);
	if (g->nests && chance(g, 25)) {
		op->arg[EPFD] = EP0 + below(g, NESTING - 1);
		op->arg[AT] = op->arg[EPFD] + 1;
	}
	choose_watch(g, op);
	op->arg[EVENTS_WANTED] = any_events(g);
	if (g->nests && believed(g, op->arg[AT]) == SET)
		op->arg[EVENTS_WANTED] |= EPOLLIN;
	op->arg[DATA] = chance(g, 70) ? op->arg[AT] : PICK(g, special);
	if (chance(g, 10))
		op->arg[DATA] = rnd(g);
	if (g->modelled)
		op->arg[DATA] = data_of_its_own(g);
	if (chance(g, 3))
		op->arg[PLACE] = below(g, PLACES);
}

bool is_set(const struct box *b, int fd)
{
	char path[32], link[32] = "";
	if (b->modelled)
		return model_is_set(b, fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, link, sizeof(link) - 1) > 0 && strstr(link, "eventpoll");
}

/* The one case where the shim may show an edge of IN too many, as README says: a partial read of a
 * semaphore that has an OUT watch in an edge-triggered nested set, or an OUT|ET watch in a set that
 * is shared over fork. */
static bool may_show_more(const struct box *b, const struct op *op, uint32_t events)
{
	if (!b->semaphores || !(events & (EPOLLET | EPOLLEXCLUSIVE)))
		return false;
	return (b->forks && (events & EPOLLOUT)) || is_set(b, box_fd(b, op->arg[AT]));
}

static void run_ep_ctl(struct box *b, const struct op *op, struct result *r)
{
	int set = box_fd(b, op->arg[EPFD]), fd = box_fd(b, op->arg[AT]), what = (int)op->arg[WHAT];
	struct epoll_event e = {.events = (uint32_t)op->arg[EVENTS_WANTED]};
	struct epoll_event *p = (struct epoll_event *)(void *)box_place(b, op->arg[PLACE]);
	bool others = op->arg[PLACE] == P_READONLY; /* events, that are there */
	if ((b->edges && (others || !(e.events & stop_at_edge))) ||
		may_show_more(b, op, e.events)) {
		r->status = SKIPPED;
		return;
	}
	e.data.u64 = op->arg[DATA];
	if (sizeof(e) <= box_room(op->arg[PLACE]))
		memcpy(p, &e, sizeof(e));
	if (b->modelled)
		answer(r, model_epoll_ctl(b, set, what, fd, p));
	else if (op->raw)
		answer(r, syscall(SYS_epoll_ctl, set, what, fd, p));
	else
		answer(r, epoll_ctl(set, what, fd, p));
}

static void show_ep_ctl(FILE *f, const struct op *op)
{
	static const char *const names[] = {"0", "ADD", "DEL", "MOD"};
	fprintf(f, "epoll_ctl(%s, %s, %s, ", slot_name(op->arg[EPFD]), names[op->arg[WHAT] % 4],
		slot_name(op->arg[AT]));
	show_events(f, op->arg[EVENTS_WANTED]);
	fprintf(f, ", data %#llx", (unsigned long long)op->arg[DATA]);
	if (op->arg[PLACE] != P_BUF)
		fprintf(f, ", at %s", place_names[op->arg[PLACE]]);
	fprintf(f, ")");
}

static int compare_events(const void *left, const void *right)
{
	struct epoll_event a, b;
	memcpy(&a, left, sizeof(a));
	memcpy(&b, right, sizeof(b));
	if (a.data.u64 != b.data.u64)
		return a.data.u64 < b.data.u64 ? -1 : 1;
	return a.events < b.events ? -1 : a.events > b.events;
}

/* The kernel leaves the order free. */
static void keep_events(struct result *r, struct epoll_event *e, int n)
{
	if (n > 1)
		qsort(e, (size_t)n, sizeof(*e), compare_events);
	for (int i = 0; i < n; i++) {
		value(r, e[i].events);
		value(r, e[i].data.u64);
	}
}

enum { CALL = 1, TIMEOUT, MAX_EVENTS, BY_THREAD };
enum { PLAIN_CALL, SIGNAL_CALL, TIMESPEC_CALL, CALLS };
enum { NOT_AT_ALL, ONE_MS, INVALID };

static void make_ep_wait(struct gen *g, struct op *op)
{
	static const int odd[] = {0, -1, INT32_MAX};
	op->arg[EPFD] = any_set(g);
	op->arg[CALL] = below(g, CALLS);
	op->arg[MAX_EVENTS] = chance(g, 97) ? MOST : (uint64_t)PICK(g, odd);
	if (g->modelled && chance(g, 40))
		op->arg[MAX_EVENTS] = 1 + below(g, 1 + below(g, 4));
	if (chance(g, 4))
		op->arg[TIMEOUT] = ONE_MS;
	else if (chance(g, 2))
		op->arg[TIMEOUT] = INVALID;
	op->arg[BY_THREAD] = chance(g, 2);
	if (chance(g, 3))
		op->arg[PLACE] = below(g, PLACES);
}

static long model_wait(const struct box *b, const struct op *op, struct epoll_event *e)
{
	if (op->arg[CALL] == TIMESPEC_CALL && op->arg[TIMEOUT] == INVALID) {
		errno = EINVAL;
		return -1;
	}
	return model_epoll_wait(
		b, box_fd(b, op->arg[EPFD]), e, (int)op->arg[MAX_EVENTS], &b->other);
}

static long do_wait(const struct op *op, int set, struct epoll_event *e)
{
	struct timespec t = {0};
	int n = (int)op->arg[MAX_EVENTS], ms = op->arg[TIMEOUT] == ONE_MS;
	if (op->arg[CALL] == TIMESPEC_CALL) {
		t.tv_nsec = op->arg[TIMEOUT] == INVALID ? 2000000000 : ms * 1000000;
		return op->raw ? syscall(SYS_epoll_pwait2, set, e, n, &t, NULL, 8)
			       : epoll_pwait2(set, e, n, &t, NULL);
	}
	if (op->arg[CALL] == SIGNAL_CALL)
		return op->raw ? syscall(SYS_epoll_pwait, set, e, n, ms, NULL, 8)
			       : epoll_pwait(set, e, n, ms, NULL);
	return epoll_wait(set, e, n, ms);
}

/* The same in another thread, which ends. */
struct wait_elsewhere {
	const struct op *op;
	int set, err;
	struct epoll_event *e;
	long ret;
};

static void *wait_in_thread(void *arg)
{
	struct wait_elsewhere *w = arg;
	errno = UNTOUCHED;
	w->ret = do_wait(w->op, w->set, w->e);
	w->err = errno;
	return NULL;
}

static long do_wait_somewhere(const struct op *op, int set, struct epoll_event *e)
{
	struct wait_elsewhere w = {.op = op, .set = set, .e = e};
	pthread_t thread;
	if (!op->arg[BY_THREAD] || pthread_create(&thread, NULL, wait_in_thread, &w) != 0)
		return do_wait(op, set, e);
	pthread_join(thread, NULL);
	errno = w.err;
	return w.ret;
}

static void run_ep_wait(struct box *b, const struct op *op, struct result *r)
{
	struct epoll_event *p = (struct epoll_event *)(void *)box_place(b, op->arg[PLACE]);
	int most = (int)op->arg[MAX_EVENTS];
	/* Room for some events only: which ones come first is free, and the kernel asks nobody. */
	if (most > 0 && most < MOST && !b->follows) {
		r->status = SKIPPED;
		return;
	}
	if (b->modelled)
		answer(r, model_wait(b, op, p));
	else
		answer(r, do_wait_somewhere(op, box_fd(b, op->arg[EPFD]), p));
	keep_events(r, p, (int)r->ret);
}

static void show_ep_wait(FILE *f, const struct op *op)
{
	static const char *const names[] = {"epoll_wait", "epoll_pwait", "epoll_pwait2"};
	static const char *const timeouts[] = {"0", "1 ms", "invalid"};
	fprintf(f, "%s(%s, max %d, %s", names[op->arg[CALL] % CALLS], slot_name(op->arg[EPFD]),
		(int)op->arg[MAX_EVENTS], timeouts[op->arg[TIMEOUT] % 3]);
	if (op->arg[BY_THREAD])
		fprintf(f, ", in another thread");
	if (op->arg[PLACE] != P_BUF)
		fprintf(f, ", at %s", place_names[op->arg[PLACE]]);
	fprintf(f, ")");
}

static void make_ep_drain(struct gen *g, struct op *op)
{
	op->arg[EPFD] = any_set(g);
	op->arg[MAX_EVENTS] = 1 + below(g, 8);
}

/* Few events at a time until none is left: only where each is reported once, whatever the order. */
static void run_ep_drain(struct box *b, const struct op *op, struct result *r)
{
	struct epoll_event e[DRAIN_LIMIT + MOST];
	int set = box_fd(b, op->arg[EPFD]), most = (int)op->arg[MAX_EVENTS], total = 0, n = 0;
	if (!b->edges || most < 1 || most > MOST) {
		r->status = SKIPPED;
		return;
	}
	do {
		if (b->modelled)
			n = (int)model_epoll_wait(b, set, e + total, most, NULL);
		else
			n = epoll_wait(set, e + total, most, 0);
		total += n > 0 ? n : 0;
	} while (n > 0 && total < DRAIN_LIMIT);
	answer(r, n < 0 ? -1 : total);
	keep_events(r, e, total);
}

static void show_ep_drain(FILE *f, const struct op *op)
{
	fprintf(f, "drain %s by epoll_wait(max %d)", slot_name(op->arg[EPFD]),
		(int)op->arg[MAX_EVENTS]);
}

#define KIND(NAME, WEIGHT, SHAPE, MAKE)                                                            \
	const struct kind kind_##NAME = {.name = #NAME,                                            \
		.weight = WEIGHT,                                                                  \
		.shape = SHAPE,                                                                    \
		.make = MAKE,                                                                      \
		.run = run_##NAME,                                                                 \
		.show = show_##NAME}

KIND(ep_create, 4, PLAIN, make_ep_create);
KIND(ep_ctl, 50, PLAIN, make_ep_ctl);
KIND(ep_wait, 55, EVENTS, make_ep_wait);
KIND(ep_drain, 25, EVENTS, make_ep_drain);
