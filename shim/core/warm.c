#include "core/warm.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "core/crash.h"
#include "core/fdtable.h"
#include "core/fifo.h"
#include "core/internal.h"
#include "core/process.h"
#include "core/slotpool.h"
#include "core/stats.h"
#include "core/store.h"
#include "sys/raw.h"

/* A process that makes few objects keeps nothing. */
enum { FEW = 2 };

/* The slot, and the fd + 1 that has its FIFO open for reading; 0 where there is none, or while a
 * thread is looking at it. Taken by exchange. */
static _Atomic uint64_t kept;

/* The slot, while it is free for the next object, and its life. Taken by exchange. */
static _Atomic uint64_t idle;

/* Objects that died here; moved by whoever closed the last fd. */
static _Atomic uint32_t deaths;

static uint64_t word_of(uint32_t slot, uint32_t low)
{
	return (uint64_t)slot << 32 | low;
}

static uint32_t slot_in(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static int fd_in(uint64_t word)
{
	return (int)(uint32_t)word - 1;
}

/* Other threads and handlers find nothing meanwhile. */
static bool take_kept(uint32_t slot, uint64_t *word)
{
	*word = atomic_load(&kept);
	return *word && slot_in(*word) == slot && atomic_compare_exchange_strong(&kept, word, 0);
}

void warm_forget(uint32_t slot)
{
	uint64_t word;

	if (take_kept(slot, &word))
		internal_close(fd_in(word));
}

void warm_moved(int from, int to)
{
	uint64_t word = atomic_load(&kept);

	if (word && fd_in(word) == from)
		atomic_compare_exchange_strong(
			&kept, &word, word_of(slot_in(word), (uint32_t)(to + 1)));
}

/* What the slot is used for next is shared; its life says who was first, even where a process was
 * forked behind our back. */
uint32_t warm_take(void)
{
	uint64_t word = atomic_load(&idle) ? atomic_exchange(&idle, 0) : 0;
	uint32_t slot = slot_in(word);

	if (!slot)
		return 0;
	if (slotpool_again(slot, (uint32_t)word))
		return slot;
	warm_forget(slot);
	return 0;
}

/* The number may have been closed behind our back, and be anything by now. */
static bool is_fifo_of(int fd, const struct slot *slot)
{
	struct stat st;

	stats_syscall();
	return fdtable_kind(fd) == FD_INTERNAL && !raw_syscall3(SYS_fstat, fd, (long)&st, 0) &&
	       S_ISFIFO(st.st_mode) && st.st_ino == atomic_load(&slot->inode) && store_holds(&st);
}

/* Nobody has it open for writing, and there is nothing in it. */
static bool is_left(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	stats_syscall();
	raw_poll_now(&entry, 1);
	return entry.revents == POLLHUP;
}

static void keep_idle(uint32_t slot, int fd, uint32_t life)
{
	uint64_t none = 0;

	if (!atomic_compare_exchange_strong(&kept, &none, word_of(slot, (uint32_t)(fd + 1)))) {
		internal_close(fd); /* a handler, or another thread, keeps another one */
		slotpool_give(slot);
		return;
	}
	CRASH_POINT("warm.kept");
	atomic_store(&idle, word_of(slot, life));
}

bool warm_keep(uint32_t index, uint32_t life)
{
	struct slot *slot = slotpool_slot(index);
	uint64_t word;
	int fd;

	if (!take_kept(index, &word))
		return false;
	fd = fd_in(word);
	if (!fdtable_doubtful() && !atomic_load(&slot->watched) && is_fifo_of(fd, slot) &&
		is_left(fd) && slotpool_clear(index, life)) {
		keep_idle(index, fd, atomic_load(&slot->life));
		return true;
	}
	internal_close(fd);
	return false;
}

bool warm_begin(uint32_t index, uint32_t life)
{
	struct slot *slot = slotpool_slot(index);
	int fd;

	if (atomic_load(&kept) || fdtable_doubtful() || atomic_load(&slot->watched) ||
		atomic_fetch_add(&deaths, 1) < FEW || !slotpool_clear(index, life))
		return false;
	stats_syscall();
	fd = fifo_open_reader(index);
	if (fd >= 0)
		fd = internal_adopt(fd);
	if (fd >= 0 && is_fifo_of(fd, slot)) {
		keep_idle(index, fd, atomic_load(&slot->life));
		return true;
	}
	if (fd >= 0)
		internal_close(fd);
	atomic_store(&deaths, 0); /* not at once again */
	slotpool_give(index);
	return true;
}

void warm_leave(void)
{
	/* the memory of a vfork child is its parent's, which goes on */
	uint32_t slot = process_borrows_memory() ? 0 : warm_take();

	if (!slot)
		return;
	warm_forget(slot);
	slotpool_give(slot);
}

void warm_forked(void)
{
	uint64_t word = atomic_exchange(&kept, 0);

	atomic_store(&idle, 0);
	atomic_store(&deaths, 0);
	if (word)
		internal_close(fd_in(word));
}
