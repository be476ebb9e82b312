#include "core/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/statfs.h>

#include "core/asyncring.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/process.h"
#include "core/setid.h"
#include "core/classfd.h"
#include "core/config.h"
#include "core/fifo.h"
#include "core/store.h"
#include "core/text.h"
#include "sys/numbers.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { LINK_BYTES = 512, LIST_BYTES = 2048, WITHOUT_PROC = 1024 };

#define PIPEFS_MAGIC 0x50495045

/* What getdents64 fills in. */
struct listed {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static long link_of(int fd, char *target)
{
	char space[32];
	struct text name = text_in(space, sizeof(space));
	long n;

	text_string(&name, "/proc/self/fd/");
	text_number(&name, (uint64_t)fd, 10);
	n = raw_syscall6(SYS_readlinkat, AT_FDCWD, (long)space, (long)target, LINK_BYTES - 1, 0, 0);
	if (n > 0)
		target[n] = 0;
	return n;
}

/* The slot and class by the FIFO's name; where there is no /proc, by its inode number. */
static bool locate(int fd, const struct stat *st, uint32_t *slot, unsigned *class)
{
	char target[LINK_BYTES];
	long n = link_of(fd, target);
	int found;

	if (n > 0)
		return fifo_is_name(target) && !object_prepare() &&
		       fifo_of_link(target, (size_t)n, slot, class);
	if (object_prepare() || !store_holds(st))
		return false;
	found = slotpool_of_inode(st->st_ino);
	*slot = (uint32_t)found;
	*class = CLASS_IN;
	return found >= 0;
}

static bool file_of(int fd, struct stat *st)
{
	return fd >= 0 && !raw_syscall3(SYS_fstat, fd, (long)st, 0);
}

/* Those are told without a look into /proc, which costs as much as ten other calls. */
static bool is_anonymous_pipe(int fd)
{
	struct statfs fs;

	return !raw_syscall3(SYS_fstatfs, fd, (long)&fs, 0) && fs.f_type == PIPEFS_MAGIC;
}

/* What FIFO of the store is open as fd: the living object, and of which class. */
static bool identify(int fd, const struct stat *st, struct fdref *ref, unsigned *class)
{
	uint32_t slot;

	if (!S_ISFIFO(st->st_mode) || !st->st_nlink || is_anonymous_pipe(fd))
		return false;
	config_load(); /* the library's constructor may not have run */
	if (!locate(fd, st, &slot, class))
		return false;
	*ref = (struct fdref){.fd = fd, .slot = slot, .object = slotpool_slot(slot)};
	if (!ref->object || (*class == CLASS_IN && atomic_load(&ref->object->inode) != st->st_ino))
		return false;
	ref->generation = slot_generation(atomic_load(&ref->object->life));
	return slot_lives_as(ref->object, ref->generation);
}

bool adopt_identify(int fd, struct fdref *ref)
{
	struct stat st;
	unsigned class;

	return file_of(fd, &st) && identify(fd, &st, ref, &class) && class == CLASS_IN;
}

/* Others have it too, who may not know the shim: they shall see its level. */
static void show(const struct fdref *ref)
{
	if (slot_is_ring(ref->object))
		asyncring_adopted(ref);
	else if (!slot_is_mask(ref->object) && !slot_is_signal(ref->object))
		mirror_show(ref);
}

static void take_in(int fd, const struct stat *st)
{
	struct fdref ref;
	unsigned class;

	if (!identify(fd, st, &ref, &class))
		return;
	if (class == CLASS_IN && fdtable_kind(fd) == FD_OBJECT)
		return; /* made before the library's constructor ran */
	if (class != CLASS_IN)
		classfd_inherit(ref.slot, ref.generation, class, fd);
	else if (object_adopt(&ref) && object_is(&fd, &ref))
		show(&ref);
}

static bool is_set(int fd, const struct stat *st)
{
	static const char set[] = "anon_inode:[eventpoll]";
	char target[LINK_BYTES];

	return !(st->st_mode & S_IFMT) && link_of(fd, target) > 0 && !strcmp(target, set);
}

/* A set that came along may hold watches of objects that this process has no fd of. */
static void take_in_set(int fd)
{
	config_load();
	if (!object_prepare())
		setid_of(fd);
}

static void take_in_any(int fd)
{
	struct stat st;

	if (!file_of(fd, &st))
		return;
	if (is_set(fd, &st))
		take_in_set(fd);
	else
		take_in(fd, &st);
}

int adopt_number(int fd)
{
	if (fd < 0 || process_borrows_memory())
		return fd;
	fdtable_drop(fd);
	take_in_any(fd);
	return fd;
}

static bool take_in_listed(int list)
{
	_Alignas(8) char space[LIST_BYTES];
	long n = raw_syscall3(SYS_getdents64, list, (long)space, sizeof(space));

	for (long at = 0; at < n;) {
		const struct listed *entry = (const struct listed *)(const void *)(space + at);
		const char *name = entry->name;
		int fd = text_parse_int(&name);

		if (fd >= 0 && fd != list)
			take_in_any(fd);
		at += entry->length;
	}
	return n > 0;
}

static void take_in_up_to(int end)
{
	for (int fd = 0; fd < end; fd++) {
		if (raw_fcntl(fd, F_GETFD, 0) != -EBADF)
			take_in_any(fd);
	}
}

/* One call tells which are open, but where the limit is lower. */
static void take_in_few(void)
{
	struct pollfd asked[NUMBERS_FEW];

	for (int fd = 0; fd < NUMBERS_FEW; fd++)
		asked[fd] = (struct pollfd){.fd = fd};
	if (raw_poll_now(asked, NUMBERS_FEW) < 0) {
		take_in_up_to(NUMBERS_FEW);
		return;
	}
	for (int fd = 0; fd < NUMBERS_FEW; fd++) {
		if (!(asked[fd].revents & POLLNVAL))
			take_in_any(fd);
	}
}

void adopt_inherited(void)
{
	int list;

	if (numbers_are_few()) { /* to ask for each is cheaper than to list them */
		take_in_few();
		return;
	}
	list = passing_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (list >= 0) {
		while (take_in_listed(list))
			;
		passing_close(list);
		return;
	}
	take_in_up_to(WITHOUT_PROC);
}

void adopt_anew(void)
{
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		if (fdtable_kind((int)fd) != FD_INTERNAL)
			fdtable_drop((int)fd);
	}
	adopt_inherited();
}

/* By the file itself: its name may have changed, or not lead there from here. */
static bool still_open_as(int fd, const struct fdref *ref)
{
	struct stat st;

	return !raw_syscall3(SYS_fstat, fd, (long)&st, 0) && S_ISFIFO(st.st_mode) &&
	       st.st_ino == atomic_load(&ref->object->inode) && store_holds(&st);
}

void adopt_check(int fd)
{
	struct fdref known;
	int number = fd;

	if (!object_is(&number, &known) || process_borrows_memory() || still_open_as(fd, &known))
		return;
	if (fdtable_drop_stale(fd, known.entry))
		object_replaced(&known);
}
