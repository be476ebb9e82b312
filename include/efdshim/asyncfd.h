/* asyncfd: a ring of completions in the program's own memory, with an fd to wait for them.
 *
 * After the kernel patch "asyncfd" (Davide Libenzi, 2007), which was never merged. Functions of
 * libefdshim.so: link with -lefdshim; no LD_PRELOAD is needed then. */
#ifndef EFDSHIM_ASYNCFD_H
#define EFDSHIM_ASYNCFD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct efd_file; /* see efdshim/eventfd.h, which has efd_fput() */

/* A completion. In the ring a cookie of 0 says that the place is free. */
struct asyncfd_result {
	uint64_t cookie; /* the producer's, not 0 */
	uint64_t obj;	 /* the producer's */
	int64_t res;	 /* mostly a count, or -errno */
	int64_t res2;
};

/* The head of a ring. Producers store at `ikernel` and after it, the consumer takes at `iuser`: the
 * ring is empty where the two are the same, and full with size - 1 results in it. */
struct asyncfd_uring {
	uint64_t ptr;	   /* address of `size` results, all zeros at first */
	uint32_t iuser;	   /* moved by the consumer, with plain stores */
	uint32_t size;	   /* how many results there is room for, plus 1; at least 2 */
	uint32_t ikernel;  /* moved by the library */
	uint32_t reserved; /* the library's own, while the ring is an fd's */
};

/* int asyncfd(int ufd, struct asyncfd_uring *ring)
 *
 * With `ufd` -1, makes an fd for the ring: close-on-exec is off, fcntl() sets it. Else the ring
 * takes the place of the one that the asyncfd `ufd` has: results that were stored stay in the old
 * one, all others go to the new one, and on return the library uses the old one no more. (It waits
 * for producers that are at work: not to be called in a signal handler.) A ring is one fd's, and
 * its head is not to be changed by hand while producers may store. A ring may be unmapped at any
 * time, but not by a handler that may have interrupted a producer. close() waits for nobody: a
 * producer that is at work, as one of asyncfd_submit()'s threads may be, may still store to the
 * ring afterwards. Where its memory is to be freed set another ring before. A process that ends
 * while one of its threads stores to a ring that others have, too, may leave a place there that is
 * never filled: what is stored behind it is not seen. Who has children that may be killed, and
 * finds nothing in a ring that is full, sets another one.
 *
 * The fd shows POLLIN while ikernel != iuser, and POLLERR while the ring cannot be read; each
 * result is an edge for EPOLLET. poll, select and epoll take it as they take any fd; it cannot be
 * read or written (EINVAL). The ring belongs to the process that set it, and to children forked
 * since, who must have it in shared memory to see the same; to others that get the fd it shows
 * POLLERR until they set one of their own. Returns the fd, or -1 with errno:
 *
 * - EBADF: `ufd` is not open, and not -1
 * - EINVAL: `ufd` is no asyncfd; a size below 2; ikernel not below size; `ring` or ring->ptr are
 *   not multiples of 8
 * - EFAULT: the ring, or its array, is not mapped, or not writable
 * - EMFILE, ENFILE, ENOMEM: no fd is left, no file, no memory
 * - ENOSYS: the library cannot emulate here (no directory for its state) */
int asyncfd(int ufd, struct asyncfd_uring *ring);

/* struct efd_file *asyncfd_fget(int fd)
 *
 * What producers name the asyncfd by; it outlives close(). Dropped by efd_fput(). Not to be called
 * in a signal handler. Returns NULL with errno:
 *
 * - EBADF: no such fd
 * - EINVAL: it is no asyncfd
 * - ENOMEM: no room */
struct efd_file *asyncfd_fget(int fd);

/* int asyncfd_add_results(struct efd_file *file, const struct asyncfd_result *results, int n)
 *
 * Stores results at the end of the ring, in order, and wakes who waits, without ever blocking. Any
 * number of threads may do so at once, and signal handlers. It stops where the place to come has a
 * cookie, or is the last one free. Returns how many were stored, less than `n` where the ring is
 * full; or -1 with errno:
 *
 * - EINVAL: n < 0, or a cookie of 0; or `file` is no asyncfd's
 * - EBADFD: no fd of the asyncfd is left, in any process
 * - EFAULT: `results` is not readable; or the head has become invalid (ikernel not below size, null
 *   ptr); or this process has no ring. Memory that was unmapped since is met with EFAULT where
 *   munmap() was called by the program; with EFDSHIM_STRICT=1 always */
int asyncfd_add_results(struct efd_file *file, const struct asyncfd_result *results, int n);

/* Take the first results, or the first one, out of the ring: how many there were, up to `n`. For
 * the ring's one consumer; they do what plain loads and stores would, in an order that every
 * processor keeps. */
static inline int asyncfd_take_results(
	struct asyncfd_uring *ring, struct asyncfd_result *results, int n)
{
	struct asyncfd_result *places = (struct asyncfd_result *)(uintptr_t)ring->ptr;
	uint32_t end = __atomic_load_n(&ring->ikernel, __ATOMIC_ACQUIRE), at = ring->iuser;
	int taken = 0;

	for (; taken < n && at != end; taken++) {
		results[taken] = places[at];
		__atomic_store_n(&places[at].cookie, 0, __ATOMIC_RELEASE);
		at = at + 1 == ring->size ? 0 : at + 1;
	}
	if (taken)
		__atomic_store_n(&ring->iuser, at, __ATOMIC_RELEASE);
	return taken;
}

static inline int asyncfd_take_result(struct asyncfd_uring *ring, struct asyncfd_result *result)
{
	return asyncfd_take_results(ring, result, 1);
}

/* What asyncfd_submit() does: the system calls of these names. */
enum asyncfd_code {
	ASYNCFD_PREAD = 1, /* fd, buf, len, offset */
	ASYNCFD_PWRITE,	   /* fd, buf, len, offset */
	ASYNCFD_FSYNC,	   /* fd */
	ASYNCFD_FDATASYNC, /* fd */
	ASYNCFD_OPENAT,	   /* fd (a directory, or AT_FDCWD), path, flags, mode */
	ASYNCFD_CLOSE,	   /* fd */
	ASYNCFD_STATX, /* fd (as of openat), path, flags, mode (the mask), buf (a struct statx) */
};

struct asyncfd_op {
	uint64_t cookie; /* of the result, not 0 */
	uint64_t obj;	 /* of the result */
	int code;	 /* enum asyncfd_code */
	int fd;
	void *buf;	/* what it and `path` lead to must stay until the result is there */
	size_t len;	/* bytes */
	int64_t offset; /* bytes from the beginning of the file */
	const char *path;
	int flags;
	unsigned mode;
};

/* int asyncfd_submit(int asfd, const struct asyncfd_op *ops, int n)
 *
 * Has operations done by threads of the library: a few, which come with the first operation and go
 * when there are none for a while. They may be done in any order, and several at once. The result
 * of each goes to the ring of `asfd`: the operation's cookie and obj, res what the system call
 * returned (bytes, an fd, 0) or -errno, res2 0. Where the ring is full, or cannot be stored to,
 * results wait until the consumer has made room, or set another one; none is dropped while an fd of
 * the asyncfd is left. Operations under way are not a forked child's. Returns how many were
 * accepted, less than `n` where too many are under way or wait for room in the ring; or -1 with
 * errno:
 *
 * - EAGAIN: not even one was accepted, for that reason; or no thread can be started
 * - EBADF: `asfd` is not open
 * - EINVAL: `asfd` is no asyncfd; n < 0; or the first operation has a cookie of 0 or no known code
 * - EFAULT: `ops` is not readable */
int asyncfd_submit(int asfd, const struct asyncfd_op *ops, int n);

#ifdef __cplusplus
}
#endif

#endif
