/* Numbers that the library takes for a moment. The kernel gives it the lowest one, which the
 * program may think free and hand to dup2: that must not be hindered by the library's file there,
 * nor its own be closed in that one's place. How the two stay apart is for core to say; before the
 * first fake fd there is nothing to say. */
#ifndef EFDSHIM_SYS_PASSING_H
#define EFDSHIM_SYS_PASSING_H

#include <stdbool.h>

struct passing_hooks {
	bool (*begin)(void); /* an fd is about to be opened; false where that need not be told */
	int (*got)(int fd);  /* it was, or not: fd, or -EBUSY */
	void (*close)(int fd);
};

void passing_set_hooks(const struct passing_hooks *hooks);

/* Around a call that opens an fd, and nothing that waits. The second one takes what the call gave,
 * also -errno, and gives it back, or -EBUSY where a dup2 took the number: another try finds another
 * one. */
bool passing_begin(void);
int passing_got(bool begun, int fd);

void passing_close(int fd);

/* openat(2), eventfd(2), epoll_create1(2), memfd_create(2) of such a number, close-on-exec; or
 * -errno. */
int passing_openat(int dir, const char *path, int flags, unsigned mode);
int passing_eventfd(int flags);
int passing_epoll(void);
int passing_memfd(const char *name);

/* pipe2(2) of two such, close-on-exec and non-blocking; 0 or -errno. */
int passing_pipe(int ends[2]);

#endif
