/* Numbers that are opened and closed where no interposed function sees it: within libc, and by
 * messages. */
#ifndef EFDSHIM_CORE_BEHIND_H
#define EFDSHIM_CORE_BEHIND_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/fdtable.h"

/* libc is about to close `fd` by itself: the table lets go of the number and of the object when it
 * has. */
struct behind_close {
	int fd;
	uint64_t entry; /* 0 where the number is not ours */
	uint64_t set;	/* the number of the epoll set that it is, or 0 */
	bool fake;
	struct fdref ref;
};

void behind_closing(struct behind_close *close, int fd);
void behind_closed(const struct behind_close *close);

/* A message was received, by a call that succeeded: its fds are new files. */
void behind_received(const struct msghdr *message);

/* A message was sent: others have the fds in it too. */
void behind_sent(const struct msghdr *message);

/* A call that may make an fd returned `fd`: where that is a number of ours and now another file,
 * forgets what it was. */
void behind_maybe_made(long fd);

#endif
