/* The accounts, made up while all members are parked. */
#include "storm.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

enum { MOST_DOUBTS = 16 }; /* for one eventfd, all subsets of which are tried */

void ledger_death(struct ledger *ledger, struct book *book, unsigned who)
{
	struct diary *diary = &book->seats[who].diary;
	struct doubt *doubt = &ledger->doubts[ledger->count];

	if (!diary_settle(diary))
		return;
	doubt->what = diary->what;
	doubt->index = diary->index;
	doubt->value = diary->value;
	diary->phase = IDLE;
	ledger->count++;
	if (doubt->what == READ)
		ledger->doubted_reads++;
	else
		ledger->doubted_writes++;
}

bool ledger_is_full(const struct ledger *ledger)
{
	return ledger->count == ARRAY_LEN(ledger->doubts);
}

/* What was written to one eventfd and read from it, all modulo 2^64. */
struct account {
	uint64_t written, read;
	uint64_t in_doubt[MOST_DOUBTS]; /* writes */
	int writes, reads;		/* in doubt */
};

static struct account account_of(struct ledger *ledger, struct book *book, unsigned index)
{
	struct account a = {0};

	for (unsigned who = 0; who < SEATS; who++) {
		a.written += book->seats[who].diary.sum[WRITE][index];
		a.read += book->seats[who].diary.sum[READ][index];
	}
	for (int i = 0; i < ledger->count; i++) {
		struct doubt *doubt = &ledger->doubts[i];

		if (doubt->index != index)
			continue;
		if (doubt->what == READ)
			a.reads++;
		else if (a.writes < MOST_DOUBTS)
			a.in_doubt[a.writes++] = doubt->value;
	}
	return a;
}

/* Whether reads in doubt can have taken `rest`. */
static bool can_be_taken(const struct account *a, unsigned index, uint64_t written, uint64_t rest)
{
	if (!a->reads)
		return false;
	if (is_semaphore(index))
		return rest <= (uint64_t)a->reads;
	return group_of(index) >= BULKY || rest <= written;
}

static uint64_t sum_of(const struct account *a, unsigned subset)
{
	uint64_t written = a->written;

	for (int i = 0; i < a->writes; i++)
		written += subset >> i & 1 ? a->in_doubt[i] : 0;
	return written;
}

/* The eventfd is empty: what is still missing must be explained by what is in doubt. */
static bool adds_up(struct ledger *ledger, const struct account *a, unsigned index)
{
	unsigned subsets = 1u << a->writes;

	for (unsigned subset = 0; subset < subsets; subset++) {
		if (sum_of(a, subset) != a->read)
			continue;
		ledger->lost_writes += (unsigned)(a->writes - __builtin_popcount(subset));
		return true;
	}
	for (unsigned subset = 0; subset < subsets; subset++) {
		uint64_t written = sum_of(a, subset);

		if (!can_be_taken(a, index, written, written - a->read))
			continue;
		ledger->lost_reads++;
		return true;
	}
	return false;
}

static void check_sums(struct ledger *ledger, struct book *book, unsigned index)
{
	struct account a = account_of(ledger, book, index);

	if (!adds_up(ledger, &a, index))
		fault(book, SUPERVISOR,
			"eventfd %u: %#lx was written, %#lx read, %d writes and %d reads are in "
			"doubt",
			index, (unsigned long)a.written, (unsigned long)a.read, a.writes, a.reads);
	for (unsigned who = 0; who < SEATS; who++) {
		book->seats[who].diary.sum[WRITE][index] = 0;
		book->seats[who].diary.sum[READ][index] = 0;
	}
}

static void check_poll(struct book *book, unsigned index, int wanted)
{
	struct pollfd ask = {.fd = book->fd[index], .events = POLLIN | POLLOUT};

	if (poll(&ask, 1, 0) < 0 || ask.revents != wanted)
		fault(book, SUPERVISOR, "poll of eventfd %u shows %#x, not %#x", index,
			(unsigned)ask.revents, (unsigned)wanted);
}

static void check_set(struct book *book, int set, int wanted)
{
	struct epoll_event events[FDS + 1];
	int ready = epoll_wait(set, events, FDS + 1, 0);

	if (ready != wanted)
		fault(book, SUPERVISOR, "epoll_wait shows %d eventfds, not %d (first: %lu)", ready,
			wanted, ready > 0 ? (unsigned long)events[0].data.u64 : 0);
}

/* Everything is empty; then everything gets something. */
static void check_levels(struct book *book, int set)
{
	uint64_t random = book->seed + book->command;

	for (unsigned index = 0; index < FDS; index++)
		check_poll(book, index, POLLOUT);
	check_set(book, set, 0);
	for (unsigned index = 0; index < FDS; index++) {
		uint64_t value = amount_for(&random, index);

		if (book_write(book, SUPERVISOR, index, book->fd[index], value) < 0)
			fault(book, SUPERVISOR, "write to the empty eventfd %u", index);
		check_poll(book, index, value == COUNT_LIMIT ? POLLIN : POLLIN | POLLOUT);
	}
	check_set(book, set, FDS);
}

void audit(struct ledger *ledger, struct book *book, int set)
{
	for (unsigned index = 0; index < FDS; index++) {
		while (book_read_now(book, SUPERVISOR, index, book->fd[index]) > 0)
			continue;
		check_sums(ledger, book, index);
	}
	ledger->count = 0;
	ledger->audits++;
	check_levels(book, set);
}
