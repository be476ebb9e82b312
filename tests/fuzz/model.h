/* A kernel in miniature, with masks: what the calls of modelled sequences are to return. Written
 * from the rules of eventfd(2), pipe(7), epoll(7) and of efdshim/eventfd.h, without a look at the
 * shim; without masks it can be compared with the running kernel. Each call is what the C library's
 * would be: -1 and errno where it fails. The box says whose fds are meant. */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include "fuzz.h"

#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

struct pollfd;

void model_reset(enum fault, unsigned allow);
/* The process `to` gets all that b's process has. */
void model_fork(const struct box *b, unsigned to);
void model_exit(unsigned proc);
/* Whether the sequence has come to something that the model does not know: what comes after is
 * anybody's guess. */
bool model_is_lost(void);

long model_eventfd(const struct box *, unsigned initval, int flags);
long model_pipe(const struct box *, int fd[2], int flags);
long model_dup(const struct box *, int fd);
long model_dup2(const struct box *, int fd, int to);
long model_dup3(const struct box *, int fd, int to, int flags);
long model_close(const struct box *, int fd);
long model_close_range(const struct box *, unsigned first, unsigned last, int flags);
/* Returns 0 for fclose(fdopen(fd)), -1 where there was no stream to close. */
long model_fclose(const struct box *, int fd);
long model_fcntl(const struct box *, int fd, int cmd, int arg);
long model_ioctl(const struct box *, int fd, unsigned long request, const int *arg);

long model_read(const struct box *, int fd, void *, size_t);
long model_write(const struct box *, int fd, const void *, size_t);
/* pread() and pwrite() with an offset. */
long model_pread(const struct box *, int fd, long offset);
/* flags as preadv2() has them. */
long model_readv(const struct box *, int fd, const struct iovec *, int n, int flags);
long model_writev(const struct box *, int fd, const struct iovec *, int n, int flags);
/* preadv() and pwritev(). */
long model_preadv(const struct box *, int fd, long offset);

long model_poll(const struct box *, struct pollfd *, unsigned n);
long model_select(const struct box *, int n, fd_set set[3]);

bool model_is_set(const struct box *, int fd);
long model_epoll_create(const struct box *, bool one, int arg);
long model_epoll_ctl(const struct box *, int set, int what, int fd, const struct epoll_event *);
/* Where there is more than fits, those of `chosen` are taken: what another executor returned for
 * the same call. */
long model_epoll_wait(
	const struct box *, int set, struct epoll_event *, int most, const struct result *chosen);

/* A kernel's eventfd that is like fd, for questions the model leaves to the kernel: -1 where fd is
 * not open, -2 where it is something else. *mask: the events of a mask, else -1. */
int model_double(const struct box *, int fd, int64_t *mask);

#endif
