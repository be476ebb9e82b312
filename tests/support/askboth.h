/* One question asked twice: by libc on libc's eventfd, and by a raw system call on the kernel's
 * own. */
#ifndef ASKBOTH_H
#define ASKBOTH_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { ERRNO_CANARY = 4095 };

struct both {
	int ours;
	int kernel;
};

struct answer {
	long ret;
	int err;
	int elsewhere; /* what an older kernel's profile says, for any fd, where it lacks this */
};

/* Two eventfds with the same count and flags; both_close() asserts that they are still alike. */
struct both both_open(unsigned int initval, int flags);
void both_close(struct both b);
void both_write(struct both b, uint64_t value);

static inline long addr(const volatile void *p)
{
	return (long)(intptr_t)p;
}

struct answer answer_of_libc(const char *call, long ret);
struct answer answer_of_kernel(const long nr_and_args[7]);
void assert_same_answer(const char *call, struct answer libc, struct answer kernel);

/* `call` and the raw call's number and arguments both name the eventfd `fd`. */
#define SAME(both, call, ...)                                                                      \
	do {                                                                                       \
		int fd = (both).ours;                                                              \
		errno = ERRNO_CANARY;                                                              \
		struct answer by_libc = answer_of_libc(#call, (long)(call));                       \
		fd = (both).kernel;                                                                \
		struct answer by_kernel = answer_of_kernel((long[7]){__VA_ARGS__});                \
		assert_same_answer(#call, by_libc, by_kernel);                                     \
	} while (0)

/* The same through libc's syscall(). */
long libc_syscall(const long nr_and_args[7]);
#define SAME_SYSCALL(both, ...) SAME(both, libc_syscall((long[7]){__VA_ARGS__}), __VA_ARGS__)

/* For functions that return the error instead of setting errno. */
long errno_from(int err);

/* Plain steps on one eventfd, asserted to succeed. */
int new_eventfd(unsigned int initval, int flags);
void add(int fd, uint64_t value);
uint64_t take(int fd);
void assert_count(int fd, uint64_t count);
void assert_empty(int fd);
void assert_closed(int fd);
void assert_errno(const char *call, long ret, int err);
#define FAILS(call, err) assert_errno(#call, (errno = ERRNO_CANARY, (long)(call)), err)

/* Run in a forked child, where a failed CHECK says which and ends the child; in_child() asserts
 * that none did. */
void in_child(void (*run)(void *), void *arg);
pid_t start_child(void (*run)(void *), void *arg);
void end_child(pid_t pid);
void check_in_child(bool ok, int line, const char *what);
#define CHECK(cond) check_in_child(cond, __LINE__, #cond)

#endif
