/* Operations that read and write. */
#define _GNU_SOURCE
#include "model.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { AT, PLACE, LEN, VALUE, MODE, FLAGS };
enum { CHECKED = 24, FILL = 0xaa, FILLED = 2048, MASK_BYTES = 12 };

static const uint64_t edge_values[] = {0, 1, 1, 1, 1, 2, 3, 7, 255, 1ull << 32, 1ull << 63,
	UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 1, UINT64_MAX - 2, UINT64_MAX - 3, UINT64_MAX - 8,
	UINT64_MAX / 2};
static const uint64_t lengths[] = {0, 1, 4, 7, 9, 16, 1024, 1 << 16, SIZE_MAX};
static const uint64_t mask_lengths[] = {0, 1, 4, 8, 11, 13, 16, 24, 1024, 1 << 16, SIZE_MAX};

static uint64_t any_value(struct gen *g)
{
	if (g->loops && chance(g, 90))
		return 1 + below(g, 3);
	return chance(g, 85) ? PICK(g, edge_values) : rnd(g) >> below(g, 64);
}

static uint64_t any_length(struct gen *g, uint64_t slot)
{
	if (believed(g, slot) == MASK)
		return chance(g, 85) ? MASK_BYTES : PICK(g, mask_lengths);
	return chance(g, 90) ? 8 : PICK(g, lengths);
}

/* What the call left in the buffer, a little beyond what it stored. */
static void keep_bytes(struct result *r, const unsigned char *p, size_t room, size_t stored)
{
	uint64_t word[CHECKED / 8] = {0};
	memcpy(word, p, room < CHECKED ? room : CHECKED);
	for (int i = 0; i < CHECKED / 8; i++)
		value(r, word[i]);
	uint64_t hash = 0xcbf29ce484222325;
	for (size_t i = CHECKED; i < stored; i++)
		hash = (hash ^ p[i]) * 0x100000001b3;
	if (stored > CHECKED)
		value(r, hash);
}

static void fill(struct box *b, uint64_t place)
{
	size_t room = box_room(place);
	if (room)
		memset(box_place(b, place), FILL, room < FILLED ? room : FILLED);
}

static void put(struct box *b, uint64_t place, uint64_t v)
{
	size_t room = box_room(place);
	fill(b, place);
	if (room)
		memcpy(box_place(b, place), &v, room < sizeof(v) ? room : sizeof(v));
}

static long do_read(const struct box *b, const struct op *op, void *p)
{
	int fd = box_fd(b, op->arg[AT]);
	if (b->modelled)
		return model_read(b, fd, p, op->arg[LEN]);
	return op->raw ? syscall(SYS_read, fd, p, op->arg[LEN]) : read(fd, p, op->arg[LEN]);
}

static long do_write(const struct box *b, const struct op *op, const void *p)
{
	int fd = box_fd(b, op->arg[AT]);
	if (b->modelled)
		return model_write(b, fd, p, op->arg[LEN]);
	return op->raw ? syscall(SYS_write, fd, p, op->arg[LEN]) : write(fd, p, op->arg[LEN]);
}

static void make_read(struct gen *g, struct op *op)
{
	op->arg[AT] = any_slot(g);
	op->arg[PLACE] = any_place(g);
	op->arg[LEN] = any_length(g, op->arg[AT]);
}

static void run_read(struct box *b, const struct op *op, struct result *r)
{
	unsigned char *p = box_place(b, op->arg[PLACE]);
	fill(b, op->arg[PLACE]);
	guard(true);
	answer(r, do_read(b, op, p));
	guard(false);
	if (r->ret >= 0)
		keep_bytes(r, p, box_room(op->arg[PLACE]), (size_t)r->ret);
}

static void show_read(FILE *f, const struct op *op)
{
	fprintf(f, "read(%s, %s, %#llx)", slot_name(op->arg[AT]), place_names[op->arg[PLACE]],
		(unsigned long long)op->arg[LEN]);
}

static void make_write(struct gen *g, struct op *op)
{
	make_read(g, op);
	op->arg[VALUE] = any_value(g);
}

static void run_write(struct box *b, const struct op *op, struct result *r)
{
	put(b, op->arg[PLACE], op->arg[VALUE]);
	guard(true);
	answer(r, do_write(b, op, box_place(b, op->arg[PLACE])));
	guard(false);
}

static void show_write(FILE *f, const struct op *op)
{
	fprintf(f, "write(%s, %s = %#llx, %#llx)", slot_name(op->arg[AT]),
		place_names[op->arg[PLACE]], (unsigned long long)op->arg[VALUE],
		(unsigned long long)op->arg[LEN]);
}

static void make_pread(struct gen *g, struct op *op)
{
	static const int64_t offsets[] = {0, 0, 8, -1, INT64_MIN};
	make_write(g, op);
	op->arg[MODE] = (uint64_t)PICK(g, offsets);
}

static void run_pread(struct box *b, const struct op *op, struct result *r)
{
	unsigned char *p = box_place(b, op->arg[PLACE]);
	fill(b, op->arg[PLACE]);
	guard(true);
	if (b->modelled)
		answer(r, model_pread(b, box_fd(b, op->arg[AT]), (long)op->arg[MODE]));
	else
		answer(r, pread(box_fd(b, op->arg[AT]), p, op->arg[LEN], (off_t)op->arg[MODE]));
	guard(false);
	if (r->ret >= 0)
		keep_bytes(r, p, box_room(op->arg[PLACE]), (size_t)r->ret);
}

static void run_pwrite(struct box *b, const struct op *op, struct result *r)
{
	unsigned char *p = box_place(b, op->arg[PLACE]);
	put(b, op->arg[PLACE], op->arg[VALUE]);
	guard(true);
	if (b->modelled)
		answer(r, model_pread(b, box_fd(b, op->arg[AT]), (long)op->arg[MODE]));
	else
		answer(r, pwrite(box_fd(b, op->arg[AT]), p, op->arg[LEN], (off_t)op->arg[MODE]));
	guard(false);
}

static void show_pread(FILE *f, const struct op *op)
{
	fprintf(f, "%s(%s, %s, %#llx, %lld)", kinds[op->kind]->name, slot_name(op->arg[AT]),
		place_names[op->arg[PLACE]], (unsigned long long)op->arg[LEN],
		(long long)op->arg[MODE]);
}

static void make_efd(struct gen *g, struct op *op)
{
	op->arg[AT] = any_slot(g);
	op->arg[PLACE] = any_place(g);
	op->arg[VALUE] = any_value(g);
}

/* The C library's own eventfd_read() and eventfd_write(), on the model. */
static int efd_result(long n)
{
	return n == sizeof(eventfd_t) ? 0 : -1;
}

static int do_efd_read(const struct box *b, int fd, eventfd_t *p)
{
	return b->modelled ? efd_result(model_read(b, fd, p, sizeof(*p))) : eventfd_read(fd, p);
}

static int do_efd_write(const struct box *b, int fd, eventfd_t v)
{
	return b->modelled ? efd_result(model_write(b, fd, &v, sizeof(v))) : eventfd_write(fd, v);
}

static void run_efd_read(struct box *b, const struct op *op, struct result *r)
{
	eventfd_t *p = (eventfd_t *)(void *)box_place(b, op->arg[PLACE]);
	fill(b, op->arg[PLACE]);
	guard(true);
	answer(r, do_efd_read(b, box_fd(b, op->arg[AT]), p));
	guard(false);
	if (r->ret >= 0)
		keep_bytes(r, (unsigned char *)p, box_room(op->arg[PLACE]), 0);
}

static void show_efd_read(FILE *f, const struct op *op)
{
	fprintf(f, "eventfd_read(%s, %s)", slot_name(op->arg[AT]), place_names[op->arg[PLACE]]);
}

static void run_efd_write(struct box *b, const struct op *op, struct result *r)
{
	guard(true);
	answer(r, do_efd_write(b, box_fd(b, op->arg[AT]), op->arg[VALUE]));
	guard(false);
}

static void show_efd_write(FILE *f, const struct op *op)
{
	fprintf(f, "eventfd_write(%s, %#llx)", slot_name(op->arg[AT]),
		(unsigned long long)op->arg[VALUE]);
}

#define KIND(NAME, WEIGHT, MAKE, SHOW)                                                             \
	const struct kind kind_##NAME = {                                                          \
		.name = #NAME, .weight = WEIGHT, .make = MAKE, .run = run_##NAME, .show = SHOW}

KIND(read, 60, make_read, show_read);
KIND(write, 80, make_write, show_write);
KIND(pread, 3, make_pread, show_pread);
KIND(pwrite, 3, make_pread, show_pread);
KIND(efd_read, 20, make_efd, show_efd_read);
KIND(efd_write, 20, make_efd, show_efd_write);
