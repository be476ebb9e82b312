#include "needs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "core/config.h"
#include "core/object.h"
#include "state.h"
#include "sys/raw.h"

enum { TMPFS = 0x01021994, RAMFS = 0x858458f6, FILTER_MODE = 2 };

__attribute__((format(printf, 3, 4))) static bool say(
	char why[WHY_SIZE], bool met, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, WHY_SIZE, format, arguments);
	va_end(arguments);
	return met;
}

/* A name in `parent` for a directory of a moment; false where none can be made there. */
static bool make_beside(const char *parent, char path[PATH_MAX])
{
	int n = parent ? snprintf(path, PATH_MAX, "%s/efdshim-doctor-XXXXXX", parent) : 0;

	return n > 0 && n < PATH_MAX && mkdtemp(path);
}

static bool writable(const char *directory)
{
	char path[PATH_MAX];

	return make_beside(directory, path) && !rmdir(path);
}

/* Where the directory is or would be made; NULL where it cannot be. */
static const char *parent_of_state(void)
{
	static char parent[PATH_MAX];
	const char *path = config.dir ? config.dir : state_find();
	size_t n = path ? strlen(path) : 0;

	if (!n)
		return writable("/dev/shm")	  ? "/dev/shm"
		       : writable(config.runtime) ? config.runtime
		       : writable("/tmp")	  ? "/tmp"
						  : NULL;
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 1 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= sizeof(parent))
		return NULL;
	memcpy(parent, path, n);
	parent[n] = 0;
	return parent;
}

/* What is there is opened as programs open it; what is not is not made. */
static bool met_directory(char why[WHY_SIZE])
{
	const char *path = state_find();
	const char *parent;

	if (path) {
		int err = object_prepare();

		return say(why, !err, "%s%s%s", path, err ? ": " : "",
			!err		? ""
			: err == EACCES ? "not a private directory of this user"
					: strerror(err));
	}
	parent = parent_of_state();
	if (config.dir && !writable(parent))
		return say(why, false, "%s: cannot be made: %s", config.dir, strerror(errno));
	if (config.dir)
		return say(why, true, "%s: to be made", config.dir);
	if (!parent)
		return say(why, false, "no directory can be written (EFDSHIM_DIR names another)");
	return say(why, true, "to be made in %s", parent);
}

static bool met_tmpfs(char why[WHY_SIZE])
{
	struct statfs fs;
	const char *path = state_find();

	if (!path)
		path = parent_of_state();
	if (!path)
		path = "/dev/shm";
	if (statfs(path, &fs) != 0)
		return say(why, false, "%s: %s", path, strerror(errno));
	if ((unsigned long)fs.f_type == TMPFS || (unsigned long)fs.f_type == RAMFS)
		return say(why, true, "%s is memory", path);
	return say(why, false, "%s is on a disk: works, but may be slower", path);
}

static bool met_fifo(char why[WHY_SIZE])
{
	char path[PATH_MAX], fifo[PATH_MAX + 8];
	const char *parent = parent_of_state();
	int fd = -1, err = 0;

	if (!make_beside(parent, path))
		return say(why, true, "not tried: %s cannot be written", parent ? parent : "/tmp");
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	if (mkfifo(fifo, 0600) == 0)
		fd = open(fifo, O_RDWR | O_NONBLOCK);
	err = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	unlink(fifo);
	rmdir(path);
	return say(why, !err, "%s", err ? strerror(err) : "made and opened for both ways");
}

static bool met_shared_memory(char why[WHY_SIZE])
{
	uint32_t *word = mmap(
		NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long ret = -errno;

	if (word != MAP_FAILED) {
		ret = raw_futex(word, FUTEX_WAKE, 1);
		munmap(word, sizeof(*word));
	}
	return say(why, ret >= 0, "%s", ret >= 0 ? "between processes" : strerror((int)-ret));
}

static bool met_swap(char why[WHY_SIZE])
{
#if defined(__x86_64__)
	unsigned a, b, c = 0, d;
	bool has = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_CMPXCHG16B);

	return say(why, has, has ? "cmpxchg16b" : "this processor has no cmpxchg16b");
#else
	return say(why, true, "ldaxp and stlxp");
#endif
}

static bool met_proc(char why[WHY_SIZE])
{
	bool is_there = access("/proc/self/fd", R_OK | X_OK) == 0;

	return say(why, is_there,
		is_there ? "/proc/self/fd can be read"
			 : "not mounted: no walk of the fds, no names of them");
}

/* Without a filter this is a bad address where filters are known. */
static bool met_seccomp(char why[WHY_SIZE])
{
	bool has = prctl(PR_SET_SECCOMP, FILTER_MODE, NULL) != 0 && errno == EFAULT;

	return say(why, has,
		has ? "for run --as-kernel" : "run --as-kernel is refused; all else works");
}

const struct need needs[] = {
	{"directory", met_directory, true},
	{"directory in memory", met_tmpfs, false},
	{"FIFO", met_fifo, true},
	{"futex in shared memory", met_shared_memory, true},
	{"16-byte compare-and-swap", met_swap, true},
	{"/proc", met_proc, false},
	{"seccomp filter", met_seccomp, false},
};

const unsigned need_count = sizeof(needs) / sizeof(needs[0]);
