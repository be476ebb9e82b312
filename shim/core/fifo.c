#include "core/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/slot.h"
#include "core/store.h"
#include "core/text.h"
#include "sys/passing.h"
#include "sys/older.h"
#include "sys/raw.h"

enum { NAME_BYTES = 48, TAG_DIGITS = 8, FIFO_BYTES = 8192, LARGE_FIFOS = 64, TRIES = 16 };

/* The segment's tag; written once before the first FIFO is opened. */
static _Atomic uint32_t fifo_tag;

void fifo_set_tag(uint32_t tag)
{
	atomic_store(&fifo_tag, tag);
}

/* An object's own FIFO is <tag>.<slot>; those of its other classes are <tag>.<slot>.<class>. */
static void fifo_name(char *space, uint32_t slot, unsigned class)
{
	struct text name = text_in(space, NAME_BYTES);

	text_number(&name, atomic_load(&fifo_tag), 16);
	text_string(&name, ".");
	text_number(&name, slot, 10);
	if (class == CLASS_IN)
		return;
	text_string(&name, ".");
	text_number(&name, class, 10);
}

static int make_fifo(const char *name, int flags, uint64_t *inode)
{
	struct stat st;
	int dir, fd;

	if (!store_found_again())
		return -EBADF;
	dir = store_directory();
	long made = raw_syscall6(SYS_mknodat, dir, (long)name, S_IFIFO | 0600, 0, 0, 0);
	if (made && made != -EEXIST)
		return (int)made;
	fd = raw_openat(dir, name, flags, 0);
	if (fd == -EACCES) { /* made under a umask that takes the owner's rights */
		raw_syscall3(SYS_fchmodat, dir, (long)name, 0600);
		fd = raw_openat(dir, name, flags, 0);
	}
	if (fd < 0)
		return fd;
	if (raw_syscall3(SYS_fstat, fd, (long)&st, 0) || !S_ISFIFO(st.st_mode) ||
		st.st_uid != geteuid()) {
		raw_close(fd);
		return -EACCES;
	}
	*inode = st.st_ino;
	return fd;
}

int fifo_open(uint32_t slot, unsigned class, int flags, uint64_t *inode)
{
	char name[NAME_BYTES];
	int fd;

	flags |= O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_NOATIME;
	fifo_name(name, slot, class);
	fd = *inode ? raw_openat(store_directory(), name, flags, 0) : -ENOENT;
	if (fd == -ENOENT || fd == -EBADF || fd == -ENOTDIR)
		fd = make_fifo(name, flags, inode);
	if (fd >= 0 && (flags & O_CLOEXEC))
		older_opened(fd);
	return fd;
}

int fifo_open_passing(uint32_t slot, unsigned class, uint64_t *inode)
{
	int fd = -EBUSY;

	for (int i = 0; i < TRIES && fd == -EBUSY; i++) {
		bool begun = passing_begin();

		fd = passing_got(begun, fifo_open(slot, class, O_CLOEXEC, inode));
	}
	return fd;
}

/* The smallest pipe that holds a byte and has room: what it has more costs a kilobyte each, and the
 * user's other pipes their size. A few may cost that, and save the call. Later it would be an edge
 * for whoever watches. */
int fifo_open_new(uint32_t slot, int flags, uint64_t *inode)
{
	int fd = fifo_open(slot, CLASS_IN, flags, inode);

	if (fd >= 0 && slot >= LARGE_FIFOS)
		raw_fcntl(fd, F_SETPIPE_SZ, FIFO_BYTES);
	return fd;
}

int fifo_open_reader(uint32_t slot)
{
	char name[NAME_BYTES];

	fifo_name(name, slot, CLASS_IN);
	return passing_openat(
		store_directory(), name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
}

void fifo_retire(uint32_t slot, unsigned class)
{
	char name[NAME_BYTES];
	static char sink[4096]; /* nobody looks at it, and a handler's stack may be small */
	int fd;

	fifo_name(name, slot, class);
	fd = passing_openat(
		store_directory(), name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	store_unlink(name);
	while (raw_read(fd, sink, sizeof(sink)) > 0)
		;
	passing_close(fd);
}

enum liveness fifo_liveness(uint32_t slot)
{
	char name[NAME_BYTES];
	int fd;

	fifo_name(name, slot, CLASS_IN);
	fd = passing_openat(
		store_directory(), name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd >= 0) {
		passing_close(fd);
		return LIVE_SOMEWHERE;
	}
	return fd == -ENXIO ? LIVE_NOWHERE : LIVE_UNKNOWN;
}

bool fifo_is_name(const char *target)
{
	const char *name = strrchr(target, '/');
	size_t digits;

	if (!name)
		return false;
	name++;
	digits = strspn(name, "0123456789abcdef");
	return digits == TAG_DIGITS && name[digits] == '.' && name[digits + 1] >= '0' &&
	       name[digits + 1] <= '9';
}

/* What is between the directory and the end of the path. */
static bool name_in_link(const char *target, size_t length, char name[NAME_BYTES])
{
	size_t head = store_path_length() + 1;

	if (length <= head || length - head >= NAME_BYTES || !store_prefixes(target, length))
		return false;
	memcpy(name, target + head, length - head);
	name[length - head] = 0;
	return true;
}

bool fifo_of_link(const char *target, size_t length, uint32_t *slot, unsigned *class)
{
	char name[NAME_BYTES], ours[NAME_BYTES];
	const char *at;
	int number;

	if (!name_in_link(target, length, name) || !(at = strchr(name, '.')))
		return false;
	at++;
	number = text_parse_int(&at);
	if (number < 0)
		return false;
	*slot = (uint32_t)number;
	*class = CLASS_IN;
	if (*at == '.') {
		at++;
		number = text_parse_int(&at);
		if (number <= CLASS_IN || number >= CLASS_COUNT)
			return false;
		*class = (unsigned)number;
	}
	fifo_name(ours, *slot, *class);
	return !strncmp(name, ours, strlen(ours)) &&
	       (!name[strlen(ours)] || !strcmp(name + strlen(ours), " (deleted)"));
}

int fifo_slot_of_link(const char *target, size_t length)
{
	unsigned class;
	uint32_t slot;

	return fifo_of_link(target, length, &slot, &class) && class == CLASS_IN ? (int)slot : -1;
}
