#include "core/efdfile.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/internal.h"
#include "core/object.h"
#include "core/slotpool.h"
#include "sys/raw.h"
#include "sys/sparse.h"

enum { FILES = 1 << 20 };

struct efd_file {
	/* The object's entry, as of a number in the table; 0 while this is no reference. Written
	 * last by get, and first by put. */
	_Atomic uint64_t entry;
	/* Of a strong one the library's duplicate of the fd, -1 of a weak one. Written by get, and
	 * where the number changes. */
	_Atomic int fd;
	/* While it is free: the index + 1 of the next free one. */
	_Atomic uint32_t next;
};

/* Published by the first get, then constant. */
static _Atomic(struct efd_file *) files;

/* One above the highest that ever was used. */
static _Atomic uint32_t top;

/* The first free one, index + 1, and above it how often one was taken or given. Moved by
 * compare-and-swap. */
static _Atomic uint64_t free_files;
#define FREE_STEP (1ull << 32)

static int open_files(void)
{
	size_t bytes = FILES * sizeof(struct efd_file);
	struct efd_file *none = NULL;
	long map;

	if (atomic_load(&files))
		return 0;
	map = sparse_map(bytes, -1);
	if (map < 0)
		return (int)-map;
	if (!atomic_compare_exchange_strong(&files, &none, (struct efd_file *)map))
		raw_syscall3(SYS_munmap, map, (long)bytes, 0);
	return 0;
}

static struct efd_file *file_at(uint32_t index)
{
	return atomic_load_explicit(&files, memory_order_acquire) + index;
}

static struct efd_file *take_new(void)
{
	uint32_t index = atomic_load(&top);

	do {
		if (index == FILES)
			return NULL;
	} while (!atomic_compare_exchange_weak(&top, &index, index + 1));
	return file_at(index);
}

static struct efd_file *take(void)
{
	uint64_t head = atomic_load(&free_files), after;
	struct efd_file *file;

	do {
		if (!(uint32_t)head)
			return take_new();
		file = file_at((uint32_t)head - 1);
		after = ((head & ~(FREE_STEP - 1)) + FREE_STEP) | atomic_load(&file->next);
	} while (!atomic_compare_exchange_weak(&free_files, &head, after));
	return file;
}

static void give(struct efd_file *file)
{
	uint32_t index = (uint32_t)(file - file_at(0));
	uint64_t head = atomic_load(&free_files), after;

	do {
		atomic_store(&file->next, (uint32_t)head);
		after = ((head & ~(FREE_STEP - 1)) + FREE_STEP) | (index + 1);
	} while (!atomic_compare_exchange_weak(&free_files, &head, after));
}

/* A duplicate: to the kernel it is the same file, which stays in the epoll sets it is in. */
static int hold_object(const struct fdref *ref, int *fd)
{
	int high;

	if (!fdtable_pin(ref))
		return EBADF;
	high = internal_dup(ref->fd);
	if (high >= 0 && object_hold_living(ref))
		*fd = high;
	else if (high >= 0)
		internal_close(high);
	object_unpin(ref);
	if (high < 0)
		return -high;
	return *fd < 0 ? EBADF : 0;
}

struct efd_file *efdfile_get(const struct fdref *ref, enum efd_hold hold, int *err)
{
	struct efd_file *file;
	int fd = -1;

	*err = open_files();
	file = *err ? NULL : take();
	if (!file) {
		*err = ENOMEM;
		return NULL;
	}
	*err = hold == EFD_STRONG ? hold_object(ref, &fd) : 0;
	if (*err) {
		give(file);
		return NULL;
	}
	atomic_store(&file->fd, fd);
	atomic_store(&file->entry, fdtable_object_entry(ref->slot, ref->generation));
	return file;
}

static void fill(uint64_t entry, int fd, struct fdref *ref)
{
	fdtable_decode(fd, entry, ref);
	ref->object = slotpool_slots + ref->slot;
	ref->entry |= FDREF_LENT;
}

bool efdfile_ref(const struct efd_file *file, struct fdref *ref)
{
	uint64_t entry = file ? atomic_load(&file->entry) : 0;

	if (!entry)
		return false;
	fill(entry, atomic_load(&file->fd), ref);
	return true;
}

void efdfile_put(struct efd_file *file)
{
	uint64_t entry = file ? atomic_exchange(&file->entry, 0) : 0;
	struct fdref ref;
	int fd;

	if (!entry)
		return;
	fd = atomic_exchange(&file->fd, -1);
	fill(entry, fd, &ref);
	give(file);
	if (fd < 0)
		return;
	internal_close(fd);
	object_release(&ref);
}

void efdfile_each(void (*act)(const struct fdref *ref))
{
	for (uint32_t i = 0; i < atomic_load(&top); i++) {
		struct fdref ref;

		if (efdfile_ref(file_at(i), &ref) && ref.fd >= 0)
			act(&ref);
	}
}

void efdfile_moved(int from, int to)
{
	for (uint32_t i = 0; i < atomic_load(&top); i++) {
		int fd = from;

		if (atomic_load(&file_at(i)->entry))
			atomic_compare_exchange_strong(&file_at(i)->fd, &fd, to);
	}
}
