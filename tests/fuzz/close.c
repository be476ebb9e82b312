/* Operations that close fds. */
#define _GNU_SOURCE
#include "model.h"

#include <sys/syscall.h>
#include <unistd.h>

enum { AT, LAST, FLAGS, FORGET = 1 };
enum { ABOVE_HARNESS = SLOT_CODES, CLOSEFROM };

static void make_close(struct gen *g, struct op *op)
{
	op->arg[AT] = disturbed_slot(g);
	op->arg[FORGET] = chance(g, 40);
	believe_closed(g, op, op->arg[AT], op->arg[FORGET]);
}

static void forget(struct box *b, const struct op *op)
{
	if (op->arg[FORGET] && op->arg[AT] < SLOTS)
		b->fd[op->arg[AT]] = -1;
}

static void run_close(struct box *b, const struct op *op, struct result *r)
{
	int fd = box_fd(b, op->arg[AT]);
	if (b->modelled)
		answer(r, model_close(b, fd));
	else
		answer(r, op->raw ? syscall(SYS_close, fd) : close(fd));
	forget(b, op);
}

static void run_fclose(struct box *b, const struct op *op, struct result *r)
{
	int fd = box_fd(b, op->arg[AT]);
	if (b->modelled) {
		answer(r, model_fclose(b, fd));
		value(r, r->ret == 0);
	} else {
		FILE *f = fdopen(fd, "r+");
		answer(r, f ? fclose(f) : -1);
		value(r, f != NULL);
		if (f)
			r->err = UNTOUCHED;
	}
	forget(b, op);
}

static void show_close(FILE *f, const struct op *op)
{
	fprintf(f, op->kind == K_FCLOSE ? "fclose(fdopen(%s))" : "close(%s)",
		slot_name(op->arg[AT]));
	if (op->arg[FORGET])
		fprintf(f, " and forget the number");
}

static void make_close_range(struct gen *g, struct op *op)
{
	static const unsigned flags[] = {
		0, 0, 0, CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE, 1, 8};
	op->arg[AT] = disturbed_slot(g);
	op->arg[LAST] = chance(g, 50) ? op->arg[AT] : any_slot(g);
	if (chance(g, 20))
		op->arg[AT] = chance(g, 50) ? ABOVE_HARNESS : CLOSEFROM;
	op->arg[FLAGS] = PICK(g, flags);
	if (op->arg[AT] < SLOTS && !op->arg[FLAGS])
		believe_closed(g, op, op->arg[AT], false);
}

static long do_close_range(const struct box *b, const struct op *op, int first, int last, int flags)
{
	if (b->modelled)
		return model_close_range(b, (unsigned)first, (unsigned)last, flags);
	if (op->raw)
		return syscall(SYS_close_range, first, last, flags);
	return close_range((unsigned)first, (unsigned)last, flags);
}

static void run_close_range(struct box *b, const struct op *op, struct result *r)
{
	int flags = (int)op->arg[FLAGS];
	if (op->arg[AT] == CLOSEFROM) {
		closefrom(HARNESS_END);
		return;
	}
	if (op->arg[AT] == ABOVE_HARNESS) {
		answer(r, close_range(HARNESS_END, ~0u, flags));
		return;
	}
	int first = box_fd(b, op->arg[AT]), last = box_fd(b, op->arg[LAST]);
	if (first < 0 || last < 0)
		r->status = SKIPPED;
	else
		answer(r, do_close_range(b, op, first, last, flags));
}

static void show_close_range(FILE *f, const struct op *op)
{
	static const struct bit_name names[] = {
		{CLOSE_RANGE_CLOEXEC, "CLOEXEC"}, {CLOSE_RANGE_UNSHARE, "UNSHARE"}, {0, NULL}};
	if (op->arg[AT] == CLOSEFROM) {
		fprintf(f, "closefrom(%d)", HARNESS_END);
		return;
	}
	if (op->arg[AT] == ABOVE_HARNESS) {
		fprintf(f, "close_range(%d, ~0, ", HARNESS_END);
	} else {
		fprintf(f, "close_range(%s, %s, ", slot_name(op->arg[AT]),
			slot_name(op->arg[LAST]));
	}
	show_bits(f, op->arg[FLAGS], names);
	fprintf(f, ")");
}

const struct kind kind_close = {
	.name = "close", .weight = 14, .make = make_close, .run = run_close, .show = show_close};
const struct kind kind_fclose = {
	.name = "fclose", .weight = 2, .make = make_close, .run = run_fclose, .show = show_close};
const struct kind kind_close_range = {.name = "close_range",
	.weight = 3,
	.make = make_close_range,
	.run = run_close_range,
	.show = show_close_range};
