/* syscall(2): a system call by its number means what libc's function for it means. */
#ifndef EFDSHIM_INTERPOSE_RAWCALL_H
#define EFDSHIM_INTERPOSE_RAWCALL_H

#include <stdint.h>

struct rawcall {
	long nr;
	long a[6];
	unsigned fds; /* which arguments are fds that decide whether the call concerns the shim */
};

/* The real syscall(), with all six arguments. */
long rawcall_through(const struct rawcall *call);

typedef long rawcall_handler(const struct rawcall *call);

/* What the kernel is asked with a decoy for a fake fd. */
rawcall_handler rawcall_ask;

/* rawcall_io.c: reading, writing and the life of fds */
rawcall_handler rawcall_eventfd, rawcall_eventfd2;
rawcall_handler rawcall_read, rawcall_write, rawcall_readv, rawcall_writev;
rawcall_handler rawcall_preadv2, rawcall_pwritev2;
rawcall_handler rawcall_close, rawcall_close_range;
rawcall_handler rawcall_dup, rawcall_dup2, rawcall_dup3, rawcall_fcntl, rawcall_ioctl;

/* rawcall_wait.c: poll, select and epoll */
rawcall_handler rawcall_poll, rawcall_ppoll, rawcall_select, rawcall_pselect6;
rawcall_handler rawcall_epoll_create, rawcall_epoll_create1, rawcall_epoll_ctl;
rawcall_handler rawcall_epoll_wait, rawcall_epoll_pwait, rawcall_epoll_pwait2;

/* rawcall_file.c: paths, what makes fds, mappings, processes */
rawcall_handler rawcall_open, rawcall_openat, rawcall_openat2, rawcall_creat;
rawcall_handler rawcall_stat, rawcall_newfstatat, rawcall_statx;
rawcall_handler rawcall_readlink, rawcall_readlinkat;
rawcall_handler rawcall_make, rawcall_maybe_make, rawcall_make_pair, rawcall_io_uring_setup;
rawcall_handler rawcall_socket, rawcall_socketpair, rawcall_accept4, rawcall_pipe2;
rawcall_handler rawcall_inotify_init1;
rawcall_handler rawcall_recvmsg, rawcall_recvmmsg, rawcall_sendmsg, rawcall_sendmmsg;
rawcall_handler rawcall_pidfd_getfd;
rawcall_handler rawcall_mapping, rawcall_mmap, rawcall_munmap;
rawcall_handler rawcall_exec, rawcall_fork, rawcall_exit_group;

/* signals.c */
rawcall_handler rawcall_signalfd, rawcall_sigaction, rawcall_sigtimedwait;

/* timer.c */
rawcall_handler rawcall_timerfd_create, rawcall_timerfd_settime, rawcall_timerfd_gettime;

/* aio.c */
rawcall_handler rawcall_io_submit, rawcall_io_getevents;

#endif
