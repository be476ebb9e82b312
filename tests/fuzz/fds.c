/* Operations that make, copy and close fds. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "efdshim/eventfd.h"

enum { AT, INITVAL, FLAGS };
enum { FIRST_FREE = 3 };

static const struct bit_name efd_names[] = {{EFD_NONBLOCK, "NONBLOCK"}, {EFD_CLOEXEC, "CLOEXEC"},
	{EFD_SEMAPHORE, "SEMAPHORE"}, {EFD_MASK, "MASK"}, {0, NULL}};
static const struct bit_name open_names[] = {
	{O_NONBLOCK, "NONBLOCK"}, {O_CLOEXEC, "CLOEXEC"}, {0, NULL}};

static void make_eventfd(struct gen *g, struct op *op)
{
	static const uint32_t values[] = {0, 0, 0, 0, 1, 1, 2, 5, INT_MAX, UINT_MAX};
	op->arg[AT] = EFD0 + below(g, g->few ? 2 : EFDS);
	op->arg[INITVAL] = chance(g, 90) ? PICK(g, values) : (uint32_t)rnd(g);
	if (chance(g, 85))
		op->arg[FLAGS] |= EFD_NONBLOCK;
	if (g->semaphores && chance(g, 55))
		op->arg[FLAGS] |= EFD_SEMAPHORE;
	if (chance(g, 20))
		op->arg[FLAGS] |= EFD_CLOEXEC;
	if (chance(g, 4))
		op->arg[FLAGS] |= 1u << below(g, 32);
	else
		believe_new(g, op, op->arg[AT], op->kind == K_MASK ? MASK : EVENTFD);
}

/* Masks have a kind of their own: no kernel makes them. */
static void run_eventfd(struct box *b, const struct op *op, struct result *r)
{
	unsigned initval = (unsigned)op->arg[INITVAL];
	int flags = ((int)op->arg[FLAGS] & ~EFD_MASK) | (op->kind == K_MASK ? EFD_MASK : 0);
	if (b->modelled)
		answer(r, model_eventfd(b, initval, flags));
	else if (op->raw)
		answer(r, syscall(SYS_eventfd2, initval, flags));
	else
		answer(r, eventfd(initval, flags));
	box_keep(b, op->arg[AT], (int)r->ret);
}

static void show_eventfd(FILE *f, const struct op *op)
{
	fprintf(f, "%s = eventfd(%#llx, ", slot_name(op->arg[AT]),
		(unsigned long long)op->arg[INITVAL]);
	show_bits(f, op->kind == K_MASK ? op->arg[FLAGS] | EFD_MASK : op->arg[FLAGS], efd_names);
	fprintf(f, ")");
}

static void make_ends(struct gen *g, struct op *op)
{
	op->arg[AT] = op->kind == K_PIPE ? PIPE_R : SOCK_A;
	op->arg[FLAGS] = (chance(g, 85) ? O_NONBLOCK : 0u) | (chance(g, 20) ? O_CLOEXEC : 0u);
	believe_new(g, op, op->arg[AT], OTHER);
	believe_new(g, op, op->arg[AT] + 1, OTHER);
}

static void keep_ends(struct box *b, uint64_t slot, struct result *r, const int fd[2])
{
	if (r->ret != 0)
		return;
	value(r, (uint64_t)fd[0]);
	value(r, (uint64_t)fd[1]);
	box_keep(b, slot, fd[0]);
	box_keep(b, slot + 1, fd[1]);
}

static void run_pipe(struct box *b, const struct op *op, struct result *r)
{
	int fd[2];
	int flags = (int)op->arg[FLAGS];
	answer(r, b->modelled ? model_pipe(b, fd, flags) : pipe2(fd, flags));
	keep_ends(b, PIPE_R, r, fd);
}

static void run_socketpair(struct box *b, const struct op *op, struct result *r)
{
	int fd[2];
	int flags = (op->arg[FLAGS] & O_NONBLOCK ? SOCK_NONBLOCK : 0) |
		    (op->arg[FLAGS] & O_CLOEXEC ? SOCK_CLOEXEC : 0);
	answer(r, socketpair(AF_UNIX, SOCK_STREAM | flags, 0, fd));
	keep_ends(b, SOCK_A, r, fd);
}

static void show_ends(FILE *f, const struct op *op)
{
	fprintf(f, "%s(", kinds[op->kind]->name);
	show_bits(f, op->arg[FLAGS], open_names);
	fprintf(f, ")");
}

static void make_file(struct gen *g, struct op *op)
{
	op->arg[AT] = FILE0;
	believe_new(g, op, FILE0, OTHER);
}

static void run_file(struct box *b, const struct op *op, struct result *r)
{
	static const char text[64] = "some bytes";
	(void)op;
	answer(r, memfd_create("fuzz", 0));
	if (r->ret < 0 || pwrite((int)r->ret, text, sizeof(text), 0) != sizeof(text))
		return;
	box_keep(b, FILE0, (int)r->ret);
}

static void show_file(FILE *f, const struct op *op)
{
	(void)op;
	fprintf(f, "file = memfd_create()");
}

enum { FROM, TO, NUMBER, DUP_FLAGS, BY_MESSAGE };

static uint64_t new_slot(struct gen *g)
{
	return chance(g, 85) ? DUP0 + below(g, DUPS) : below(g, SLOTS);
}

static void make_dup(struct gen *g, struct op *op)
{
	op->arg[FROM] = disturbed_slot(g);
	op->arg[TO] = new_slot(g);
	op->arg[BY_MESSAGE] = !g->modelled && !g->semaphores &&
			      believed(g, op->arg[FROM]) == EVENTFD && chance(g, 15);
	believe_dup(g, op, op->arg[FROM], op->arg[TO], 0);
}

/* Sends an fd to itself. */
static int dup_by_message(int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int ends[2], copy = -1;
	if (!open_channel(0, ends))
		return -1;
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(ends[0], &message, 0) == 1 && recvmsg(ends[1], &message, 0) == 1)
		memcpy(&copy, CMSG_DATA(&control.header), sizeof(copy));
	int err = errno;
	close(ends[0]);
	close(ends[1]);
	errno = err;
	return copy;
}

static void run_dup(struct box *b, const struct op *op, struct result *r)
{
	int fd = box_fd(b, op->arg[FROM]);
	/* Sets that are sent tell edges of OUT once more, as README says, and semaphores that are
	 * sent may tell one of IN. */
	if (op->arg[BY_MESSAGE] && (b->semaphores || is_set(b, fd))) {
		r->status = SKIPPED;
		return;
	}
	if (op->arg[BY_MESSAGE] && !b->modelled)
		answer(r, dup_by_message(fd));
	else if (b->modelled)
		answer(r, model_dup(b, fd));
	else
		answer(r, op->raw ? syscall(SYS_dup, fd) : dup(fd));
	box_keep(b, op->arg[TO], (int)r->ret);
}

static void show_dup(FILE *f, const struct op *op)
{
	fprintf(f, "%s = %s(%s)", slot_name(op->arg[TO]),
		op->arg[BY_MESSAGE] ? "send to itself" : "dup", slot_name(op->arg[FROM]));
}

/* NUMBER 0: onto the number that TO holds now. */
static void make_dup_onto(struct gen *g, struct op *op)
{
	static const int numbers[] = {3, 5, 20, 21, 40, 100, -1, INT_MAX};
	op->arg[FROM] = disturbed_slot(g);
	op->arg[TO] = any_slot(g);
	if (chance(g, 25)) {
		op->arg[TO] = new_slot(g);
		op->arg[NUMBER] = (uint64_t)PICK(g, numbers);
	}
	believe_onto(g, op, op->arg[FROM], op->arg[TO], (int)op->arg[NUMBER]);
}

static int onto(const struct box *b, const struct op *op)
{
	int number = (int)op->arg[NUMBER];
	if (number > 0 && number < FIRST_FREE) /* shrinking must not take the harness's own */
		return FIRST_FREE;
	return number ? number : box_fd(b, op->arg[TO]);
}

static void run_dup2(struct box *b, const struct op *op, struct result *r)
{
	int from = box_fd(b, op->arg[FROM]), to = onto(b, op);
	answer(r, b->modelled ? model_dup2(b, from, to) : dup2(from, to));
	box_keep(b, op->arg[TO], (int)r->ret);
}

static void make_dup3(struct gen *g, struct op *op)
{
	static const unsigned flags[] = {0, 0, 0, O_CLOEXEC, O_CLOEXEC, O_CLOEXEC, O_NONBLOCK, 1};
	make_dup_onto(g, op);
	op->arg[DUP_FLAGS] = PICK(g, flags);
}

static void run_dup3(struct box *b, const struct op *op, struct result *r)
{
	int from = box_fd(b, op->arg[FROM]), to = onto(b, op), flags = (int)op->arg[DUP_FLAGS];
	if (b->modelled)
		answer(r, model_dup3(b, from, to, flags));
	else
		answer(r, op->raw ? syscall(SYS_dup3, from, to, flags) : dup3(from, to, flags));
	box_keep(b, op->arg[TO], (int)r->ret);
}

static void show_dup_onto(FILE *f, const struct op *op)
{
	fprintf(f, "%s(%s, ", kinds[op->kind]->name, slot_name(op->arg[FROM]));
	if (op->arg[NUMBER])
		fprintf(f, "%d as ", (int)op->arg[NUMBER]);
	fprintf(f, "%s", slot_name(op->arg[TO]));
	if (op->kind == K_DUP3) {
		fprintf(f, ", ");
		show_bits(f, op->arg[DUP_FLAGS], open_names);
	}
	fprintf(f, ")");
}

static void make_dupfd(struct gen *g, struct op *op)
{
	static const int lowest[] = {0, 0, 3, 3, 10, 20, 60, 100, -1, INT_MAX};
	op->arg[FROM] = disturbed_slot(g);
	op->arg[TO] = new_slot(g);
	op->arg[NUMBER] = (uint64_t)PICK(g, lowest);
	believe_dup(g, op, op->arg[FROM], op->arg[TO], (int)op->arg[NUMBER]);
	op->arg[DUP_FLAGS] = chance(g, 50) ? F_DUPFD : F_DUPFD_CLOEXEC;
}

static void run_dupfd(struct box *b, const struct op *op, struct result *r)
{
	int fd = box_fd(b, op->arg[FROM]), low = (int)op->arg[NUMBER];
	int cmd = op->arg[DUP_FLAGS] == F_DUPFD ? F_DUPFD : F_DUPFD_CLOEXEC;
	if (b->modelled)
		answer(r, model_fcntl(b, fd, cmd, low));
	else
		answer(r, op->raw ? syscall(SYS_fcntl, fd, cmd, low) : fcntl(fd, cmd, low));
	box_keep(b, op->arg[TO], (int)r->ret);
}

static void show_dupfd(FILE *f, const struct op *op)
{
	fprintf(f, "%s = fcntl(%s, %s, %d)", slot_name(op->arg[TO]), slot_name(op->arg[FROM]),
		op->arg[DUP_FLAGS] == F_DUPFD ? "F_DUPFD" : "F_DUPFD_CLOEXEC",
		(int)op->arg[NUMBER]);
}

#define KIND(NAME, WEIGHT, MAKE, SHOW)                                                             \
	const struct kind kind_##NAME = {                                                          \
		.name = #NAME, .weight = WEIGHT, .make = MAKE, .run = run_##NAME, .show = SHOW}

KIND(eventfd, 12, make_eventfd, show_eventfd);
const struct kind kind_mask = {.name = "mask",
	.weight = 12,
	.make = make_eventfd,
	.run = run_eventfd,
	.show = show_eventfd};
KIND(pipe, 3, make_ends, show_ends);
KIND(socketpair, 3, make_ends, show_ends);
KIND(file, 2, make_file, show_file);
KIND(dup, 10, make_dup, show_dup);
KIND(dup2, 8, make_dup_onto, show_dup_onto);
KIND(dup3, 5, make_dup3, show_dup_onto);
KIND(dupfd, 6, make_dupfd, show_dupfd);
