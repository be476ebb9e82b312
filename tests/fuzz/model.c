/* The model's fds and files. */
#define _GNU_SOURCE
#include "model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "efdshim/eventfd.h"

enum { FILES = 256, NUMBERS = CONTROL_FD, FIRST = 3 };

struct number {
	struct mfile *file;
	bool cloexec;
};

static struct mfile files[FILES];
static struct number table[PROCS][NUMBERS];
static bool lost, shared;
enum fault model_fault;
static unsigned model_allow;

long model_fail(int err)
{
	errno = err;
	return -1;
}

void model_lose(void)
{
	lost = true;
}

bool model_may(enum allowance what)
{
	return (model_allow & what) && (shared || !(what & ALLOW_SHARED));
}

bool model_is_lost(void)
{
	return lost;
}

void model_reset(enum fault fault, unsigned allow)
{
	model_fault = fault;
	model_allow = allow;
	lost = shared = false;
	memset(table, 0, sizeof(table));
	for (int i = 0; i < FILES; i++)
		files[i].refs = 0;
	mset_reset();
}

static struct number *number_of(const struct box *b, int fd)
{
	if (fd < FIRST || fd >= NUMBERS || !table[b->proc][fd].file)
		return NULL;
	return &table[b->proc][fd];
}

struct mfile *mfile_of(const struct box *b, int fd)
{
	struct number *number = number_of(b, fd);
	if (!number)
		errno = EBADF;
	return number ? number->file : NULL;
}

struct mfile *mfile_open_for(const struct box *b, int fd, int mode)
{
	struct mfile *f = mfile_of(b, fd);
	if (!f)
		return NULL;
	int has = f->flags & O_ACCMODE;
	if (has != O_RDWR && has != mode) {
		errno = EBADF;
		return NULL;
	}
	if (f->kind == M_SET)
		errno = EINVAL;
	return f->kind == M_SET ? NULL : f;
}

/* Returns NUMBERS, with the model lost, where none is free. */
static int lowest_free(const struct box *b, int from)
{
	int fd = from < FIRST ? FIRST : from;
	while (fd < NUMBERS && table[b->proc][fd].file)
		fd++;
	if (fd == NUMBERS)
		model_lose();
	return fd;
}

static long install(const struct box *b, struct mfile *f, int fd, bool cloexec)
{
	if (fd >= NUMBERS)
		return model_fail(EMFILE);
	table[b->proc][fd] = (struct number){f, cloexec};
	f->refs++;
	return fd;
}

struct mfile *mfile_new(const struct box *b, enum mfile_kind kind, int flags, bool cloexec, int *fd)
{
	struct mfile *f = files;
	while (f < files + FILES && f->refs)
		f++;
	*fd = lowest_free(b, 0);
	if (f == files + FILES || *fd == NUMBERS) {
		model_lose();
		errno = EMFILE;
		return NULL;
	}
	memset(f, 0, offsetof(struct mfile, bytes));
	f->kind = kind;
	f->flags = flags;
	install(b, f, *fd, cloexec);
	return f;
}

static void let_go(struct mfile *f)
{
	if (--f->refs)
		return;
	mset_forget(f);
	if (!f->peer)
		return;
	f->peer->peer = NULL;
	mfile_wake(f->peer, 0);
}

long model_close(const struct box *b, int fd)
{
	struct number *number = number_of(b, fd);
	if (!number)
		return model_fail(EBADF);
	struct mfile *f = number->file;
	number->file = NULL;
	let_go(f);
	return 0;
}

void model_fork(const struct box *b, unsigned to)
{
	shared = true;
	memcpy(table[to], table[b->proc], sizeof(table[to]));
	for (int fd = FIRST; fd < NUMBERS; fd++)
		if (table[to][fd].file)
			table[to][fd].file->refs++;
}

void model_exit(unsigned proc)
{
	struct box b = {.proc = proc};
	for (int fd = FIRST; fd < NUMBERS; fd++)
		model_close(&b, fd);
}

long model_eventfd(const struct box *b, unsigned initval, int flags)
{
	int fd, status = O_RDWR | (flags & EFD_NONBLOCK);
	if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE | EFD_MASK))
		return model_fail(EINVAL);
	struct mfile *f = mfile_new(
		b, flags & EFD_MASK ? M_MASK : M_COUNTER, status, flags & EFD_CLOEXEC, &fd);
	if (!f)
		return -1;
	f->semaphore = flags & EFD_SEMAPHORE;
	if (f->kind == M_COUNTER)
		f->count = initval;
	return fd;
}

long model_pipe(const struct box *b, int fd[2], int flags)
{
	int status = flags & O_NONBLOCK;
	if (flags & ~(O_NONBLOCK | O_CLOEXEC))
		model_lose();
	struct mfile *r = mfile_new(b, M_PIPE_R, O_RDONLY | status, flags & O_CLOEXEC, &fd[0]);
	struct mfile *w = mfile_new(b, M_PIPE_W, O_WRONLY | status, flags & O_CLOEXEC, &fd[1]);
	if (!r || !w)
		return -1;
	r->peer = w;
	w->peer = r;
	return 0;
}

long model_dup(const struct box *b, int fd)
{
	struct mfile *f = mfile_of(b, fd);
	return f ? install(b, f, lowest_free(b, 0), false) : -1;
}

static long put_onto(const struct box *b, int fd, int to, bool cloexec)
{
	struct mfile *f = mfile_of(b, fd);
	if (to < 0 || to >= NUMBERS || !f)
		return model_fail(EBADF);
	struct mfile *old = table[b->proc][to].file;
	install(b, f, to, cloexec);
	if (old)
		let_go(old);
	return to;
}

long model_dup2(const struct box *b, int fd, int to)
{
	if (fd == to)
		return mfile_of(b, fd) ? fd : -1;
	return put_onto(b, fd, to, false);
}

long model_dup3(const struct box *b, int fd, int to, int flags)
{
	if ((flags & ~O_CLOEXEC) || fd == to)
		return model_fail(EINVAL);
	return put_onto(b, fd, to, flags & O_CLOEXEC);
}

long model_close_range(const struct box *b, unsigned first, unsigned last, int flags)
{
	if ((flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) || first > last)
		return model_fail(EINVAL);
	for (unsigned fd = first; fd <= last && fd < NUMBERS; fd++) {
		struct number *number = number_of(b, (int)fd);
		if (number && (flags & CLOSE_RANGE_CLOEXEC))
			number->cloexec = true;
		else if (number)
			model_close(b, (int)fd);
	}
	return 0;
}

long model_fclose(const struct box *b, int fd)
{
	struct mfile *f = mfile_of(b, fd);
	if (!f)
		return -1;
	if ((f->flags & O_ACCMODE) != O_RDWR)
		return model_fail(EINVAL);
	return model_close(b, fd);
}

static long set_status(struct mfile *f, int arg)
{
	int settable = O_APPEND | O_NONBLOCK;
	bool is_pipe = f->kind == M_PIPE_R || f->kind == M_PIPE_W;
	if ((arg & O_NOATIME) || ((arg & O_DIRECT) && is_pipe))
		model_lose();
	if (arg & O_DIRECT)
		return model_fail(EINVAL);
	if (is_pipe)
		settable |= O_ASYNC;
	f->flags = (f->flags & ~settable) | (arg & settable);
	return 0;
}

static long duplicate(const struct box *b, struct mfile *f, int from, bool cloexec)
{
	if (from < 0 || from >= HARNESS_END)
		return model_fail(EINVAL);
	return install(b, f, lowest_free(b, from), cloexec);
}

long model_fcntl(const struct box *b, int fd, int cmd, int arg)
{
	struct number *number = number_of(b, fd);
	if (!number)
		return model_fail(EBADF);
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return duplicate(b, number->file, arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return number->cloexec ? FD_CLOEXEC : 0;
	case F_SETFD:
		number->cloexec = arg & FD_CLOEXEC;
		return 0;
	case F_GETFL:
		return number->file->flags;
	case F_SETFL:
		return set_status(number->file, arg);
	default:
		model_lose();
		return -1;
	}
}

long model_ioctl(const struct box *b, int fd, unsigned long request, const int *arg)
{
	struct number *number = number_of(b, fd);
	if (!number)
		return model_fail(EBADF);
	if (request == FIOCLEX || request == FIONCLEX) {
		number->cloexec = request == FIOCLEX;
		return 0;
	}
	if (request != FIONBIO)
		model_lose();
	if (model_reach(b, arg, false) < sizeof(*arg))
		return model_fail(EFAULT);
	int nonblock = *arg ? O_NONBLOCK : 0;
	number->file->flags = (number->file->flags & ~O_NONBLOCK) | nonblock;
	return 0;
}

size_t model_reach(const struct box *b, const void *p, bool writing)
{
	uintptr_t at = (uintptr_t)p, pages = (uintptr_t)b->pages;
	if (at < PLACE_ROOM || at > INTPTR_MAX)
		return 0;
	if (at < pages || at >= pages + 4 * PLACE_ROOM)
		return SIZE_MAX;
	size_t page = (at - pages) / PLACE_ROOM;
	if (page == 0 || (page == 2 && !writing))
		return PLACE_ROOM - (at - pages) % PLACE_ROOM;
	return 0;
}

int model_double(const struct box *b, int fd, int64_t *mask)
{
	struct number *number = number_of(b, fd);
	struct mfile *f = number ? number->file : NULL;
	*mask = -1;
	if (!f)
		return -1;
	if (f->kind != M_COUNTER && f->kind != M_MASK)
		return -2;
	int twin = eventfd(0, EFD_NONBLOCK | (f->semaphore ? EFD_SEMAPHORE : 0) |
				      (number->cloexec ? EFD_CLOEXEC : 0));
	if (f->kind == M_MASK)
		*mask = f->events;
	else
		eventfd_write(twin, f->count);
	fcntl(twin, F_SETFL, f->flags);
	return twin;
}
