#include "core/classfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/fdtable.h"
#include "core/internal.h"
#include "core/local.h"
#include "core/fifo.h"
#include "core/store.h"
#include "sys/raw.h"

enum { EXTRAS = 256 };

/* An extra number: fd + 1 in the low half, slot in the high half; 0 is free. Taken and freed by
 * compare-and-swap. */
static _Atomic uint64_t extras[EXTRAS];

/* One above the highest slot that ever had a class fd here; for classfd_moved. */
static _Atomic uint32_t top;

static int fd_in(uint64_t word)
{
	return (int)(uint32_t)word - 1;
}

static uint64_t word_of(uint32_t generation, int fd)
{
	return (uint64_t)generation << 32 | (uint32_t)(fd + 1);
}

static int open_class(uint32_t slot, unsigned class)
{
	uint64_t made = 1; /* class FIFOs stay in the directory: try to open first */
	int fd = fifo_open_passing(slot, class, &made);

	return fd < 0 ? fd : internal_adopt(fd);
}

static void raise_top(uint32_t slot)
{
	uint32_t seen = atomic_load(&top);

	while (seen <= slot && !atomic_compare_exchange_weak(&top, &seen, slot + 1))
		;
}

int classfd_get(uint32_t slot, uint32_t generation, unsigned class)
{
	_Atomic uint64_t *word = &local_of(slot)->class_fd[class];
	uint64_t known = atomic_load(word);
	int fd;

	if (known && known >> 32 == generation && fdtable_kind(fd_in(known)) == FD_INTERNAL)
		return fd_in(known);
	fd = open_class(slot, class);
	if (fd < 0)
		return fd;
	raise_top(slot);
	if (!atomic_compare_exchange_strong(word, &known, word_of(generation, fd))) {
		internal_close(fd); /* another thread, or a handler, was faster */
		return known >> 32 == generation ? fd_in(known) : -EAGAIN;
	}
	if (known)
		internal_close(fd_in(known)); /* of the object that had the slot before, or lost */
	return fd;
}

/* The fd, or -ENOSPC, and it is closed. */
static int note_extra(uint32_t slot, int fd)
{
	for (int i = 0; i < EXTRAS; i++) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(
			    &extras[i], &none, (uint64_t)slot << 32 | (uint32_t)(fd + 1)))
			return fd;
	}
	internal_close(fd);
	return -ENOSPC;
}

int classfd_extra(uint32_t slot, uint32_t generation, unsigned class)
{
	int fd = classfd_get(slot, generation, class);

	if (fd < 0)
		return fd;
	fd = internal_dup(fd);
	return fd < 0 ? fd : note_extra(slot, fd);
}

bool classfd_is(uint32_t slot, uint32_t generation, int fd)
{
	for (unsigned class = 0; class < CLASS_COUNT; class ++) {
		if (atomic_load(&local_of(slot)->class_fd[class]) == word_of(generation, fd))
			return true;
	}
	return false;
}

void classfd_inherit(uint32_t slot, uint32_t generation, unsigned class, int fd)
{
	uint64_t none = 0;

	raw_fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!fdtable_set_internal(fd))
		return;
	raise_top(slot);
	if (!atomic_compare_exchange_strong(
		    &local_of(slot)->class_fd[class], &none, word_of(generation, fd)))
		note_extra(slot, fd);
}

void classfd_forget_class(uint32_t slot, uint32_t generation, unsigned class)
{
	_Atomic uint64_t *word = &local_of(slot)->class_fd[class];
	uint64_t known = atomic_load(word);

	if (known && known >> 32 == generation && atomic_compare_exchange_strong(word, &known, 0))
		internal_close(fd_in(known));
}

void classfd_forget(uint32_t slot, uint32_t generation)
{
	for (unsigned class = 0; class < CLASS_COUNT; class ++)
		classfd_forget_class(slot, generation, class);
	for (int i = 0; i < EXTRAS; i++) {
		uint64_t known = atomic_load(&extras[i]);

		if (known && known >> 32 == slot &&
			atomic_compare_exchange_strong(&extras[i], &known, 0))
			internal_close(fd_in(known));
	}
}

static void replace(_Atomic uint64_t *word, int from, int to)
{
	uint64_t known = atomic_load(word);

	if (known && fd_in(known) == from)
		atomic_compare_exchange_strong(
			word, &known, (known & ~0xffffffffull) | (uint32_t)(to + 1));
}

void classfd_moved(int from, int to)
{
	for (uint32_t slot = 0; slot < atomic_load(&top); slot++) {
		for (unsigned class = 0; class < CLASS_COUNT; class ++)
			replace(&local_of(slot)->class_fd[class], from, to);
	}
	for (int i = 0; i < EXTRAS; i++)
		replace(&extras[i], from, to);
}
