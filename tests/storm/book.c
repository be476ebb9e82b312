#include "storm.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct book *book_map(int memfd)
{
	void *map = mmap(NULL, sizeof(struct book), PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	if (map == MAP_FAILED) {
		perror("storm: mmap");
		exit(1);
	}
	return map;
}

struct book *book_make(void)
{
	int memfd = memfd_create("storm", 0);
	struct book *book;

	if (memfd < 0 || ftruncate(memfd, sizeof(struct book))) {
		perror("storm: memfd");
		exit(1);
	}
	book = book_map(memfd);
	book->memfd = memfd;
	return book;
}

void diary_open(struct diary *diary, enum what what, unsigned index, uint64_t value)
{
	diary->what = what;
	diary->index = index;
	diary->value = value;
	diary->before = diary->sum[what][index];
	diary->phase = INTENT;
}

/* Whether it is killed before, within or after: RETURNED makes the sum, however often. */
static void enter(struct diary *diary)
{
	diary->sum[diary->what][diary->index] = diary->before + diary->value;
	diary->phase = IDLE;
}

void diary_close(struct diary *diary, bool happened)
{
	if (!happened) {
		diary->phase = IDLE;
		return;
	}
	diary->phase = RETURNED;
	enter(diary);
}

bool diary_settle(struct diary *diary)
{
	bool read_stored = diary->phase == INTENT && diary->what == READ && diary->value;

	if (diary->phase == RETURNED || read_stored)
		enter(diary);
	return diary->phase == INTENT;
}

void book_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, MEMBERS + 1, NULL, NULL, 0);
}

void book_sleep(_Atomic uint32_t *word, uint32_t value, int ms)
{
	struct timespec limit = {ms / 1000, ms % 1000 * 1000000L};

	syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, NULL, 0);
}

void fault(struct book *book, unsigned who, const char *format, ...)
{
	char line[512];
	int saved = errno, used;
	va_list args;

	used = snprintf(
		line, sizeof(line), who == SUPERVISOR ? "storm: " : "storm: member %u: ", who);
	va_start(args, format);
	used += vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	va_end(args);
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used] = '\n';
	if (atomic_fetch_add(&book->faults, 1) < 20 && write(2, line, (size_t)used + 1) < 0)
		abort();
	errno = saved;
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
