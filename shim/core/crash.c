#include "core/crash.h"

/* Built for the crash-point test alone. */
#ifdef EFDSHIM_CRASH_POINTS
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "sys/raw.h"

/* How often the point that is asked for was reached. */
static _Atomic int reached;

static void list(const char *path, const char *name)
{
	char space[64];
	struct text line = text_in(space, sizeof(space));
	int fd = raw_openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);

	text_string(&line, name);
	text_string(&line, "\n");
	raw_write(fd, line.start, line.used);
	raw_close(fd);
}

/* EFDSHIM_CRASH_AT is NAME or NAME:N; EFDSHIM_CRASH_LIST a file that gets the names. */
void crash_point(const char *name)
{
	const char *at = getenv("EFDSHIM_CRASH_AT");
	const char *path = getenv("EFDSHIM_CRASH_LIST");
	size_t length = strlen(name);
	int turn = 1;

	if (path)
		list(path, name);
	if (!at || strncmp(at, name, length) != 0 || (at[length] && at[length] != ':'))
		return;
	if (at[length])
		turn = atoi(at + length + 1);
	if (atomic_fetch_add(&reached, 1) + 1 == turn)
		raw_syscall3(SYS_kill, raw_getpid(), SIGKILL, 0);
}
#endif
