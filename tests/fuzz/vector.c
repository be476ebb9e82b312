/* Operations that read and write several pieces at once. */
#define _GNU_SOURCE
#include "model.h"

#include <limits.h>
#include <string.h>
#include <sys/uio.h>

enum { AT, LAYOUT, VALUE, CALL, OFFSET, FLAGS };
enum { PLAIN_CALL, POSITIONED, FLAGGED, CALLS };
enum { PIECES = 3, GOOD = 0, SHOWN = 24, FILL = 0xaa, FILLED = 2048 };

/* count is what the call is told; bad is the piece (from 1) that lies in no memory. */
static const struct layout {
	const char *name;
	int count;
	uint16_t len[PIECES];
	uint8_t bad;
} layouts[] = {
	{"8", 1, {8}, GOOD},
	{"4+4", 2, {4, 4}, GOOD},
	{"8+8", 2, {8, 8}, GOOD},
	{"0+8", 2, {0, 8}, GOOD},
	{"8+0", 2, {8, 0}, GOOD},
	{"1+7", 2, {1, 7}, GOOD},
	{"7+1", 2, {7, 1}, GOOD},
	{"2+2+4", 3, {2, 2, 4}, GOOD},
	{"8+8+8", 3, {8, 8, 8}, GOOD},
	{"8+4", 2, {8, 4}, GOOD},
	{"0+4+4", 3, {0, 4, 4}, GOOD},
	{"16", 1, {16}, GOOD},
	{"4", 1, {4}, GOOD},
	{"0", 1, {0}, GOOD},
	{"1024", 1, {1024}, GOOD},
	{"bad 8", 1, {8}, 1},
	{"8+bad 8", 2, {8, 8}, 2},
	{"4+bad 4", 2, {4, 4}, 2},
	{"bad 0+8", 2, {0, 8}, 1},
	{"bad 4+4", 2, {4, 4}, 1},
	{"12", 1, {12}, GOOD},
	{"4+8", 2, {4, 8}, GOOD},
	{"1+11", 2, {1, 11}, GOOD},
	{"12+12", 2, {12, 12}, GOOD},
	{"12+0", 2, {12, 0}, GOOD},
	{"12+8", 2, {12, 8}, GOOD},
	{"4+4+4", 3, {4, 4, 4}, GOOD},
	{"8+bad 4", 2, {8, 4}, 2},
	{"12+bad 12", 2, {12, 12}, 2},
	{"no pieces", 0, {0}, GOOD},
	{"-1 pieces", -1, {8}, GOOD},
	{"too many pieces", IOV_MAX + 1, {8}, GOOD},
};

enum { LAYOUTS = sizeof(layouts) / sizeof(*layouts), FOR_MASKS = 15, MASK_LAYOUTS = 9 };

static const struct bit_name flag_names[] = {
	{RWF_HIPRI, "HIPRI"},
	{RWF_DSYNC, "DSYNC"},
	{RWF_SYNC, "SYNC"},
	{RWF_NOWAIT, "NOWAIT"},
	{RWF_APPEND, "APPEND"},
	{0, NULL},
};

static void make_vector(struct gen *g, struct op *op)
{
	static const uint64_t some_values[] = {
		0, 1, 2, 0x100000001, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2};
	static const int some_flags[] = {0, 0, RWF_NOWAIT, RWF_NOWAIT, RWF_NOWAIT, RWF_HIPRI,
		RWF_DSYNC, RWF_SYNC, RWF_APPEND, RWF_NOWAIT | RWF_HIPRI, 1 << 20};
	static const int64_t offsets[] = {-1, -1, -1, -1, 0, 8, -2};
	op->arg[AT] = any_slot(g);
	op->arg[LAYOUT] = below(g, LAYOUTS);
	op->arg[VALUE] = PICK(g, some_values);
	if (believed(g, op->arg[AT]) == MASK && chance(g, 70)) {
		op->arg[LAYOUT] = FOR_MASKS + below(g, MASK_LAYOUTS);
		op->arg[VALUE] = rnd(g) & 0x1f0000001f;
	}
	op->arg[CALL] = below(g, CALLS);
	op->arg[OFFSET] = (uint64_t)PICK(g, offsets);
	op->arg[FLAGS] = (uint64_t)PICK(g, some_flags);
}

static int lay_out(struct box *b, const struct op *op, struct iovec *iov)
{
	const struct layout *l = &layouts[op->arg[LAYOUT] % LAYOUTS];
	unsigned char *p = box_place(b, P_BUF);
	for (int i = 0; i < PIECES; i++) {
		iov[i].iov_base = l->bad == i + 1 ? box_place(b, P_UNMAPPED) : p;
		iov[i].iov_len = l->len[i];
		p += l->len[i];
	}
	return l->count;
}

static long do_readv(const struct box *b, const struct op *op, const struct iovec *iov, int n)
{
	int fd = box_fd(b, op->arg[AT]), flags = (int)op->arg[FLAGS];
	off_t offset = (off_t)op->arg[OFFSET];
	if (b->modelled && op->arg[CALL] == PLAIN_CALL)
		return model_readv(b, fd, iov, n, 0);
	if (b->modelled && op->arg[CALL] == FLAGGED && offset == -1)
		return model_readv(b, fd, iov, n, flags);
	if (b->modelled)
		return model_preadv(b, fd, offset);
	if (op->arg[CALL] == PLAIN_CALL)
		return readv(fd, iov, n);
	if (op->arg[CALL] == POSITIONED)
		return preadv(fd, iov, n, offset);
	return preadv2(fd, iov, n, offset, flags);
}

static long do_writev(const struct box *b, const struct op *op, const struct iovec *iov, int n)
{
	int fd = box_fd(b, op->arg[AT]), flags = (int)op->arg[FLAGS];
	off_t offset = (off_t)op->arg[OFFSET];
	if (b->modelled && op->arg[CALL] == PLAIN_CALL)
		return model_writev(b, fd, iov, n, 0);
	if (b->modelled && op->arg[CALL] == FLAGGED && offset == -1)
		return model_writev(b, fd, iov, n, flags);
	if (b->modelled)
		return model_preadv(b, fd, offset);
	if (op->arg[CALL] == PLAIN_CALL)
		return writev(fd, iov, n);
	if (op->arg[CALL] == POSITIONED)
		return pwritev(fd, iov, n, offset);
	return pwritev2(fd, iov, n, offset, flags);
}

static void run_readv(struct box *b, const struct op *op, struct result *r)
{
	struct iovec iov[PIECES];
	int n = lay_out(b, op, iov);
	unsigned char *p = box_place(b, P_BUF);
	memset(p, FILL, FILLED);
	guard(true);
	answer(r, do_readv(b, op, iov, n));
	guard(false);
	uint64_t word[SHOWN / 8];
	memcpy(word, p, sizeof(word));
	for (int i = 0; r->ret >= 0 && i < SHOWN / 8; i++)
		value(r, word[i]);
}

static void run_writev(struct box *b, const struct op *op, struct result *r)
{
	struct iovec iov[PIECES];
	int n = lay_out(b, op, iov);
	uint64_t v[] = {op->arg[VALUE], op->arg[VALUE], 1};
	memset(box_place(b, P_BUF), FILL, FILLED);
	memcpy(box_place(b, P_BUF), v, sizeof(v));
	guard(true);
	answer(r, do_writev(b, op, iov, n));
	guard(false);
}

static void show_vector(FILE *f, const struct op *op)
{
	static const char *const calls[][CALLS] = {
		{"readv", "preadv", "preadv2"}, {"writev", "pwritev", "pwritev2"}};
	bool writes = op->kind == K_WRITEV;
	fprintf(f, "%s(%s, %s", calls[writes][op->arg[CALL] % CALLS], slot_name(op->arg[AT]),
		layouts[op->arg[LAYOUT] % LAYOUTS].name);
	if (writes)
		fprintf(f, ", of %#llx", (unsigned long long)op->arg[VALUE]);
	if (op->arg[CALL] != PLAIN_CALL)
		fprintf(f, ", offset %lld", (long long)op->arg[OFFSET]);
	if (op->arg[CALL] == FLAGGED) {
		fprintf(f, ", ");
		show_bits(f, op->arg[FLAGS], flag_names);
	}
	fprintf(f, ")");
}

const struct kind kind_readv = {
	.name = "readv", .weight = 15, .make = make_vector, .run = run_readv, .show = show_vector};
const struct kind kind_writev = {.name = "writev",
	.weight = 15,
	.make = make_vector,
	.run = run_writev,
	.show = show_vector};
