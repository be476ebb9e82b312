#include "core/procfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/fdinfo.h"
#include "core/fdtable.h"
#include "core/oddio.h"
#include "core/process.h"
#include "core/slotpool.h"
#include "core/fifo.h"
#include "core/store.h"
#include "core/text.h"
#include "core/usermem.h"
#include "sys/decoy.h"
#include "sys/older.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { LINK_MAX_BYTES = 512, NAME_BYTES = 32 };

/* What the link of a fake fd says in the kernel's place. */
static const char *link_text(int index)
{
	const struct slot *slot = slotpool_slot((uint32_t)index);

	if (slot && slot_is_signal(slot))
		return "anon_inode:[signalfd]";
	if (slot && slot_is_timer(slot))
		return "anon_inode:[timerfd]";
	return slot && slot_is_ring(slot) ? "anon_inode:[asyncfd]" : "anon_inode:[eventfd]";
}

/* Whether the path could lead there: its last part is a number, or a standard stream of /dev. */
static bool candidate(const char *path)
{
	size_t n = path ? strlen(path) : 0, digits = 0;

	while (digits < n && path[n - 1 - digits] >= '0' && path[n - 1 - digits] <= '9')
		digits++;
	if (digits)
		return digits == n || path[n - 1 - digits] == '/';
	return n && !strncmp(path, "/dev/std", strlen("/dev/std"));
}

static void own_link(char *space, int fd)
{
	struct text name = text_in(space, NAME_BYTES);

	text_string(&name, "/proc/self/fd/");
	text_number(&name, (uint64_t)fd, 10);
}

static long read_link(int dir, const char *path, char *target, size_t size)
{
	return raw_syscall6(SYS_readlinkat, dir, (long)path, (long)target, (long)size, 0, 0);
}

static long link_of(int fd, char *target, size_t size)
{
	char name[NAME_BYTES];

	own_link(name, fd);
	return read_link(AT_FDCWD, name, target, size);
}

/* Puts the file of `from` in the place of `to`'s, and closes `from`. */
static void replace(int from, int to)
{
	int cloexec = raw_fcntl(to, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0;

	if (raw_syscall3(SYS_dup3, from, to, cloexec) == -ENOSYS)
		older_dup3(from, to, cloexec);
	passing_close(from);
}

/* An eventfd's link was opened: usually that fails, but O_PATH opens it. */
static int open_as_eventfd(int fd, int flags)
{
	char name[NAME_BYTES];
	int decoy = decoy_alike();
	int opened;

	if (decoy < 0)
		return ENXIO;
	own_link(name, decoy);
	opened = passing_openat(AT_FDCWD, name, flags, 0);
	decoy_close(decoy);
	if (opened < 0)
		return -opened;
	replace(opened, fd);
	return 0;
}

int procfd_opened(int fd, const char *path, int flags)
{
	char target[LINK_MAX_BYTES];
	uint32_t slot;
	long n;
	int info;

	if (!fdtable_used() || !candidate(path))
		return 0;
	n = link_of(fd, target, sizeof(target) - 1);
	if (n <= 0)
		return 0;
	target[n] = 0;
	if (fifo_slot_of_link(target, (size_t)n) >= 0)
		return open_as_eventfd(fd, flags);
	info = fdinfo_open(fd, target, &slot);
	if (info < 0)
		return 0;
	replace(info, fd);
	if (!process_borrows_memory())
		fdtable_set_info(fd, slot);
	return 0;
}

/* Whether `path` leads to a fake fd's FIFO. */
static bool leads_to_fifo(int dir, const char *path)
{
	char target[LINK_MAX_BYTES];
	long n;
	int fd;

	if (!fdtable_used() || !candidate(path))
		return false;
	/* before 2.6.39 there is no O_PATH: it opens, and must not wait for a writer */
	fd = passing_openat(dir, path, O_PATH | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = link_of(fd, target, sizeof(target));
	passing_close(fd);
	return n > 0 && fifo_slot_of_link(target, (size_t)n) >= 0;
}

struct outcome procfd_stat(int dir, const char *path, struct stat *st, int flags)
{
	if ((flags & AT_SYMLINK_NOFOLLOW) || !S_ISFIFO(st->st_mode) || !leads_to_fifo(dir, path))
		return outcome_ok(0);
	return oddio_ask(SYS_fstat, (const long[6]){-1, (long)st}, 1);
}

/* The kernel's struct statx as far as the mode: not every libc has it. */
struct statx_head {
	uint32_t mask, block_size;
	uint64_t attributes;
	uint32_t links, uid, gid;
	uint16_t mode;
};

struct outcome procfd_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	const struct statx_head *head = (const struct statx_head *)(const void *)st;

	if ((flags & AT_SYMLINK_NOFOLLOW) || !S_ISFIFO(head->mode) || !leads_to_fifo(dir, path))
		return outcome_ok(0);
	flags |= AT_EMPTY_PATH;
	return oddio_ask(SYS_statx, (const long[6]){-1, (long)"", flags, mask, (long)st}, 1);
}

bool procfd_readlink(int dir, const char *path, char *buf, size_t size, struct outcome *answer)
{
	char target[LINK_MAX_BYTES];
	const char *text;
	size_t length;
	int index;
	long n;

	if (!fdtable_used() || (int)size <= 0)
		return false;
	n = read_link(dir, path, target, sizeof(target));
	index = n > 0 ? fifo_slot_of_link(target, (size_t)n) : -1;
	if (index < 0)
		return false;
	text = link_text(index);
	length = strlen(text);
	if (length > size)
		length = size;
	*answer = outcome_ok((long)length);
	if (!usermem_store(buf, text, length))
		*answer = outcome_err(EFAULT);
	return true;
}
