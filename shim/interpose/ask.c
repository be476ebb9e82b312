#include "interpose/ask.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "core/fdinfo.h"
#include "core/oddio.h"
#include "sys/decoy.h"
#include "sys/raw.h"

enum { ARGS = 6 };

/* A number that is not open must not become the decoy's. */
static void spare_decoy(long args[ARGS], unsigned others)
{
	for (unsigned i = 0; i < ARGS; i++) {
		if ((others & 1u << i) && raw_fcntl((int)args[i], F_GETFD, 0) < 0)
			args[i] = -1;
	}
}

/* libc's functions for these act on a pending cancellation. */
static bool is_cancellation_point(long nr)
{
	switch (nr) {
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_pread64:
	case SYS_pwrite64:
	case SYS_preadv:
	case SYS_pwritev:
	case SYS_fallocate:
	case SYS_sync_file_range:
	case SYS_splice:
	case SYS_tee:
	case SYS_vmsplice:
	case SYS_copy_file_range:
		return true;
	default:
		return false;
	}
}

long ask(long nr, const long args[6], unsigned fds)
{
	long a[ARGS];
	unsigned fakes = 0;

	for (unsigned i = 0; i < ARGS; i++) {
		struct fdref ref;
		int fd = (int)args[i];

		a[i] = args[i];
		if (!(fds & 1u << i))
			continue;
		if (object_is(&fd, &ref))
			fakes |= 1u << i;
		a[i] = fd;
	}
	if (nr == SYS_lseek || nr == SYS_pread64)
		fdinfo_refresh((int)a[0]);
	if (is_cancellation_point(nr))
		pthread_testcancel();
	if (!fakes)
		return real()->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	spare_decoy(a, fds & ~fakes);
	return outcome_return(oddio_ask(nr, a, fakes));
}

int ask_begin(int fd)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return fd;
	return decoy_alike();
}

void ask_end(int fd, int asked)
{
	if (asked >= 0 && asked != fd)
		decoy_close(asked);
}
