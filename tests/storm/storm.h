/* The kill storm: members share eventfds, random ones are killed and replaced, and a supervisor
 * keeps the accounts. Runs against the kernel's eventfds as well as against the shim's. */
#ifndef STORM_H
#define STORM_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "book.h"

#define COUNT_LIMIT (UINT64_MAX - 1)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { SETS = 2, OWN_MAX = 4, STUCK_MS = 20000 };

/* A process that takes part. What it has must survive its own exec, so it is kept in its seat. */
struct member {
	struct book *book;
	struct seat *seat;
	unsigned number;
	uint64_t random;
	struct {
		int fd;
		uint64_t value;
	} own[OWN_MAX]; /* eventfds nobody else has; fd is -1 where there is none */
};

/* How a member comes by its fds. */
enum birth {
	BORN_BY_FORK,
	BORN_BY_EXEC, /* inherits the supervisor's numbers */
	BORN_BY_MAIL, /* has none yet: they are sent to it */
	BORN_AGAIN,   /* its own exec: the numbers are those of its seat */
	BIRTHS,
};

/* random.c */
uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t limit);
static inline bool chance(uint64_t *state, uint32_t one_in)
{
	return random_below(state, one_in) == 0;
}

/* io.c: reads and writes that are in the book. Each returns what the call did, or -errno; what the
 * kernel would never answer is a fault. */
long book_read(struct book *book, unsigned who, unsigned index, int fd);
long book_write(struct book *book, unsigned who, unsigned index, int fd, uint64_t value);
/* A read that never blocks, whatever the flags of the fd. */
long book_read_now(struct book *book, unsigned who, unsigned index, int fd);
uint64_t amount_for(uint64_t *random, unsigned index);

/* member.c */
_Noreturn void member_live(struct book *book, unsigned number, enum birth birth);
_Noreturn void member_exec(struct book *book, unsigned number, enum birth birth);
/* An index this member has an fd of, at random; -1 if it found none. */
int member_any(struct member *m);
void member_drop(struct member *m, unsigned index);

/* steps.c, waits.c, watches.c, own.c, mail.c: what a member does, one step at a time. */
void step_read(struct member *m);
void step_write(struct member *m);
void step_block_read(struct member *m);
void step_block_write(struct member *m);
void step_dup(struct member *m);
void step_drop(struct member *m);
void step_poll(struct member *m);
void step_block_poll(struct member *m);
void step_watch(struct member *m);
void step_epoll(struct member *m);
void step_block_epoll(struct member *m);
void step_renew_set(struct member *m);
void step_own(struct member *m);
void step_gift(struct member *m);
void step_gift_own(struct member *m);
void step_help(struct member *m);

/* Sleeps in one way or other until an fd becomes readable; none is now. */
void wait_quietly(struct member *m);
/* Reads what was reported readable, until it is not reported any more. */
void read_reported(struct member *m, unsigned index, bool (*reported)(struct member *, unsigned));
void own_forget(struct member *m);

/* Sends fds of these indices to a member, if its mailbox has room. */
enum { MAIL_FDS = 16, MAIL_OWN = 255 };
bool mail_send(struct book *book, unsigned to, const unsigned *index, const int *fd, int count,
	uint64_t value);
/* Takes what came, if anything did. */
void mail_take(struct member *m);
/* Empties a mailbox, checking what was on its way to nobody else. */
void mail_empty(struct book *book, unsigned of);

/* audit.c */
struct doubt {
	enum what what;
	unsigned index;
	uint64_t value;
};

struct ledger {
	struct doubt doubts[512];
	int count;
	unsigned long doubted_reads, lost_reads, doubted_writes, lost_writes, audits;
};

/* What a dead member may or may not have done. */
void ledger_death(struct ledger *ledger, struct book *book, unsigned who);
bool ledger_is_full(const struct ledger *ledger);
/* With all members parked: every write that returned was read once or is still counted. */
void audit(struct ledger *ledger, struct book *book, int set);

/* command.c: efdshim ls and efdshim gc, where EFDSHIM names the command and the shim serves. */
/* Faults where ls does not print `objects` lines. */
void command_ls(struct book *book, int objects);
void command_gc(struct book *book);

/* storm.c */
struct plan {
	unsigned long kills;
	uint64_t seed;
	int64_t seconds; /* 0: no limit */
};
int storm_run(const struct plan *plan);

int64_t now_ms(void);

#endif
