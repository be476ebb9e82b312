/* readv(2) and writev(2) on a fake fd. */
#include "core/fdio.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/signalfd.h>

#include "core/stats.h"
#include "core/usermem.h"
#include "sys/probe.h"

/* BYTES_MAX: the kernel moves no more in one call. */
enum { WORD = sizeof(uint64_t), SEGMENTS_MAX = 1024, SIGNALS_MAX = 8, BYTES_MAX = 0x7ffff000 };

/* Reads the array over as the kernel does before it does anything: 0 or an errno value, and the
 * bytes there are in all. */
static int check_array(const struct iovec *iov, int count, size_t *total)
{
	*total = 0;
	if (count < 0 || count > SEGMENTS_MAX)
		return EINVAL;
	if (!count)
		return 0;
	if (!usermem_in_range(iov, (size_t)count * sizeof(*iov)))
		return EFAULT;
	for (int i = 0; i < count; i++) {
		if (!usermem_loadable(&iov[i], sizeof(iov[i])))
			return EFAULT;
		if (iov[i].iov_len > SSIZE_MAX)
			return EINVAL;
	}
	for (int i = 0; i < count; i++) {
		size_t length = iov[i].iov_len;

		if (count == 1 && length > BYTES_MAX)
			length = BYTES_MAX; /* a single segment is cut before it is checked */
		if (!usermem_in_range(iov[i].iov_base, length))
			return EFAULT;
		*total += length < BYTES_MAX - *total ? length : BYTES_MAX - *total;
	}
	return 0;
}

static struct outcome scatter(const struct iovec *iov, int count, const void *image, size_t size)
{
	const char *from = image;
	size_t left = size;

	for (int i = 0; i < count && left; i++) {
		size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

		if (n && !usermem_store(iov[i].iov_base, from, n))
			return outcome_err(EFAULT);
		from += n;
		left -= n;
	}
	return outcome_ok((long)size);
}

/* No more at once than there is room for here. */
static struct outcome read_signals(
	const struct fdref *ref, const struct iovec *iov, int count, size_t total, bool nowait)
{
	struct signalfd_siginfo infos[SIGNALS_MAX];
	struct outcome outcome =
		signalfd_read(ref, infos, total < sizeof(infos) ? total : sizeof(infos), nowait);

	return outcome.err ? outcome : scatter(iov, count, infos, (size_t)outcome.value);
}

/* A vector call of a file that knows only plain ones: one for each segment, until one fails or
 * falls short. Empty segments are skipped, but for the first. */
static struct outcome each_segment(const struct fdref *ref, const struct iovec *iov, int count,
	struct outcome (*step)(const struct fdref *, const struct iovec *, bool))
{
	long done = 0;

	for (int i = 0; i < count; i++) {
		struct outcome outcome;

		if (i && !iov[i].iov_len)
			continue;
		outcome = step(ref, &iov[i], done != 0);
		if (outcome.err)
			return done ? outcome_ok(done) : outcome;
		done += outcome.value;
		if ((size_t)outcome.value != iov[i].iov_len)
			break;
	}
	return outcome_ok(done);
}

static struct outcome read_segment(const struct fdref *ref, const struct iovec *segment, bool more)
{
	(void)more;
	return fdio_read(ref, segment->iov_base, segment->iov_len);
}

static struct outcome write_segment(const struct fdref *ref, const struct iovec *segment, bool more)
{
	size_t n = segment->iov_len < BYTES_MAX ? segment->iov_len : BYTES_MAX;

	if (more && !slot_is_mask(ref->object))
		return counterfd_write_more(ref, segment->iov_base, n);
	return fdio_write(ref, segment->iov_base, n);
}

struct outcome fdio_readv(const struct fdref *ref, const struct iovec *iov, int count, bool nowait)
{
	size_t total;
	uint64_t value;
	int err = check_array(iov, count, &total);

	if (!err && slot_is_ring(ref->object))
		err = EINVAL;
	if (err)
		return outcome_err(err);
	if (!total)
		return outcome_ok(0);
	/* with masks, as their patches had it */
	if (slot_is_mask(ref->object) || !probe_readv_scatters())
		return each_segment(ref, iov, count, read_segment);
	if (slot_is_signal(ref->object))
		return read_signals(ref, iov, count, total, nowait);
	stats_add(STATS_READS);
	if (total < WORD)
		return outcome_err(EINVAL);
	err = slot_is_timer(ref->object) ? timerfd_take(ref, nowait, &value)
					 : counterfd_take(ref, nowait, &value);
	return err ? outcome_err(err) : scatter(iov, count, &value, WORD);
}

struct outcome fdio_writev(const struct fdref *ref, const struct iovec *iov, int count)
{
	size_t total;
	int err = slot_is_timer(ref->object) ? EINVAL : check_array(iov, count, &total);

	if (!err && (slot_is_ring(ref->object) || slot_is_signal(ref->object)))
		err = EINVAL;
	if (err)
		return outcome_err(err);
	if (!total)
		return outcome_ok(0);
	return each_segment(ref, iov, count, write_segment);
}
