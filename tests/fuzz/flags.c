/* Operations on the flags of an fd. */
#define _GNU_SOURCE
#include "model.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { AT, FLAGS, PLACE };

static const struct bit_name status_names[] = {
	{O_RDWR, "RDWR"},
	{O_WRONLY, "WRONLY"},
	{O_NONBLOCK, "NONBLOCK"},
	{O_APPEND, "APPEND"},
	{O_ASYNC, "ASYNC"},
	{O_DIRECT, "DIRECT"},
	{O_NOATIME, "NOATIME"},
	{O_SYNC, "SYNC"},
	{O_CLOEXEC, "CLOEXEC"},
	{0, NULL},
};

static void make_get(struct gen *g, struct op *op)
{
	op->arg[AT] = any_slot(g);
}

static long do_fcntl(const struct box *b, const struct op *op, int cmd)
{
	int fd = box_fd(b, op->arg[AT]), arg = (int)op->arg[FLAGS];
	if (b->modelled)
		return model_fcntl(b, fd, cmd, arg);
	return op->raw ? syscall(SYS_fcntl, fd, cmd, arg) : fcntl(fd, cmd, arg);
}

static void run_getfl(struct box *b, const struct op *op, struct result *r)
{
	answer(r, do_fcntl(b, op, F_GETFL));
}

static void run_getfd(struct box *b, const struct op *op, struct result *r)
{
	answer(r, do_fcntl(b, op, F_GETFD));
}

static void make_setfl(struct gen *g, struct op *op)
{
	static const unsigned flags[] = {O_NONBLOCK, O_NONBLOCK, O_NONBLOCK, O_NONBLOCK | O_APPEND,
		O_NONBLOCK | O_RDWR, 0, O_APPEND, O_NONBLOCK | O_ASYNC, O_NONBLOCK | O_DIRECT,
		O_NONBLOCK | O_NOATIME, O_NONBLOCK | O_SYNC, O_NONBLOCK | O_CLOEXEC, O_WRONLY};
	op->arg[AT] = any_slot(g);
	do
		op->arg[FLAGS] = PICK(g, flags);
	while (g->modelled && (op->arg[FLAGS] & (O_DIRECT | O_NOATIME)));
}

static void run_setfl(struct box *b, const struct op *op, struct result *r)
{
	answer(r, do_fcntl(b, op, F_SETFL));
}

static void make_setfd(struct gen *g, struct op *op)
{
	static const unsigned flags[] = {0, FD_CLOEXEC, FD_CLOEXEC, 2, ~0u};
	op->arg[AT] = any_slot(g);
	op->arg[FLAGS] = PICK(g, flags);
}

static void run_setfd(struct box *b, const struct op *op, struct result *r)
{
	answer(r, do_fcntl(b, op, F_SETFD));
}

static void show_get(FILE *f, const struct op *op)
{
	fprintf(f, "fcntl(%s, %s)", slot_name(op->arg[AT]),
		op->kind == K_GETFL ? "F_GETFL" : "F_GETFD");
}

static void show_setfl(FILE *f, const struct op *op)
{
	fprintf(f, "fcntl(%s, F_SETFL, ", slot_name(op->arg[AT]));
	show_bits(f, op->arg[FLAGS], status_names);
	fprintf(f, ")");
}

static void show_setfd(FILE *f, const struct op *op)
{
	fprintf(f, "fcntl(%s, F_SETFD, %#x)", slot_name(op->arg[AT]), (unsigned)op->arg[FLAGS]);
}

enum { REQUEST = FLAGS, ARGUMENT = 3 };

static const struct request {
	unsigned long code;
	const char *name;
} requests[] = {
	{FIONBIO, "FIONBIO"},
	{FIOCLEX, "FIOCLEX"},
	{FIONCLEX, "FIONCLEX"},
	{FIOASYNC, "FIOASYNC"},
	{FIONREAD, "FIONREAD"},
	{TCGETS, "TCGETS"},
	{FIOQSIZE, "FIOQSIZE"},
	{0x12345678, "0x12345678"},
};

enum { REQUESTS = sizeof(requests) / sizeof(*requests), MODELLED_REQUESTS = 3 };

static void make_ioctl(struct gen *g, struct op *op)
{
	op->arg[AT] = any_slot(g);
	op->arg[REQUEST] = chance(g, 50) ? 0 : below(g, g->modelled ? MODELLED_REQUESTS : REQUESTS);
	op->arg[PLACE] = any_place(g);
	op->arg[ARGUMENT] = chance(g, 80);
}

static void run_ioctl(struct box *b, const struct op *op, struct result *r)
{
	int fd = box_fd(b, op->arg[AT]);
	unsigned long code = requests[op->arg[REQUEST] % REQUESTS].code;
	int *p = (int *)(void *)box_place(b, op->arg[PLACE]);
	bool usable = box_room(op->arg[PLACE]) >= sizeof(*p);
	if (usable)
		*p = (int)op->arg[ARGUMENT];
	if (b->modelled)
		answer(r, model_ioctl(b, fd, code, p));
	else
		answer(r, op->raw ? syscall(SYS_ioctl, fd, code, p) : ioctl(fd, code, p));
	if (usable && code == FIONREAD)
		value(r, (uint64_t)*p);
}

static void show_ioctl(FILE *f, const struct op *op)
{
	fprintf(f, "ioctl(%s, %s, %s = %u)", slot_name(op->arg[AT]),
		requests[op->arg[REQUEST] % REQUESTS].name, place_names[op->arg[PLACE]],
		(unsigned)op->arg[ARGUMENT]);
}

#define KIND(NAME, WEIGHT, MAKE, SHOW)                                                             \
	const struct kind kind_##NAME = {                                                          \
		.name = #NAME, .weight = WEIGHT, .make = MAKE, .run = run_##NAME, .show = SHOW}

KIND(getfl, 5, make_get, show_get);
KIND(getfd, 5, make_get, show_get);
KIND(setfl, 6, make_setfl, show_setfl);
KIND(setfd, 3, make_setfd, show_setfd);
KIND(ioctl, 7, make_ioctl, show_ioctl);
