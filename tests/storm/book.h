/* The bookkeeping: a mapping of its own that all processes of the storm share. Each process writes
 * its own seat only, so whatever a killed one leaves there is true. */
#ifndef BOOK_H
#define BOOK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MEMBERS = 8, SUPERVISOR = MEMBERS, SEATS = MEMBERS + 1, FDS = 64 };

/* What kind of eventfd an index is. */
enum group {
	PLAIN,	   /* non-blocking */
	SEMAPHORE, /* the same, EFD_SEMAPHORE */
	BLOCKING,  /* its readers may block */
	BLOCKING_SEMAPHORE,
	BULKY, /* its writers may block: a third write has no room */
	LIMIT, /* non-blocking, often at the limit */
};

static inline enum group group_of(unsigned index)
{
	static const unsigned char above[] = {32, 40, 52, 56, 60};
	unsigned group = 0;

	while (group < sizeof(above) && index >= above[group])
		group++;
	return (enum group)group;
}

static inline bool is_semaphore(unsigned index)
{
	return group_of(index) == SEMAPHORE || group_of(index) == BLOCKING_SEMAPHORE;
}

/* Whether a read of an empty one sleeps. */
static inline bool is_blocking(unsigned index)
{
	return index >= 40 && index < 60;
}

enum what { READ, WRITE };
enum phase { IDLE, INTENT, RETURNED };

/* The operation at hand, and the sums of all that returned. */
struct diary {
	_Atomic uint32_t phase;
	_Atomic uint32_t what;
	_Atomic uint32_t index;
	_Atomic uint64_t value;	 /* what is written; or where read() stores, 0 before */
	_Atomic uint64_t before; /* the sum without it */
	_Atomic uint64_t sum[2][FDS];
};

enum { WAITS_FOR_OUT = 1, WAITS_SHIFT = 1 };

struct seat {
	struct diary diary;
	_Atomic uint64_t progress; /* operations done */
	_Atomic uint64_t wants;	   /* a bit for each index it has no fd of */
	_Atomic uint32_t waits;	   /* (index + 1) << 1 | for OUT, while it may sleep; else 0 */
	_Atomic uint32_t obeyed;   /* the last command it has obeyed */
	_Atomic int32_t own;	   /* how many eventfds of its own it has */
	_Atomic uint32_t lives;	   /* counts its births */
	int fd[FDS];
	int set[2];
	uint32_t watched[2][FDS]; /* events an fd is watched for in a set */
};

/* A command is its number << 2 | one of these. */
enum order { RUN, PARK, SLEEP, END, ORDER_BITS = 2, ORDER_MASK = 3 };

struct book {
	_Atomic uint32_t command;  /* futex */
	_Atomic uint32_t arrivals; /* futex: members that have obeyed move it */
	_Atomic uint32_t faults;
	uint64_t seed;
	int memfd;
	int fd[FDS];		 /* the supervisor's */
	int mailbox[MEMBERS][2]; /* in [0] goes what [1] takes */
	struct seat seats[SEATS];
};

struct book *book_make(void);
/* That of the process which this image was started by. */
struct book *book_map(int memfd);

void diary_open(struct diary *diary, enum what what, unsigned index, uint64_t value);
void diary_close(struct diary *diary, bool happened);
/* After a death: true where the operation at hand may or may not have happened. */
bool diary_settle(struct diary *diary);

void book_wake(_Atomic uint32_t *word);
void book_sleep(_Atomic uint32_t *word, uint32_t value, int ms);

/* Says what is wrong, and ends the storm with a fault. */
__attribute__((format(printf, 3, 4))) void fault(
	struct book *book, unsigned who, const char *format, ...);

#endif
