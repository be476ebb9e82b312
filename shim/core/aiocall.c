#include "core/aiocall.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/aiobridge.h"
#include "core/object.h"
#include "core/stats.h"
#include "core/usermem.h"
#include "sys/raw.h"

/* How many blocks are handed to the kernel at once; and how often the same one is when another
 * thread changes it meanwhile. */
enum { BATCH = 64, TRIES = 100 };

/* The kernel knows a block by its address, which comes back with its completion: the bridge's
 * number is put in the program's own block, for as long as the call takes. */
struct patch {
	char *block; /* NULL where there is nothing to undo */
	uint32_t given, put;
	struct bridge *bridge;
};

struct batch {
	struct patch patches[BATCH];
	long seen;	/* how many blocks have been looked at */
	long n;		/* how many blocks there are before the first that cannot be submitted */
	int err;	/* why that one cannot, or 0 */
	bool read_only; /* it names a fake eventfd, and cannot be stored to */
};

static bool load_block(struct iocb **place, char **address, struct iocb *block)
{
	if (!usermem_loadable(place, sizeof(void *)))
		return false;
	memcpy(address, place, sizeof(void *));
	if (!usermem_loadable(*address, sizeof(*block)))
		return false;
	memcpy(block, *address, sizeof(*block));
	return true;
}

static bool tells(const struct iocb *block)
{
	return (block->aio_flags & IOCB_FLAG_RESFD) && !fdtable_foreign((int)block->aio_resfd);
}

/* Looks as far as blocks can be loaded: the kernel goes no further. */
static bool concerned(long n, struct iocb **iocbs)
{
	struct iocb block;
	char *address;

	for (long i = 0; i < n && load_block(&iocbs[i], &address, &block); i++) {
		if (tells(&block))
			return true;
	}
	return false;
}

static char *resfd_of(char *block)
{
	return block + offsetof(struct iocb, aio_resfd);
}

/* To the kernel a block may lie anywhere. False where another thread was faster. */
static bool change(char *word, uint32_t from, uint32_t to)
{
	if ((uintptr_t)word % sizeof(to) == 0)
		return atomic_compare_exchange_strong((_Atomic uint32_t *)(void *)word, &from, to);
	if (memcmp(word, &from, sizeof(from)) != 0)
		return false;
	memcpy(word, &to, sizeof(to));
	return true;
}

/* The number that the kernel is to see; or -EAGAIN. */
static int stand_in(const struct fdref *ref, int fd, struct bridge **bridge)
{
	if (slot_kind(ref->object) != KIND_COUNTER)
		return fd; /* a FIFO is no eventfd to the kernel either */
	return aiobridge_take(ref, bridge);
}

/* False where the block, which names a number of the library's, cannot be submitted. */
static bool patch(struct batch *batch, char *address, const struct iocb *block)
{
	struct patch *patch = &batch->patches[batch->n];
	struct fdref ref;
	int fd = (int)block->aio_resfd;

	if (object_is(&fd, &ref))
		fd = stand_in(&ref, fd, &patch->bridge);
	if (fd == -EAGAIN) {
		batch->err = EAGAIN;
		return false;
	}
	patch->given = block->aio_resfd;
	patch->put = (uint32_t)fd;
	if (patch->put == patch->given)
		return true;
	if (!usermem_storable(resfd_of(address), sizeof(patch->put))) {
		batch->read_only = true;
		return false;
	}
	patch->block = address;
	change(resfd_of(address), patch->given, patch->put);
	return true;
}

/* What the kernel cannot load it shall refuse itself. */
static void prepare(struct batch *batch, long n, struct iocb **iocbs)
{
	for (batch->n = 0; batch->n < n; batch->n++) {
		struct patch *current = &batch->patches[batch->n];
		struct iocb block;
		char *address;

		batch->seen = batch->n + 1;
		current->block = NULL;
		current->bridge = NULL;
		if (!load_block(&iocbs[batch->n], &address, &block)) {
			batch->n++;
			return;
		}
		if (tells(&block) && !patch(batch, address, &block))
			return;
	}
}

/* Where the I/O is done already another thread may have made something else of the block: that
 * stays. True where it did. */
static bool undo(const struct patch *patch)
{
	if (!patch->block || !usermem_storable(resfd_of(patch->block), sizeof(patch->put)))
		return false;
	return !change(resfd_of(patch->block), patch->put, patch->given);
}

static bool undo_all(struct batch *batch, long done)
{
	bool changed = false;

	for (long i = 0; i < batch->seen; i++) {
		struct patch *current = &batch->patches[i];

		if (undo(current) && i == done)
			changed = true;
		if (current->bridge)
			aiobridge_give_back(current->bridge);
	}
	return changed;
}

static long submit(unsigned long context, long n, struct iocb **iocbs)
{
	stats_syscall();
	return raw_syscall3(SYS_io_submit, (long)context, n, (long)iocbs);
}

/* The kernel stores to each block. */
static long refuse(const struct batch *batch, unsigned long context, struct iocb **iocbs)
{
	long ret;

	if (!batch->read_only)
		return -batch->err;
	ret = submit(context, 1, iocbs);
	return ret == -EINVAL ? -EFAULT : ret;
}

/* *again: the next block was changed by another thread while the kernel was to look at it. */
static long submit_some(unsigned long context, long n, struct iocb **iocbs, bool *again)
{
	struct batch batch;
	long ret;

	batch.seen = 0;
	batch.err = 0;
	batch.read_only = false;
	prepare(&batch, n, iocbs);
	ret = batch.n ? submit(context, batch.n, iocbs) : refuse(&batch, context, iocbs);
	*again = undo_all(&batch, ret < 0 ? 0 : ret);
	return ret;
}

static long submit_all(unsigned long context, long n, struct iocb **iocbs)
{
	long done = 0;

	for (int tries = TRIES; done < n && tries;) {
		long now = n - done < BATCH ? n - done : BATCH;
		bool again;
		long ret = submit_some(context, now, iocbs + done, &again);

		if (ret > 0)
			done += ret;
		if (ret < now && !again)
			return done ? done : ret;
		tries -= again;
	}
	return done ? done : -EAGAIN;
}

long aiocall_submit(unsigned long context, long n, struct iocb **iocbs)
{
	if (fdtable_used() && concerned(n, iocbs))
		return submit_all(context, n, iocbs);
	return submit(context, n, iocbs);
}

long aiocall_completed(long ret)
{
	if (ret > 0)
		aiobridge_pull();
	return ret;
}
