#include "core/late.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "core/counterfd.h"
#include "core/level.h"
#include "core/object.h"
#include "sys/raw.h"

enum { WORD = sizeof(uint64_t), ROUNDS = 1000, FIFO_BYTES = 2048 };

/* Waits for the entry of a number that is being made. In a handler it may be the interrupted thread
 * that makes one. */
static bool is_ours(int fd, struct fdref *ref)
{
	for (int i = 0; i < ROUNDS && !fdtable_entry(fd) && atomic_load(&fdtable_makers); i++)
		sched_yield();
	return object_is(&fd, ref);
}

/* Takes a value out of the FIFO of an object that is not watched: nothing but such values can be in
 * it. It may be another late thread's, who will find this one's. */
static bool take_any(int fifo, uint64_t *value)
{
	return raw_read(fifo, value, WORD) == WORD;
}

static bool all_zero(const char *bytes, long n)
{
	for (long i = 0; i < n; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* What was read out of a FIFO and may not be dropped. */
struct bytes {
	long n;
	char at[FIFO_BYTES];
};

/* Reads on, dropping zeros but for those that may be the beginning of a value. */
static bool read_on(int fifo, struct bytes *bytes)
{
	long kept = bytes->n < WORD ? bytes->n : WORD - 1;
	long got;

	memmove(bytes->at, bytes->at + bytes->n - kept, (size_t)kept);
	got = raw_read(fifo, bytes->at + kept, (size_t)(FIFO_BYTES - kept));
	bytes->n = kept + (got > 0 ? got : 0);
	return got > 0;
}

static bool cut_out(struct bytes *bytes, uint64_t value)
{
	char *own = memmem(bytes->at, (size_t)bytes->n, &value, WORD);

	if (!own || !value)
		return false;
	bytes->n -= WORD;
	memmove(own, own + WORD, (size_t)(bytes->at + bytes->n - own));
	return true;
}

/* Of a watched one: the value itself, among the bytes of the level, which are zeros. What may be
 * another late thread's is put back. A value found is about to make the object readable: a zero in
 * its place is the level. */
static bool take_own(const struct fdref *ref, int fifo, uint64_t value)
{
	struct bytes bytes = {.n = 0};
	bool found = false;

	while (!found && all_zero(bytes.at, bytes.n) && read_on(fifo, &bytes))
		found = cut_out(&bytes, value);
	if (!all_zero(bytes.at, bytes.n))
		raw_write(fifo, bytes.at, (size_t)bytes.n);
	else if (found)
		raw_write(fifo, "", 1);
	else
		level_settle(ref->object, CLASS_IN, fifo, LEVEL_DOWN, false);
	return found;
}

static bool take_back(const struct fdref *ref, uint64_t *value)
{
	struct fifo_loan loan = object_borrow_fifo(ref);
	bool taken = false;

	if (loan.fd >= 0 && !atomic_load(&ref->object->watched))
		taken = take_any(loan.fd, value);
	else if (loan.fd >= 0)
		taken = take_own(ref, loan.fd, *value);
	object_return_fifo(ref, loan);
	return taken;
}

struct outcome late_write(int fd, const void *buf)
{
	struct fdref ref;
	uint64_t value;

	if (!is_ours(fd, &ref))
		return outcome_ok(WORD);
	memcpy(&value, buf, WORD);
	return take_back(&ref, &value) ? counterfd_write(&ref, &value, WORD) : outcome_ok(WORD);
}

void late_gather(const struct fdref *ref)
{
	struct fifo_loan loan = object_borrow_fifo(ref);
	uint64_t value;

	while (loan.fd >= 0 && take_any(loan.fd, &value))
		counterfd_write(ref, &value, WORD);
	object_return_fifo(ref, loan);
}

static void restore_level(const struct fdref *ref)
{
	struct fifo_loan loan = object_borrow_fifo(ref);

	if (loan.fd >= 0)
		level_settle(ref->object, CLASS_IN, loan.fd, LEVEL_DOWN, false);
	object_return_fifo(ref, loan);
}

struct outcome late_read(int fd, void *buf, unsigned long n, struct outcome got)
{
	struct fdref ref;

	if (!is_ours(fd, &ref))
		return got;
	if (got.err)
		return counterfd_read(&ref, buf, n);
	if (!atomic_load(&ref.object->watched) || !all_zero(buf, got.value))
		return got;
	restore_level(&ref);
	return counterfd_read(&ref, buf, n);
}
