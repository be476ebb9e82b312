/* Operations that poll and select. They wait a millisecond at most. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CALL, TIMEOUT, PLACE, COUNT };
enum { NOT_AT_ALL, ONE_MS, INVALID };
enum { PLAIN_CALL, SIGNAL_CALL, CALLS };
enum { READS = 1, WRITES = 2, EXCEPTS = 4 };

static void make_list(struct gen *g, struct op *op)
{
	op->n = (uint8_t)(below(g, 4) ? 1 + below(g, 4) : below(g, LIST_MAX + 1));
	for (unsigned i = 0; i < op->n; i++)
		op->list[i].slot = (uint8_t)disturbed_slot(g);
}

static void make_timeout(struct gen *g, struct op *op)
{
	op->arg[CALL] = below(g, CALLS);
	if (chance(g, 4))
		op->arg[TIMEOUT] = ONE_MS;
	else if (chance(g, 3))
		op->arg[TIMEOUT] = INVALID;
}

static struct timespec timeout_of(const struct op *op)
{
	struct timespec t = {0};
	if (op->arg[TIMEOUT] == ONE_MS)
		t.tv_nsec = 1000000;
	else if (op->arg[TIMEOUT] == INVALID)
		t.tv_nsec = 2000000000;
	return t;
}

static long invalid(void)
{
	errno = EINVAL;
	return -1;
}

static void make_poll(struct gen *g, struct op *op)
{
	static const uint16_t usual[] = {POLLIN, POLLIN, POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI,
		POLLRDNORM, POLLWRNORM, POLLRDHUP, 0};
	make_list(g, op);
	make_timeout(g, op);
	for (unsigned i = 0; i < op->n; i++)
		op->list[i].mask = chance(g, 70) ? PICK(g, usual) : (uint16_t)rnd(g);
	for (unsigned i = 0; g->masks && i < op->n; i++)
		if (chance(g, 60))
			op->list[i].mask = (uint16_t)below(g, 32);
	op->arg[PLACE] = chance(g, 97) ? P_BUF : below(g, PLACES);
}

static long do_poll(const struct box *b, const struct op *op, struct pollfd *fds)
{
	struct timespec t = timeout_of(op);
	if (b->modelled && op->arg[CALL] == SIGNAL_CALL && op->arg[TIMEOUT] == INVALID)
		return invalid();
	if (b->modelled)
		return model_poll(b, fds, op->n);
	int ms = op->arg[TIMEOUT] == ONE_MS;
	if (op->arg[CALL] == SIGNAL_CALL)
		return op->raw ? syscall(SYS_ppoll, fds, op->n, &t, NULL, 8)
			       : ppoll(fds, op->n, &t, NULL);
	return poll(fds, op->n, ms);
}

static void run_poll(struct box *b, const struct op *op, struct result *r)
{
	struct pollfd *fds = (struct pollfd *)(void *)box_place(b, op->arg[PLACE]);
	size_t size = op->n * sizeof(*fds);
	bool usable = size <= box_room(op->arg[PLACE]);
	for (unsigned i = 0; usable && i < op->n; i++)
		fds[i] = (struct pollfd){box_fd(b, op->list[i].slot), (short)op->list[i].mask, -1};
	answer(r, do_poll(b, op, fds));
	for (unsigned i = 0; usable && r->ret >= 0 && i < op->n; i++)
		value(r, (uint16_t)fds[i].revents);
}

static const char *timeout_name(const struct op *op)
{
	return op->arg[TIMEOUT] == ONE_MS ? "1 ms" : op->arg[TIMEOUT] == INVALID ? "invalid" : "0";
}

static void show_poll(FILE *f, const struct op *op)
{
	fprintf(f, op->arg[CALL] == SIGNAL_CALL ? "ppoll(" : "poll(");
	for (unsigned i = 0; i < op->n; i++) {
		fprintf(f, "%s%s ", i ? ", " : "", slot_name(op->list[i].slot));
		show_events(f, op->list[i].mask);
	}
	fprintf(f, "; %s", timeout_name(op));
	if (op->arg[PLACE] != P_BUF)
		fprintf(f, "; at %s", place_names[op->arg[PLACE]]);
	fprintf(f, ")");
}

static void make_select(struct gen *g, struct op *op)
{
	make_list(g, op);
	make_timeout(g, op);
	for (unsigned i = 0; i < op->n; i++)
		op->list[i].mask = (uint16_t)below(g, 8);
	if (chance(g, 5))
		op->arg[COUNT] = 1 + below(g, 3);
}

struct sets {
	fd_set set[3];
	int highest;
};

static void fill_sets(const struct box *b, const struct op *op, struct sets *s)
{
	memset(s, 0, sizeof(*s));
	s->highest = -1;
	for (unsigned i = 0; i < op->n; i++) {
		int fd = box_fd(b, op->list[i].slot);
		if (fd < 0)
			continue;
		for (int k = 0; k < 3; k++)
			if (op->list[i].mask >> k & 1)
				FD_SET(fd, &s->set[k]);
		if (fd > s->highest)
			s->highest = fd;
	}
}

/* COUNT: 0 as needed, 1 none, 2 negative, 3 the whole set. */
static int set_count(const struct op *op, const struct sets *s)
{
	static const int special[] = {0, 0, -1, FD_SETSIZE};
	return op->arg[COUNT] ? special[op->arg[COUNT] % 4] : s->highest + 1;
}

static long do_select(const struct box *b, const struct op *op, struct sets *s)
{
	struct timespec t = timeout_of(op);
	struct timeval tv = {0, t.tv_nsec / 1000};
	int n = set_count(op, s);
	if (b->modelled)
		return op->arg[TIMEOUT] == INVALID ? invalid() : model_select(b, n, s->set);
	/* select() takes any tv_usec. */
	if (op->arg[TIMEOUT] == INVALID)
		tv.tv_sec = -1;
	if (op->arg[CALL] == PLAIN_CALL)
		return select(n, &s->set[0], &s->set[1], &s->set[2], &tv);
	if (op->raw)
		return syscall(SYS_pselect6, n, &s->set[0], &s->set[1], &s->set[2], &t, NULL);
	return pselect(n, &s->set[0], &s->set[1], &s->set[2], &t, NULL);
}

static void run_select(struct box *b, const struct op *op, struct result *r)
{
	struct sets s;
	fill_sets(b, op, &s);
	answer(r, do_select(b, op, &s));
	for (unsigned i = 0; i < op->n; i++) {
		int fd = box_fd(b, op->list[i].slot);
		uint64_t bits = 0;
		for (int k = 0; fd >= 0 && k < 3; k++)
			bits |= (uint64_t)(FD_ISSET(fd, &s.set[k]) != 0) << k;
		value(r, bits);
	}
}

static void show_select(FILE *f, const struct op *op)
{
	static const struct bit_name names[] = {
		{READS, "read"}, {WRITES, "write"}, {EXCEPTS, "except"}, {0, NULL}};
	fprintf(f, op->arg[CALL] == PLAIN_CALL ? "select(" : "pselect(");
	if (op->arg[COUNT])
		fprintf(f, "nfds %d; ", set_count(op, &(struct sets){0}));
	for (unsigned i = 0; i < op->n; i++) {
		fprintf(f, "%s%s ", i ? ", " : "", slot_name(op->list[i].slot));
		show_bits(f, op->list[i].mask, names);
	}
	fprintf(f, "; %s)", timeout_name(op));
}

const struct kind kind_poll = {.name = "poll",
	.weight = 35,
	.shape = MASKS,
	.make = make_poll,
	.run = run_poll,
	.show = show_poll};
const struct kind kind_select = {.name = "select",
	.weight = 12,
	.make = make_select,
	.run = run_select,
	.show = show_select};
