/* What efdshim adds to <sys/eventfd.h>: eventfds that show any poll mask, and posts that never
 * block.
 *
 * The kernel patch "eventfd: implementation of EFD_MASK flag" (Martin Sustrik and Damian
 * Hobson-Garcia, 2015), which was never merged, is where the behaviour of EFD_MASK comes from.
 * Programs that use the flag alone need no library to link: with libefdshim.so in front of libc
 * (LD_PRELOAD, or linked before it) it works, without it eventfd() fails with EINVAL, as kernels
 * do. eventfd_signal and its kin, which the first eventfd patch had for drivers (Davide Libenzi,
 * 2007), are functions of the library: link with -lefdshim, and no LD_PRELOAD is needed. */
#ifndef EFDSHIM_EVENTFD_H
#define EFDSHIM_EVENTFD_H

#include <stdint.h>
#include <sys/eventfd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* int eventfd(unsigned initval, int flags), with EFD_MASK among the flags
 *
 * An fd that shows the poll bits its owner writes into it. At first it shows none, and its data is
 * 0. `initval` is ignored; EFD_CLOEXEC and EFD_NONBLOCK mean what they always do, EFD_SEMAPHORE
 * nothing. Returns the fd, or -1 with errno:
 *   EINVAL          the library is not there, or cannot emulate here (no directory for its state);
 *                   or unknown bits in `flags`
 *   EMFILE, ENFILE  no fd is left for the process, or no file in the system
 *
 * write(fd, &mask, sizeof(struct efd_mask)) replaces the events and the data, as one pair, and
 * wakes whoever waits for one of the events. Every such write is an edge for EPOLLET. It never
 * blocks. Returns 12, or -1 with errno:
 *   EINVAL  fewer than 12 bytes, or events other than POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP:
 *           nothing has changed
 *   EFAULT  the buffer is not the program's
 *
 * read(fd, &mask, sizeof(struct efd_mask)) gives the pair last written. It takes nothing away, and
 * never blocks. Returns 12, or -1 with errno:
 *   EINVAL  fewer than 12 bytes
 *   EFAULT  the buffer is not the program's
 *
 * poll, select and epoll report the events they were asked for, and POLLERR and POLLHUP always. */
#define EFD_MASK (1 << 1)

/* What is written to such an fd, and read from it. */
struct efd_mask {
	uint32_t events; /* poll bits */
	uint64_t data;	 /* the owner's: given back as it was written */
} __attribute__((packed));

/* A reference to what an fd stands for, as a driver has one. It outlives close(), and the fd's
 * number; a forked child has it too, a new image has not. */
struct efd_file;

/* struct efd_file *eventfd_fget(int fd)
 *
 * Takes a reference to the counter eventfd behind `fd`: it lives on, for whoever else has it and
 * for the epoll sets it is in, until efd_fput() drops the reference. Each call is to be matched by
 * one of efd_fput. Not to be called in a signal handler. Returns NULL with errno:
 *
 * - EBADF: no such fd
 * - EINVAL: it is no counter eventfd of the library's: another kind of file, one with EFD_MASK, or
 *   one that the kernel serves
 * - EMFILE, ENFILE, ENOMEM: no room: each reference takes one fd of the library's */
struct efd_file *eventfd_fget(int fd);

/* Drops a reference that eventfd_fget or asyncfd_fget took; NULL is none. Not to be called in a
 * signal handler. */
void efd_fput(struct efd_file *file);

/* int eventfd_signal(struct efd_file *file, int n)
 *
 * Adds `n` to the counter, without ever blocking: from any thread, and from any signal handler. The
 * counter stops at UINT64_MAX, one above what writes can reach. There poll, select and epoll show
 * POLLERR with POLLIN, whatever they were asked for; writes block, or fail with EAGAIN; and a read
 * returns UINT64_MAX and clears it, or of EFD_SEMAPHORE 1. Each call is an edge for EPOLLET, as a
 * write is. A watch in another process's epoll set that was made before the first eventfd_fget
 * shows no POLLERR, and POLLOUT there. errno is left alone on success. Returns what was added, less
 * than `n` where the counter stopped; or -1 with errno:
 *
 * - EINVAL: n < 0; or `file` is no eventfd's */
int eventfd_signal(struct efd_file *file, int n);

/* The library's version ("0.1.0"), a constant string. Weak: without the library the name is NULL,
 * so `if (efdshim_version)` tells whether it is there. (The linker settles weak names of programs
 * that clang compiled without -fpie or -fpic: there the name is always NULL; ask eventfd().) */
#if defined(__GNUC__) && !defined(__clang__)
const char *efdshim_version(void) __attribute__((weak, noplt));
#else
const char *efdshim_version(void) __attribute__((weak));
#endif

#ifdef __cplusplus
}
#endif

#endif
