#include "core/late.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "core/counterfd.h"
#include "core/fdio.h"
#include "core/mirror.h"
#include "core/fifoloan.h"
#include "core/object.h"
#include "core/store.h"
#include "sys/raw.h"

enum { WORD = sizeof(uint64_t), ROUNDS = 1000 };

static bool in_store(int fd)
{
	struct stat st;

	return !raw_syscall3(SYS_fstat, fd, (long)&st, 0) && S_ISFIFO(st.st_mode) &&
	       store_holds(&st);
}

/* Waits for the entry of a number that is being made, as long as its maker may have to wait for a
 * processor. In a handler it may be the interrupted thread that makes one. */
static bool is_ours(int fd, struct fdref *ref)
{
	if (!fdtable_entry(fd) && !in_store(fd))
		return false;
	for (int i = fdtable_patience(); i && !fdtable_entry(fd) && atomic_load(&fdtable_makers);
		i--)
		sched_yield();
	return object_is(&fd, ref);
}

/* Takes a word out of an object's FIFO. While nobody watches the object only late writes can be in
 * it. It may be another late thread's, who will find this one's. */
static bool take_any(int fifo, uint64_t *value)
{
	return raw_read(fifo, value, WORD) == WORD;
}

static bool take_from_unwatched(const struct fdref *ref, uint64_t *value)
{
	struct fifo_loan loan = fifoloan_borrow(ref);
	bool taken = loan.fd >= 0 && take_any(loan.fd, value);

	fifoloan_return(ref, loan);
	return taken;
}

/* Another thread may have read the value out of the FIFO, and be about to do the write. */
static void await_settling(const struct slot *slot)
{
	for (int i = 0; i < ROUNDS && atomic_load(&slot->settling); i++)
		sched_yield();
}

struct outcome late_write(int fd)
{
	struct outcome outcome = outcome_ok(WORD);
	struct fdref ref;
	uint64_t value;

	if (!is_ours(fd, &ref))
		return outcome;
	if (!atomic_load(&ref.object->watched) && take_from_unwatched(&ref, &value) && value)
		outcome = fdio_write(&ref, &value, WORD);
	/* where that was the level of one that is watched since, it comes back */
	if (atomic_load(&ref.object->watched))
		mirror_mend(&ref);
	await_settling(ref.object);
	return outcome;
}

void late_gather(const struct fdref *ref)
{
	struct fifo_loan loan = fifoloan_borrow(ref);
	uint64_t value;

	while (loan.fd >= 0 && take_any(loan.fd, &value))
		counterfd_write(ref, &value, WORD);
	fifoloan_return(ref, loan);
}

static bool all_zero(const char *bytes, long n)
{
	for (long i = 0; i < n; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

struct outcome late_read(int fd, void *buf, unsigned long n, struct outcome got)
{
	struct fdref ref;

	if (!is_ours(fd, &ref))
		return got;
	if (got.err)
		return fdio_read(&ref, buf, n);
	if (!atomic_load(&ref.object->watched) || !all_zero(buf, got.value))
		return got;
	mirror_mend(&ref);
	return fdio_read(&ref, buf, n);
}
