/* Operations that ask what an fd is, and calls that an eventfd refuses. */
#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT, WHAT, PEER };

static void keep_stat(struct result *r, const struct stat *st)
{
	if (r->ret != 0)
		return;
	value(r, st->st_mode);
	value(r, st->st_nlink);
	value(r, (uint64_t)st->st_size);
	value(r, (uint64_t)st->st_blksize);
	value(r, (uint64_t)st->st_blocks);
	value(r, st->st_uid);
}

static void ask_fstat(int fd, struct result *r)
{
	struct stat st;
	answer(r, fstat(fd, &st));
	keep_stat(r, &st);
}

static void ask_fstatat(int fd, struct result *r)
{
	struct stat st;
	answer(r, fstatat(fd, "", &st, AT_EMPTY_PATH));
	keep_stat(r, &st);
}

static void ask_statx(int fd, struct result *r)
{
	struct statx st;
	answer(r, statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_SIZE, &st));
	if (r->ret != 0)
		return;
	value(r, st.stx_mode);
	value(r, st.stx_size);
}

/* Pipes and sockets show inode numbers, which differ between any two. */
static void ask_readlink(int fd, struct result *r)
{
	char path[64], link[128];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	answer(r, readlink(path, link, sizeof(link)));
	if (r->ret < 0)
		return;
	uint64_t hash = 0;
	for (int i = 0; i < r->ret; i++)
		if (link[i] < '0' || link[i] > '9')
			hash = (hash ^ (unsigned char)link[i]) * 0x100000001b3;
	r->ret = 0;
	value(r, hash);
}

static bool keep_line(struct result *r, const char *line, const char *label, int base)
{
	size_t n = strlen(label);
	if (strncmp(line, label, n) != 0)
		return false;
	value(r, base ? strtoull(line + n, NULL, base) : 1);
	return true;
}

static void ask_fdinfo(int fd, struct result *r)
{
	char line[256];
	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	FILE *f = fopen(line, "re");
	answer(r, f ? 0 : -1);
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		(void)(keep_line(r, line, "flags:", 8) ||
			keep_line(r, line, "eventfd-count:", 16) ||
			keep_line(r, line, "eventfd-mask:", 16) ||
			keep_line(r, line, "eventfd-semaphore:", 10) ||
			keep_line(r, line, "eventfd-id:", 0));
	fclose(f);
	r->err = UNTOUCHED;
}

static void ask_pipe_size(int fd, struct result *r)
{
	answer(r, fcntl(fd, F_GETPIPE_SZ));
}

static void ask_owner(int fd, struct result *r)
{
	answer(r, fcntl(fd, F_GETOWN));
}

static void ask_signal(int fd, struct result *r)
{
	answer(r, fcntl(fd, F_GETSIG));
}

static void ask_seals(int fd, struct result *r)
{
	answer(r, fcntl(fd, F_GET_SEALS));
}

static void ask_fsync(int fd, struct result *r)
{
	answer(r, fsync(fd));
}

static void ask_fdatasync(int fd, struct result *r)
{
	answer(r, fdatasync(fd));
}

static void ask_ftruncate(int fd, struct result *r)
{
	answer(r, ftruncate(fd, 64));
}

static void ask_fallocate(int fd, struct result *r)
{
	answer(r, fallocate(fd, 0, 0, 64));
}

static void ask_fadvise(int fd, struct result *r)
{
	answer(r, posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
}

static void ask_recv(int fd, struct result *r)
{
	char buf[8];
	answer(r, recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
}

static void ask_send(int fd, struct result *r)
{
	answer(r, send(fd, "x", 1, MSG_DONTWAIT));
}

static void ask_getsockopt(int fd, struct result *r)
{
	int type = 0;
	socklen_t len = sizeof(type);
	answer(r, getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len));
	value(r, (uint64_t)type);
}

static void ask_shutdown(int fd, struct result *r)
{
	answer(r, shutdown(fd, SHUT_WR));
}

static void ask_isatty(int fd, struct result *r)
{
	answer(r, isatty(fd));
}

static void ask_mmap(int fd, struct result *r)
{
	void *p = mmap(NULL, PLACE_ROOM, PROT_READ, MAP_PRIVATE, fd, 0);
	answer(r, p == MAP_FAILED ? -1 : 0);
	if (p != MAP_FAILED)
		munmap(p, PLACE_ROOM);
}

static void ask_fchdir(int fd, struct result *r)
{
	answer(r, fchdir(fd));
}

static const struct query {
	const char *name;
	void (*ask)(int fd, struct result *);
} queries[] = {
	{"fstat", ask_fstat},
	{"fdinfo", ask_fdinfo},
	{"readlink", ask_readlink},
	{"fstatat", ask_fstatat},
	{"statx", ask_statx},
	{"F_GETPIPE_SZ", ask_pipe_size},
	{"F_GETOWN", ask_owner},
	{"F_GETSIG", ask_signal},
	{"F_GET_SEALS", ask_seals},
	{"fsync", ask_fsync},
	{"fdatasync", ask_fdatasync},
	{"ftruncate", ask_ftruncate},
	{"fallocate", ask_fallocate},
	{"posix_fadvise", ask_fadvise},
	{"recv", ask_recv},
	{"send", ask_send},
	{"getsockopt", ask_getsockopt},
	{"shutdown", ask_shutdown},
	{"isatty", ask_isatty},
	{"mmap", ask_mmap},
	{"fchdir", ask_fchdir},
};

enum { QUERIES = sizeof(queries) / sizeof(*queries), COMMON = 3 };

static void make_query(struct gen *g, struct op *op)
{
	op->arg[AT] = any_slot(g);
	op->arg[WHAT] = below(g, chance(g, 40) ? COMMON : QUERIES);
}

/* Asks an eventfd of the kernel in the same state; of other files nothing. */
static void query_model(const struct box *b, const struct op *op, struct result *r)
{
	enum { FLAGS_LINE, COUNT_LINE };
	const struct query *query = &queries[op->arg[WHAT] % QUERIES];
	int64_t mask;
	int fd = model_double(b, box_fd(b, op->arg[AT]), &mask);
	if (fd < -1) {
		r->status = UNDECIDED;
		return;
	}
	errno = UNTOUCHED;
	query->ask(fd, r);
	if (query->ask == ask_fdinfo && mask >= 0)
		r->v[COUNT_LINE] = (uint64_t)mask;
	if (fd >= 0)
		close(fd);
}

static void run_query(struct box *b, const struct op *op, struct result *r)
{
	if (b->modelled)
		query_model(b, op, r);
	else
		queries[op->arg[WHAT] % QUERIES].ask(box_fd(b, op->arg[AT]), r);
}

static void show_query(FILE *f, const struct op *op)
{
	fprintf(f, "%s(%s)", queries[op->arg[WHAT] % QUERIES].name, slot_name(op->arg[AT]));
}

static void make_lseek(struct gen *g, struct op *op)
{
	static const int64_t offsets[] = {0, 0, 8, -1};
	static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, 9};
	op->arg[AT] = any_slot(g);
	op->arg[1] = (uint64_t)PICK(g, offsets);
	op->arg[2] = (uint64_t)PICK(g, whences);
}

static void run_lseek(struct box *b, const struct op *op, struct result *r)
{
	answer(r, lseek(box_fd(b, op->arg[AT]), (off_t)op->arg[1], (int)op->arg[2]));
}

static void show_lseek(FILE *f, const struct op *op)
{
	fprintf(f, "lseek(%s, %lld, %d)", slot_name(op->arg[AT]), (long long)op->arg[1],
		(int)op->arg[2]);
}

enum { INTO_PIPE, FROM_PIPE, TEE, SENDFILE_IN, SENDFILE_OUT, COPY_RANGE, MOVES };

static void make_splice(struct gen *g, struct op *op)
{
	op->arg[AT] = slot_of(g, EVENTFD);
	op->arg[WHAT] = below(g, MOVES);
	op->arg[PEER] = op->arg[WHAT] < SENDFILE_IN ? PIPE_R : FILE0;
	if (op->arg[WHAT] == INTO_PIPE || op->arg[WHAT] == TEE)
		op->arg[PEER] = PIPE_W;
}

static void run_splice(struct box *b, const struct op *op, struct result *r)
{
	int fd = box_fd(b, op->arg[AT]), other = box_fd(b, op->arg[PEER]);
	guard(true);
	switch (op->arg[WHAT]) {
	case INTO_PIPE:
		answer(r, splice(fd, NULL, other, NULL, 8, SPLICE_F_NONBLOCK));
		break;
	case FROM_PIPE:
		answer(r, splice(other, NULL, fd, NULL, 8, SPLICE_F_NONBLOCK));
		break;
	case TEE:
		answer(r, tee(fd, other, 8, SPLICE_F_NONBLOCK));
		break;
	case SENDFILE_IN:
		answer(r, sendfile(other, fd, NULL, 8));
		break;
	case SENDFILE_OUT:
		answer(r, sendfile(fd, other, NULL, 8));
		break;
	default:
		answer(r, copy_file_range(other, NULL, fd, NULL, 8, 0));
	}
	guard(false);
}

static void show_splice(FILE *f, const struct op *op)
{
	static const char *const names[] = {"splice into", "splice from", "tee into", "sendfile to",
		"sendfile from", "copy_file_range from"};
	fprintf(f, "%s %s %s", slot_name(op->arg[AT]),
		op->arg[WHAT] < MOVES ? names[op->arg[WHAT]] : names[COPY_RANGE],
		slot_name(op->arg[PEER]));
}

const struct kind kind_query = {
	.name = "query", .weight = 14, .make = make_query, .run = run_query, .show = show_query};
const struct kind kind_lseek = {
	.name = "lseek", .weight = 2, .make = make_lseek, .run = run_lseek, .show = show_lseek};
const struct kind kind_splice = {
	.name = "splice", .weight = 3, .make = make_splice, .run = run_splice, .show = show_splice};
