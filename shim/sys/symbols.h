/* The libc symbols efdshim stands in for. This one list makes the prototypes of the interposed
 * functions, the table of the real ones with their resolution, and (with hidden visibility
 * elsewhere) the export map.
 *
 * X(return type, name, parameters)
 * A(name, function): a further name of the same function, with a real one of its own nowhere
 * needed. */
#ifndef EFDSHIM_SYS_SYMBOLS_H
#define EFDSHIM_SYS_SYMBOLS_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* What the C libraries' prototypes differ in. */
#ifdef __GLIBC__
typedef __rlimit_resource_t rlimit_name;
typedef unsigned long ioctl_request;
typedef int mmsg_flags;
#else
typedef int rlimit_name;
typedef int ioctl_request;
typedef unsigned mmsg_flags;
#endif

struct statx; /* not every libc has it */

#define SYMBOLS_IO(X, A)                                                                           \
	X(int, eventfd, (unsigned initval, int flags))                                             \
	X(int, eventfd_read, (int fd, eventfd_t *value))                                           \
	X(int, eventfd_write, (int fd, eventfd_t value))                                           \
	X(ssize_t, read, (int fd, void *buf, size_t n))                                            \
	A(__read, read)                                                                            \
	X(ssize_t, write, (int fd, const void *buf, size_t n))                                     \
	A(__write, write)                                                                          \
	X(ssize_t, readv, (int fd, const struct iovec *iov, int count))                            \
	X(ssize_t, writev, (int fd, const struct iovec *iov, int count))                           \
	X(ssize_t, __read_chk, (int fd, void *buf, size_t n, size_t size))                         \
	X(ssize_t, pread, (int fd, void *buf, size_t n, off_t at))                                 \
	A(pread64, pread)                                                                          \
	A(__pread64, pread)                                                                        \
	X(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t at))                          \
	A(pwrite64, pwrite)                                                                        \
	A(__pwrite64, pwrite)                                                                      \
	X(ssize_t, __pread_chk, (int fd, void *buf, size_t n, off_t at, size_t size))              \
	A(__pread64_chk, __pread_chk)                                                              \
	X(ssize_t, preadv, (int fd, const struct iovec *iov, int count, off_t at))                 \
	A(preadv64, preadv)                                                                        \
	X(ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t at))                \
	A(pwritev64, pwritev)                                                                      \
	X(ssize_t, preadv2, (int fd, const struct iovec *iov, int count, off_t at, int flags))     \
	A(preadv64v2, preadv2)                                                                     \
	X(ssize_t, pwritev2, (int fd, const struct iovec *iov, int count, off_t at, int flags))    \
	A(pwritev64v2, pwritev2)

#define SYMBOLS_FD(X, A)                                                                           \
	X(int, close, (int fd))                                                                    \
	A(__close, close)                                                                          \
	X(int, close_range, (unsigned first, unsigned last, int flags))                            \
	X(void, closefrom, (int first))                                                            \
	X(int, dup, (int fd))                                                                      \
	A(__dup, dup)                                                                              \
	X(int, dup2, (int from, int to))                                                           \
	A(__dup2, dup2)                                                                            \
	X(int, dup3, (int from, int to, int flags))                                                \
	A(__dup3, dup3)                                                                            \
	X(int, fcntl, (int fd, int cmd, ...))                                                      \
	A(fcntl64, fcntl)                                                                          \
	A(__fcntl, fcntl)                                                                          \
	X(int, ioctl, (int fd, ioctl_request request, ...))                                        \
	A(__ioctl, ioctl)

#define SYMBOLS_ODD(X, A)                                                                          \
	X(off_t, lseek, (int fd, off_t at, int whence))                                            \
	A(lseek64, lseek)                                                                          \
	A(__lseek, lseek)                                                                          \
	X(int, fsync, (int fd))                                                                    \
	X(int, fdatasync, (int fd))                                                                \
	X(int, syncfs, (int fd))                                                                   \
	X(int, ftruncate, (int fd, off_t size))                                                    \
	A(ftruncate64, ftruncate)                                                                  \
	X(int, fallocate, (int fd, int mode, off_t at, off_t n))                                   \
	A(fallocate64, fallocate)                                                                  \
	X(int, posix_fallocate, (int fd, off_t at, off_t n))                                       \
	A(posix_fallocate64, posix_fallocate)                                                      \
	X(int, posix_fadvise, (int fd, off_t at, off_t n, int advice))                             \
	A(posix_fadvise64, posix_fadvise)                                                          \
	X(int, sync_file_range, (int fd, off_t at, off_t n, unsigned flags))                       \
	X(ssize_t, readahead, (int fd, off_t at, size_t n))                                        \
	X(int, fchmod, (int fd, mode_t mode))                                                      \
	X(int, fchown, (int fd, uid_t uid, gid_t gid))                                             \
	X(int, futimens, (int fd, const struct timespec times[2]))                                 \
	X(int, flock, (int fd, int op))                                                            \
	X(int, fstatfs, (int fd, struct statfs *st))                                               \
	A(fstatfs64, fstatfs)                                                                      \
	X(int, fstatvfs, (int fd, struct statvfs *st))                                             \
	A(fstatvfs64, fstatvfs)                                                                    \
	X(int, futimes, (int fd, const struct timeval times[2]))                                   \
	X(ssize_t, fgetxattr, (int fd, const char *name, void *value, size_t n))                   \
	X(int, fsetxattr, (int fd, const char *name, const void *value, size_t n, int flags))      \
	X(ssize_t, flistxattr, (int fd, char *names, size_t n))                                    \
	X(int, fremovexattr, (int fd, const char *name))                                           \
	X(ssize_t, sendfile, (int out, int in, off_t *at, size_t n))                               \
	A(sendfile64, sendfile)                                                                    \
	X(ssize_t, splice,                                                                         \
		(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags))          \
	X(ssize_t, tee, (int in, int out, size_t n, unsigned flags))                               \
	X(ssize_t, vmsplice, (int fd, const struct iovec *iov, size_t count, unsigned flags))      \
	X(ssize_t, copy_file_range,                                                                \
		(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags))

#define SYMBOLS_STAT(X, A)                                                                         \
	X(int, fstat, (int fd, struct stat *st))                                                   \
	A(fstat64, fstat)                                                                          \
	X(int, __fxstat, (int version, int fd, struct stat *st))                                   \
	A(__fxstat64, __fxstat)                                                                    \
	X(int, stat, (const char *path, struct stat *st))                                          \
	A(stat64, stat)                                                                            \
	X(int, __xstat, (int version, const char *path, struct stat *st))                          \
	A(__xstat64, __xstat)                                                                      \
	X(int, fstatat, (int dir, const char *path, struct stat *st, int flags))                   \
	A(fstatat64, fstatat)                                                                      \
	X(int, __fxstatat, (int version, int dir, const char *path, struct stat *st, int flags))   \
	A(__fxstatat64, __fxstatat)                                                                \
	X(int, statx, (int dir, const char *path, int flags, unsigned mask, struct statx *st))     \
	X(ssize_t, readlink, (const char *path, char *buf, size_t n))                              \
	X(ssize_t, readlinkat, (int dir, const char *path, char *buf, size_t n))                   \
	X(ssize_t, __readlink_chk, (const char *path, char *buf, size_t n, size_t size))           \
	X(ssize_t, __readlinkat_chk, (int dir, const char *path, char *buf, size_t n, size_t size))

#define SYMBOLS_POLL(X, A)                                                                         \
	X(int, poll, (struct pollfd * fds, nfds_t n, int timeout))                                 \
	A(__poll, poll)                                                                            \
	X(int, __poll_chk, (struct pollfd * fds, nfds_t n, int timeout, size_t size))              \
	X(int, ppoll,                                                                              \
		(struct pollfd * fds, nfds_t n, const struct timespec *timeout,                    \
			const sigset_t *mask))                                                     \
	X(int, __ppoll_chk,                                                                        \
		(struct pollfd * fds, nfds_t n, const struct timespec *timeout,                    \
			const sigset_t *mask, size_t size))                                        \
	X(int, select, (int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout))  \
	A(__select, select)                                                                        \
	X(int, pselect,                                                                            \
		(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,   \
			const sigset_t *mask))

#define SYMBOLS_EPOLL(X, A)                                                                        \
	X(int, epoll_create, (int size))                                                           \
	X(int, epoll_create1, (int flags))                                                         \
	X(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event))                   \
	X(int, epoll_wait, (int epfd, struct epoll_event *events, int max, int timeout))           \
	X(int, epoll_pwait,                                                                        \
		(int epfd, struct epoll_event *events, int max, int timeout,                       \
			const sigset_t *mask))                                                     \
	X(int, epoll_pwait2,                                                                       \
		(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,    \
			const sigset_t *mask))

#define SYMBOLS_OPEN(X, A)                                                                         \
	X(int, open, (const char *path, int flags, ...))                                           \
	A(open64, open)                                                                            \
	A(__open, open)                                                                            \
	A(__open64, open)                                                                          \
	X(int, __open_2, (const char *path, int flags))                                            \
	A(__open64_2, __open_2)                                                                    \
	X(int, openat, (int dir, const char *path, int flags, ...))                                \
	A(openat64, openat)                                                                        \
	X(int, __openat_2, (int dir, const char *path, int flags))                                 \
	A(__openat64_2, __openat_2)                                                                \
	X(int, creat, (const char *path, mode_t mode))                                             \
	A(creat64, creat)                                                                          \
	X(int, mkstemp, (char *template))                                                          \
	A(mkstemp64, mkstemp)                                                                      \
	X(int, mkostemp, (char *template, int flags))                                              \
	A(mkostemp64, mkostemp)                                                                    \
	X(int, mkstemps, (char *template, int suffix))                                             \
	A(mkstemps64, mkstemps)                                                                    \
	X(int, mkostemps, (char *template, int suffix, int flags))                                 \
	A(mkostemps64, mkostemps)                                                                  \
	X(int, shm_open, (const char *name, int flags, mode_t mode))                               \
	X(int, posix_openpt, (int flags))                                                          \
	X(int, getpt, (void))                                                                      \
	X(int, openpty,                                                                            \
		(int *master, int *slave, char *name, const struct termios *termios,               \
			const struct winsize *size))                                               \
	X(int, forkpty,                                                                            \
		(int *master, char *name, const struct termios *termios,                           \
			const struct winsize *size))

#define SYMBOLS_MAKE(X, A)                                                                         \
	X(int, socket, (int domain, int type, int protocol))                                       \
	X(int, socketpair, (int domain, int type, int protocol, int fds[2]))                       \
	X(int, accept, (int fd, struct sockaddr *address, socklen_t *n))                           \
	X(int, accept4, (int fd, struct sockaddr *address, socklen_t *n, int flags))               \
	X(int, pipe, (int fds[2]))                                                                 \
	A(__pipe, pipe)                                                                            \
	X(int, pipe2, (int fds[2], int flags))                                                     \
	X(int, timerfd_create, (int clock, int flags))                                             \
	X(int, timerfd_settime,                                                                    \
		(int fd, int flags, const struct itimerspec *value, struct itimerspec *old))       \
	X(int, timerfd_gettime, (int fd, struct itimerspec *value))                                \
	X(int, memfd_create, (const char *name, unsigned flags))                                   \
	X(int, inotify_init, (void))                                                               \
	X(int, inotify_init1, (int flags))                                                         \
	X(int, fanotify_init, (unsigned flags, unsigned event_flags))                              \
	X(int, open_by_handle_at, (int mount, struct file_handle *handle, int flags))              \
	X(int, pidfd_open, (pid_t pid, unsigned flags))                                            \
	X(int, pidfd_getfd, (int pidfd, int fd, unsigned flags))                                   \
	X(int, mq_open, (const char *name, int flags, ...))                                        \
	X(int, fsopen, (const char *name, unsigned flags))                                         \
	X(int, fsmount, (int fd, unsigned flags, unsigned attributes))                             \
	X(int, fspick, (int dir, const char *path, unsigned flags))                                \
	X(int, open_tree, (int dir, const char *path, unsigned flags))                             \
	X(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags))                     \
	X(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned n, mmsg_flags flags))         \
	X(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags))                           \
	X(int, recvmmsg,                                                                           \
		(int fd, struct mmsghdr *messages, unsigned n, mmsg_flags flags,                   \
			struct timespec *timeout))

#define SYMBOLS_LIMIT(X, A)                                                                        \
	X(int, getrlimit, (rlimit_name resource, struct rlimit * limit))                           \
	A(getrlimit64, getrlimit)                                                                  \
	X(int, setrlimit, (rlimit_name resource, const struct rlimit *limit))                      \
	A(setrlimit64, setrlimit)                                                                  \
	X(int, prlimit,                                                                            \
		(pid_t pid, rlimit_name resource, const struct rlimit *limit, struct rlimit *old)) \
	A(prlimit64, prlimit)

#define SYMBOLS_SIGNAL(X, A)                                                                       \
	X(int, signalfd, (int fd, const sigset_t *mask, int flags))                                \
	X(int, sigaction, (int sig, const struct sigaction *action, struct sigaction *before))     \
	A(__sigaction, sigaction)                                                                  \
	X(sighandler_t, signal, (int sig, sighandler_t handler))                                   \
	A(bsd_signal, signal)                                                                      \
	A(ssignal, signal)                                                                         \
	X(sighandler_t, sysv_signal, (int sig, sighandler_t handler))                              \
	A(__sysv_signal, sysv_signal)                                                              \
	X(sighandler_t, sigset, (int sig, sighandler_t handler))                                   \
	X(int, sigignore, (int sig))                                                               \
	X(int, siginterrupt, (int sig, int interrupt))                                             \
	X(int, sigwait, (const sigset_t *set, int *sig))                                           \
	X(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info))                                \
	X(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout))

#define SYMBOLS_PRINT(X, A)                                                                        \
	X(int, dprintf, (int fd, const char *format, ...))                                         \
	X(int, vdprintf, (int fd, const char *format, va_list args))                               \
	X(int, __dprintf_chk, (int fd, int flag, const char *format, ...))                         \
	X(int, __vdprintf_chk, (int fd, int flag, const char *format, va_list args))

#define SYMBOLS_STDIO(X, A)                                                                        \
	X(FILE *, fopen, (const char *path, const char *mode))                                     \
	A(fopen64, fopen)                                                                          \
	X(FILE *, freopen, (const char *path, const char *mode, FILE *stream))                     \
	A(freopen64, freopen)                                                                      \
	X(FILE *, fdopen, (int fd, const char *mode))                                              \
	X(int, fclose, (FILE * stream))                                                            \
	X(int, fileno, (FILE * stream))                                                            \
	A(fileno_unlocked, fileno)                                                                 \
	X(FILE *, tmpfile, (void))                                                                 \
	A(tmpfile64, tmpfile)                                                                      \
	X(DIR *, opendir, (const char *path))                                                      \
	X(DIR *, fdopendir, (int fd))                                                              \
	X(int, closedir, (DIR * dir))

#define SYMBOLS_POPEN(X, A)                                                                        \
	X(FILE *, popen, (const char *command, const char *mode))                                  \
	X(int, pclose, (FILE * stream))

#define SYMBOLS_MEM(X, A)                                                                          \
	X(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t offset))           \
	A(mmap64, mmap)                                                                            \
	X(int, munmap, (void *at, size_t n))                                                       \
	X(int, mprotect, (void *at, size_t n, int prot))                                           \
	X(int, pkey_mprotect, (void *at, size_t n, int prot, int key))                             \
	X(void *, mremap, (void *at, size_t n, size_t to, int flags, ...))                         \
	X(int, shmdt, (const void *at))

#define SYMBOLS_EXEC(X, A)                                                                         \
	X(int, execve, (const char *path, char *const argv[], char *const environment[]))          \
	X(int, execv, (const char *path, char *const argv[]))                                      \
	X(int, execvp, (const char *file, char *const argv[]))                                     \
	X(int, execvpe, (const char *file, char *const argv[], char *const environment[]))         \
	X(int, execl, (const char *path, const char *arg, ...))                                    \
	X(int, execlp, (const char *file, const char *arg, ...))                                   \
	X(int, execle, (const char *path, const char *arg, ...))                                   \
	X(int, fexecve, (int fd, char *const argv[], char *const environment[]))                   \
	X(int, execveat,                                                                           \
		(int dir, const char *path, char *const argv[], char *const environment[],         \
			int flags))                                                                \
	X(int, posix_spawn,                                                                        \
		(pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,         \
			const posix_spawnattr_t *attributes, char *const argv[],                   \
			char *const environment[]))                                                \
	X(int, posix_spawnp,                                                                       \
		(pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions,         \
			const posix_spawnattr_t *attributes, char *const argv[],                   \
			char *const environment[]))                                                \
	X(int, system, (const char *command))

/* vfork.S: the real one is never called */
#define SYMBOLS_VFORK(X, A)                                                                        \
	X(pid_t, vfork, (void))                                                                    \
	A(__vfork, vfork)

#define SYMBOLS_SYSCALL(X, A) X(long, syscall, (long number, ...))

#define SYMBOLS_PROC(X, A)                                                                         \
	X(pid_t, _Fork, (void))                                                                    \
	X(int, clone, (int (*fn)(void *), void *stack, int flags, void *arg, ...))                 \
	A(__clone, clone)                                                                          \
	X(int, unshare, (int flags))                                                               \
	X(int, daemon, (int nochdir, int noclose))                                                 \
	X(int, pthread_cancel, (pthread_t thread))                                                 \
	X(void, _exit, (int status))                                                               \
	A(_Exit, _exit)

#define SYMBOLS(X, A)                                                                              \
	SYMBOLS_IO(X, A)                                                                           \
	SYMBOLS_FD(X, A)                                                                           \
	SYMBOLS_ODD(X, A)                                                                          \
	SYMBOLS_STAT(X, A)                                                                         \
	SYMBOLS_POLL(X, A)                                                                         \
	SYMBOLS_EPOLL(X, A)                                                                        \
	SYMBOLS_OPEN(X, A)                                                                         \
	SYMBOLS_MAKE(X, A)                                                                         \
	SYMBOLS_LIMIT(X, A)                                                                        \
	SYMBOLS_SIGNAL(X, A)                                                                       \
	SYMBOLS_PRINT(X, A)                                                                        \
	SYMBOLS_STDIO(X, A)                                                                        \
	SYMBOLS_POPEN(X, A)                                                                        \
	SYMBOLS_MEM(X, A)                                                                          \
	SYMBOLS_EXEC(X, A)                                                                         \
	SYMBOLS_VFORK(X, A)                                                                        \
	SYMBOLS_SYSCALL(X, A)                                                                      \
	SYMBOLS_PROC(X, A)

#endif
