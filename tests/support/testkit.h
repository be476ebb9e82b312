/* What every suite shares: who answers (kernel or shim), waiting on events, fd leaks. */
#ifndef TESTKIT_H
#define TESTKIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the filter of tests/pretend lets through. */
#define TK_UNFILTERED 0x7a1c5eedu

/* True where eventfd() is efdshim's: the suite runs under LD_PRELOAD (or with the shim linked in).
 */
bool tk_under_shim(void);

/* Criterion fixtures: remember the open fds, then assert that the same ones are open.
 * Fds the shim keeps for itself (high, close-on-exec) are left out. */
void tk_setup(void);
/* The lowest number that is free. They are not in a row: the runner has some open. */
int tk_lowest_free(void);
void tk_teardown(void);

/* Return once thread `tid` of this process sleeps in the kernel (state S), or has ended. Fails the
 * test after 10 s. */
void tk_wait_asleep(pid_t tid);
/* The same for the main thread of another process. */
void tk_wait_process_asleep(pid_t pid);

/* A raw system call instruction: never interposed. Returns the kernel's value (-errno on failure).
 * Under an older kernel's profile (tests/run.sh) the unfiltered kernel answers. */
long tk_raw_syscall(long nr, long a, long b, long c, long d, long e, long f);

/* Answers ENOSYS to one system call, or two, from now on: a child, which exits with 77 where there
 * are no filters. */
void tk_deny(long one, long two);

/* True under an older kernel's profile that lacks this system call. */
bool tk_lacks(long nr);

/* The errno that profile answers a call with these arguments with, whatever the fd; else 0. */
int tk_refuses(const long nr_and_args[7]);

/* A file in memory, without a name: memfd_create is too new for some kernels. `flags` are 0 or
 * O_CLOEXEC; it gets the lowest number that is free. */
int tk_memory_file(int flags);

/* Monotonic milliseconds. */
int64_t tk_now_ms(void);

#endif
