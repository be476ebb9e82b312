/* Reads and writes that are in the book. */
#include "storm.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

static void begin(struct book *book, unsigned who, enum what what, unsigned index, uint64_t value)
{
	diary_open(&book->seats[who].diary, what, index, value);
}

static long end_read(struct book *book, unsigned who, unsigned index, long ret)
{
	struct diary *diary = &book->seats[who].diary;
	long err = ret < 0 ? errno : 0;
	uint64_t value = diary->value;

	diary_close(diary, ret == sizeof(uint64_t));
	if (ret == sizeof(uint64_t) && (!value || (is_semaphore(index) && value != 1)))
		fault(book, who, "read of eventfd %u gave %#lx", index, (unsigned long)value);
	if (ret == sizeof(uint64_t) || err == EAGAIN || err == EINTR)
		return ret < 0 ? -err : ret;
	fault(book, who, "read of eventfd %u: %ld, errno %ld", index, ret, err);
	return ret < 0 ? -err : ret;
}

long book_read(struct book *book, unsigned who, unsigned index, int fd)
{
	begin(book, who, READ, index, 0);
	return end_read(book, who, index,
		read(fd, (void *)&book->seats[who].diary.value, sizeof(uint64_t)));
}

long book_read_now(struct book *book, unsigned who, unsigned index, int fd)
{
	struct iovec iov = {(void *)&book->seats[who].diary.value, sizeof(uint64_t)};

	if (!is_blocking(index))
		return book_read(book, who, index, fd);
	begin(book, who, READ, index, 0);
	return end_read(book, who, index, preadv2(fd, &iov, 1, -1, RWF_NOWAIT));
}

long book_write(struct book *book, unsigned who, unsigned index, int fd, uint64_t value)
{
	long ret, err;

	begin(book, who, WRITE, index, value);
	ret = write(fd, &value, sizeof(value));
	err = ret < 0 ? errno : 0;
	diary_close(&book->seats[who].diary, ret == sizeof(value));
	if (ret != sizeof(value) && !(err == EAGAIN && group_of(index) == LIMIT) && err != EINTR)
		fault(book, who, "write to eventfd %u: %ld, errno %ld", index, ret, err);
	return ret < 0 ? -err : ret;
}

/* Sums of these are told apart, but for the semaphores'. */
uint64_t amount_for(uint64_t *random, unsigned index)
{
	switch (group_of(index)) {
	case SEMAPHORE:
	case BLOCKING_SEMAPHORE:
		return 1 + random_below(random, 2);
	case BULKY:
		return (1ull << 63) - (1 << 24) - random_below(random, 1 << 20);
	case LIMIT:
		return chance(random, 2) ? COUNT_LIMIT : 1 + random_next(random) % COUNT_LIMIT;
	default:
		return 1 + random_below(random, 1u << 30);
	}
}
