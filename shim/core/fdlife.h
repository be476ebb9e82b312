/* close, dup and their kin over numbers of which some are fake or the library's own. */
#ifndef EFDSHIM_CORE_FDLIFE_H
#define EFDSHIM_CORE_FDLIFE_H

#include <stdbool.h>

#include "core/fdtable.h"
#include "core/outcome.h"

enum fdlife_pin {
	FDLIFE_PINNED,
	FDLIFE_UNPINNED, /* open, but no fake fd any more, or for too long about to be replaced */
	FDLIFE_NOT_OPEN,
};

/* Pins the number as what it is now: *ref changes where another thread's dup2 has put another
 * object there, as to the kernel the number is open all the while. */
enum fdlife_pin fdlife_pin(struct fdref *ref, int rounds);

/* dup(2) and F_DUPFD of a fake fd: `cmd` is F_DUPFD or F_DUPFD_CLOEXEC. */
struct outcome fdlife_dup(const struct fdref *ref, int cmd, int lowest);

/* dup2(2), dup3(2): either number may be fake. `call` makes the real call. */
struct outcome fdlife_dup_onto(int from, int to, int flags, int (*call)(int, int, int));

/* A file that is not ours was duplicated to `fd`: what is known of `from` goes along. */
void fdlife_copied(int from, int fd);

/* A number that is no object's is closed, or about to be; `entry` is what it was. */
void fdlife_closed(int fd, uint64_t entry);

/* close_range(2), with the library's fds spared. */
struct outcome fdlife_close_range(unsigned first, unsigned last, unsigned flags);

#endif
