/* The model's reads and writes. */
#define _GNU_SOURCE
#include "model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { COUNTER_BYTES = 8, MASK_BYTES = 12, EVENTS_BYTES = 4, PAGES = 4 };

/* The kernel looks at the range of addresses before anything else. */
static bool in_range(const void *p, size_t n)
{
	return (uintptr_t)p <= INTPTR_MAX && n <= INTPTR_MAX && (uintptr_t)p + n <= 1ull << 47;
}

static size_t total(const struct iovec *iov, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* False where some of the n bytes belong to pages that cannot be used. */
static bool scatter(const struct box *b, const struct iovec *iov, const char *from, size_t n)
{
	for (; n; iov++) {
		size_t part = iov->iov_len < n ? iov->iov_len : n;
		if (part > model_reach(b, iov->iov_base, true))
			return false;
		memcpy(iov->iov_base, from, part);
		from += part;
		n -= part;
	}
	return true;
}

static bool gather(const struct box *b, const struct iovec *iov, char *to, size_t n)
{
	for (; n; iov++) {
		size_t part = iov->iov_len < n ? iov->iov_len : n;
		if (part > model_reach(b, iov->iov_base, false))
			return false;
		memcpy(to, iov->iov_base, part);
		to += part;
		n -= part;
	}
	return true;
}

/* Nobody else runs: what would wait is ended by the tick. */
static long would_wait(const struct mfile *f, bool nowait)
{
	return model_fail(nowait || (f->flags & O_NONBLOCK) ? EAGAIN : EINTR);
}

static long read_counter(
	const struct box *b, struct mfile *f, const struct iovec *iov, int n, bool nowait)
{
	if (total(iov, n) < COUNTER_BYTES)
		return model_fail(EINVAL);
	if (!f->count)
		return would_wait(f, nowait);
	uint64_t value = f->semaphore ? 1 : f->count;
	f->count -= value;
	mfile_wake(f, EPOLLOUT);
	return scatter(b, iov, (const char *)&value, sizeof(value)) ? COUNTER_BYTES
								    : model_fail(EFAULT);
}

static long read_mask(const struct box *b, const struct mfile *f, const struct iovec *iov, int n)
{
	char pair[MASK_BYTES];
	if (total(iov, n) < MASK_BYTES)
		return model_fail(EINVAL);
	memcpy(pair, &f->events, EVENTS_BYTES);
	memcpy(pair + EVENTS_BYTES, &f->data, sizeof(f->data));
	return scatter(b, iov, pair, sizeof(pair)) ? MASK_BYTES : model_fail(EFAULT);
}

static long read_pipe(
	const struct box *b, struct mfile *f, const struct iovec *iov, int n, bool nowait)
{
	size_t got = total(iov, n);
	if (!got)
		return 0;
	if (!f->held)
		return f->peer ? would_wait(f, nowait) : 0;
	if (got > f->held)
		got = f->held;
	if (!scatter(b, iov, f->bytes, got)) {
		model_lose(); /* some of it may have been taken */
		return model_fail(EFAULT);
	}
	f->held -= got;
	memmove(f->bytes, f->bytes + got, f->held);
	return (long)got;
}

static long read_file(
	const struct box *b, struct mfile *f, const struct iovec *iov, int n, bool nowait)
{
	switch (f->kind) {
	case M_COUNTER:
		return read_counter(b, f, iov, n, nowait);
	case M_MASK:
		return read_mask(b, f, iov, n);
	default:
		return read_pipe(b, f, iov, n, nowait);
	}
}

long model_read(const struct box *b, int fd, void *p, size_t n)
{
	struct iovec iov = {p, n};
	struct mfile *f = mfile_open_for(b, fd, O_RDONLY);
	if (!f)
		return -1;
	if (!in_range(p, n))
		return model_fail(EFAULT);
	return read_file(b, f, &iov, 1, false);
}

/* Kernels up to 6.8 took more than 8 bytes. */
static bool more_is_invalid(void)
{
	static int known;
	if (!known) {
		int before = errno;
		uint64_t word[2] = {0};
		int fd = eventfd(0, EFD_NONBLOCK);
		known = write(fd, word, sizeof(word)) < 0 ? 1 : -1;
		close(fd);
		errno = before;
	}
	return known > 0;
}

static long write_counter(const struct box *b, struct mfile *f, const struct iovec *piece)
{
	uint64_t value;
	if (piece->iov_len < COUNTER_BYTES || (piece->iov_len > COUNTER_BYTES && more_is_invalid()))
		return model_fail(EINVAL);
	if (!gather(b, piece, (char *)&value, sizeof(value)))
		return model_fail(EFAULT);
	if (value == UINT64_MAX)
		return model_fail(EINVAL);
	if (UINT64_MAX - f->count <= value)
		return would_wait(f, false);
	f->count += value;
	mfile_wake(f, EPOLLIN);
	return COUNTER_BYTES;
}

static long write_mask(const struct box *b, struct mfile *f, const struct iovec *piece)
{
	char pair[MASK_BYTES];
	uint32_t events, before = f->events;
	if (piece->iov_len < MASK_BYTES)
		return model_fail(EINVAL);
	if (!gather(b, piece, pair, sizeof(pair)))
		return model_fail(EFAULT);
	memcpy(&events, pair, EVENTS_BYTES);
	if (events & ~(uint32_t)MASK_BITS)
		return model_fail(EINVAL);
	f->events = events;
	if (model_fault != FAULT_MASK_DATA || events != before)
		memcpy(&f->data, pair + EVENTS_BYTES, sizeof(f->data));
	if (model_fault == FAULT_MASK_EDGE && events == before)
		return MASK_BYTES;
	if (model_fault == FAULT_MASK_CHILD && b->proc)
		return MASK_BYTES;
	if (events) /* nobody waits for nothing */
		mfile_wake(f, events);
	return MASK_BYTES;
}

static long write_pipe(const struct box *b, struct mfile *f, const struct iovec *iov, int n)
{
	struct mfile *to = f->peer;
	size_t size = total(iov, n);
	if (!size)
		return 0;
	if (!to)
		return model_fail(EPIPE);
	if (size > PIPE_ROOM - to->held || !gather(b, iov, to->bytes + to->held, size)) {
		model_lose(); /* what fits may have been written */
		return model_fail(EFAULT);
	}
	to->held += size;
	mfile_wake(to, EPOLLIN | EPOLLRDNORM);
	return (long)size;
}

long model_write(const struct box *b, int fd, const void *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};
	struct mfile *f = mfile_open_for(b, fd, O_WRONLY);
	if (!f)
		return -1;
	if (!in_range(p, n))
		return model_fail(EFAULT);
	switch (f->kind) {
	case M_COUNTER:
		return write_counter(b, f, &iov);
	case M_MASK:
		return write_mask(b, f, &iov);
	default:
		return write_pipe(b, f, &iov, 1);
	}
}

/* Eventfds, pipes and epoll sets have no place to seek to. */
static long no_place(const struct box *b, int fd, long offset)
{
	if (offset < 0)
		return model_fail(EINVAL);
	return model_fail(mfile_of(b, fd) ? ESPIPE : EBADF);
}

long model_pread(const struct box *b, int fd, long offset)
{
	return no_place(b, fd, offset);
}

long model_preadv(const struct box *b, int fd, long offset)
{
	return no_place(b, fd, offset);
}

/* Returns how many bytes there are, -1 where the pieces are none. */
static long import(const struct iovec *iov, int n)
{
	return n < 0 || n > IOV_MAX ? model_fail(EINVAL) : (long)total(iov, n);
}

static bool known_flags(int flags)
{
	return !(flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND));
}

static long write_piece(const struct box *b, struct mfile *f, const struct iovec *iov)
{
	return f->kind == M_MASK ? write_mask(b, f, iov) : write_counter(b, f, iov);
}

static long read_piece(const struct box *b, struct mfile *f, const struct iovec *iov)
{
	return read_mask(b, f, iov, 1);
}

/* Piece by piece, up to the first that is not moved whole. */
static long each_piece(const struct box *b, struct mfile *f, const struct iovec *iov, long bytes,
	long (*move)(const struct box *, struct mfile *, const struct iovec *))
{
	int before = errno;
	long done = 0;
	for (; done < bytes; iov++) {
		long n = move(b, f, iov);
		if (n < 0 && done)
			errno = before;
		if (n < 0)
			return done ? done : -1;
		done += n;
		if ((size_t)n != iov->iov_len)
			break;
	}
	return done;
}

/* The patch of 2015 gave masks a plain read, as eventfds had it then: a call for each piece. */
long model_readv(const struct box *b, int fd, const struct iovec *iov, int n, int flags)
{
	struct mfile *f = mfile_open_for(b, fd, O_RDONLY);
	long bytes = f ? import(iov, n) : -1;
	if (bytes <= 0)
		return bytes;
	if (f->kind == M_MASK && (flags & ~RWF_HIPRI))
		return model_fail(EOPNOTSUPP);
	if (f->kind == M_MASK)
		return each_piece(b, f, iov, bytes, read_piece);
	if (!known_flags(flags))
		return model_fail(EOPNOTSUPP);
	return read_file(b, f, iov, n, flags & RWF_NOWAIT);
}

long model_writev(const struct box *b, int fd, const struct iovec *iov, int n, int flags)
{
	struct mfile *f = mfile_open_for(b, fd, O_WRONLY);
	long bytes = f ? import(iov, n) : -1;
	if (bytes <= 0)
		return bytes;
	if (f->kind == M_PIPE_W)
		return known_flags(flags) ? write_pipe(b, f, iov, n) : model_fail(EOPNOTSUPP);
	if (flags & ~RWF_HIPRI)
		return model_fail(EOPNOTSUPP);
	return each_piece(b, f, iov, bytes, write_piece);
}
