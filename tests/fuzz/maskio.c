/* Operations that write masks. */
#define _GNU_SOURCE
#include "model.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "efdshim/eventfd.h"

enum { AT, PLACE, LEN, EVENTS_WRITTEN, DATA };
enum { FILL = 0xaa, FILLED = 2048 };

static uint32_t any_mask(struct gen *g)
{
	static const uint32_t all = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP;
	static const uint32_t usual[] = {
		0, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLPRI, EPOLLERR, EPOLLHUP};
	if (chance(g, 40)) /* the same again is an edge, too */
		return g->mask;
	g->mask = chance(g, 50) ? PICK(g, usual) : (uint32_t)rnd(g) & all;
	return g->mask;
}

static void make_mask_write(struct gen *g, struct op *op)
{
	static const uint64_t lengths[] = {0, 8, 11, 13, 16, 24, 1024, SIZE_MAX};
	op->arg[AT] = chance(g, 95) ? slot_of(g, MASK) : any_slot(g);
	op->arg[PLACE] = any_place(g);
	op->arg[LEN] = chance(g, 93) ? sizeof(struct efd_mask) : PICK(g, lengths);
	op->arg[EVENTS_WRITTEN] = any_mask(g);
	if (chance(g, 4))
		op->arg[EVENTS_WRITTEN] |= 1u << below(g, 32);
	op->arg[DATA] = rnd(g) >> below(g, 64);
}

static void run_mask_write(struct box *b, const struct op *op, struct result *r)
{
	struct efd_mask mask = {(uint32_t)op->arg[EVENTS_WRITTEN], op->arg[DATA]};
	unsigned char *p = box_place(b, op->arg[PLACE]);
	size_t room = box_room(op->arg[PLACE]), len = op->arg[LEN];
	int fd = box_fd(b, op->arg[AT]);
	if (room) {
		memset(p, FILL, room < FILLED ? room : FILLED);
		memcpy(p, &mask, room < sizeof(mask) ? room : sizeof(mask));
	}
	guard(true);
	if (b->modelled)
		answer(r, model_write(b, fd, p, len));
	else
		answer(r, op->raw ? syscall(SYS_write, fd, p, len) : write(fd, p, len));
	guard(false);
}

static void show_mask_write(FILE *f, const struct op *op)
{
	fprintf(f, "write(%s, %s = {", slot_name(op->arg[AT]), place_names[op->arg[PLACE]]);
	show_events(f, (uint32_t)op->arg[EVENTS_WRITTEN]);
	fprintf(f, ", %#llx}, %#llx)", (unsigned long long)op->arg[DATA],
		(unsigned long long)op->arg[LEN]);
}

const struct kind kind_mask_write = {.name = "mask_write",
	.weight = 90,
	.make = make_mask_write,
	.run = run_mask_write,
	.show = show_mask_write};
