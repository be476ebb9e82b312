/* What the driver and its executors share: operations, their kinds, results, the arena. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Operations name slots, never fd numbers. A code of SLOTS and above means fd -1. */
enum {
	EFD0 = 0,
	EFDS = 8,
	DUP0 = 8,
	DUPS = 8,
	PIPE_R = 16,
	PIPE_W,
	SOCK_A,
	SOCK_B,
	FILE0,
	EP0,
	EPS = 4,
	SLOTS = EP0 + EPS,
	SLOT_CODES = 32
};

enum { ARGS = 6, LIST_MAX = 8, VALUES = 32, PROCS = 3, MAX_OPS = 1 << 17 };

/* Numbers of the harness's own fds. Sequences stay below FD_LIMIT. */
enum { FD_LIMIT = 150, CONTROL_FD = 200, ARENA_FD = 201, CHILD_FD = 210, HARNESS_END = 300 };

/* errno before every call: a call that succeeds must leave it. */
enum { UNTOUCHED = 4000 };

enum kind_id {
	K_RESET,
	K_EVENTFD,
	K_MASK,
	K_PIPE,
	K_SOCKETPAIR,
	K_FILE,
	K_DUP,
	K_DUP2,
	K_DUP3,
	K_DUPFD,
	K_CLOSE,
	K_CLOSE_RANGE,
	K_FCLOSE,
	K_READ,
	K_WRITE,
	K_READV,
	K_WRITEV,
	K_MASK_WRITE,
	K_PREAD,
	K_PWRITE,
	K_EFD_READ,
	K_EFD_WRITE,
	K_GETFL,
	K_SETFL,
	K_GETFD,
	K_SETFD,
	K_IOCTL,
	K_LSEEK,
	K_QUERY,
	K_SPLICE,
	K_POLL,
	K_SELECT,
	K_EP_CREATE,
	K_EP_CTL,
	K_EP_WAIT,
	K_EP_DRAIN,
	K_FORK,
	K_EXIT,
	KINDS
};

struct pick {
	uint8_t slot;
	uint16_t mask;
};

struct op {
	uint8_t kind;
	uint8_t proc; /* 0 the executor itself, else one of its children */
	uint8_t raw;  /* by syscall() */
	uint8_t n;    /* length of list */
	uint64_t arg[ARGS];
	struct pick list[LIST_MAX];
};

/* UNDECIDED: the model does not know; any result is right. */
enum status { DONE, SKIPPED, UNDECIDED, CRASHED, HUNG };

struct result {
	int64_t ret;
	int32_t err;
	uint16_t status;
	uint16_t n;
	uint64_t v[VALUES];
};

enum fault {
	NO_FAULT,
	FAULT_READ,
	FAULT_ERRNO,
	FAULT_POLL,
	FAULT_HISTORY,
	FAULT_CRASH,
	FAULT_HANG,
	FAULT_MASK_EDGE,
	FAULT_MASK_BIT,
	FAULT_MASK_DATA,
	FAULT_MASK_MOD,
	FAULT_MASK_ONESHOT,
	FAULT_MASK_TWICE,
	FAULT_MASK_NESTED,
	FAULT_MASK_CHILD,
	FAULTS
};

/* Added to the fault an executor is started with: it answers modelled sequences by the model, or
 * does nothing but hold eventfds. */
enum { MODELS = 1 << 8, CROWDED = 1 << 9, ALLOW_SHIFT = 10 };

/* Where the shim may be inexact. What is allowed leaves a result, or all that follows in its
 * sequence, open. The first two, which README names, hold only where processes share. */
enum allowance {
	ALLOW_ABSENT = 1, /* a process waits that does not have a mask under its watch's number */
	ALLOW_NESTED = 2, /* a set looks readable for a mask that does not interest it */
	ALLOW_SHARED = 3, /* both */
	ALLOW_EFAULT = 4, /* epoll_wait finds its buffer bad where it has nothing to store */
	ALLOW_AGAIN = 8,  /* an outer set sees an edge where a watch in the inner one is modified */
};

/* Shared by the driver and one executor: what to do, how far it is, what came out. */
struct arena {
	uint32_t count;
	_Atomic uint32_t done;
	struct op ops[MAX_OPS];
	struct result results[MAX_OPS];
};

/* ---- inside an executor ---- */

enum place { P_BUF, P_EDGE, P_STRADDLE, P_NULL, P_UNMAPPED, P_READONLY, P_KERNEL, PLACES };
enum { PLACE_ROOM = 4096 };

struct child {
	pid_t pid;
	int chan;
};

struct box {
	int fd[SLOTS];
	int highest;
	bool edges;	 /* every watch of this sequence is EPOLLET or EPOLLONESHOT */
	bool forks;	 /* this sequence has children */
	bool semaphores; /* some eventfds of this sequence are semaphores */
	unsigned allow;	 /* allowances */
	bool models;	 /* this executor has the model */
	bool modelled;	 /* this sequence runs on the model */
	bool follows;	 /* the model follows the other side where it may choose */
	unsigned proc;
	struct box *kin[PROCS]; /* of the model's children */
	struct result other;	/* what the other side returned for this operation */
	unsigned char *pages;
	struct arena *arena;
	enum fault fault;
	bool fault_armed;
	struct child child[PROCS];
};

int executor_main(int fault_and_role);
int box_fd(const struct box *, uint64_t slot);
/* Puts a new fd into a slot; numbers from FD_LIMIT up are closed again. */
void box_keep(struct box *, uint64_t slot, int fd);
/* A copy for the model's child: its fds and memory are its own. */
bool box_copy(const struct box *from, struct box *to, unsigned proc);
unsigned char *box_place(struct box *, uint64_t place);
size_t box_room(uint64_t place);
/* Runs ops[i] in this process. */
void box_perform(struct box *, size_t i);
/* Arms or stops the tick that makes a blocked call return EINTR. */
void guard(bool on);
/* Records what a call returned and errno. Call it directly after. */
void answer(struct result *, int64_t ret);
void value(struct result *, uint64_t v);

/* children.c */
bool child_start(struct box *, unsigned proc);
void child_stop(struct box *, unsigned proc, bool kill_it);
bool child_alive(const struct box *, unsigned proc);
/* The ends of a socketpair at numbers that no sequence gets. */
bool open_channel(unsigned which, int ends[2]);
void child_relay(struct box *, unsigned proc, size_t i);

void falsify(struct box *, const struct op *, struct result *);

/* ---- generating ---- */

enum what { NOTHING, EVENTFD, MASK, SET, OTHER };
enum { WATCHES = 16 };

struct watch {
	uint8_t set, slot;
};

struct gen {
	uint64_t state;
	int16_t number[SLOTS];
	uint8_t what[FD_LIMIT];
	struct watch watch[WATCHES];
	unsigned watches;
	unsigned kids;
	bool edges;
	bool forks;
	bool semaphores; /* some eventfds of this sequence are semaphores */
	bool modelled;	 /* only what the model knows */
	bool masks;
	bool nests;	 /* sets in sets, often */
	bool few;	 /* few eventfds */
	bool loops;	 /* loops on watched eventfds, anything else now and then */
	uint32_t mask;	 /* what was written last */
	unsigned sets;	 /* made so far */
	uint16_t serial; /* of watches: they are told apart by their data */
	unsigned weight[KINDS];
	unsigned total;
};

uint64_t rnd(struct gen *);
unsigned below(struct gen *, unsigned n);
bool chance(struct gen *, unsigned percent);
uint64_t any_place(struct gen *);
/* What a campaign is to have. */
struct mix {
	unsigned modelled; /* so many sequences of 100 are for the model */
	unsigned loops;	   /* so many of 100 others are loops on watched eventfds */
	bool masks;	   /* and these have masks */
};

/* Writes one sequence, beginning with K_RESET, to ops (room for length + 1). Returns its size. */
size_t make_sequence(
	uint64_t seed, uint64_t index, unsigned length, struct mix mix, struct op *ops);

/* belief.c */
void believe_nothing(struct gen *);
void believe_new(struct gen *, const struct op *, uint64_t slot, enum what);
void believe_dup(struct gen *, const struct op *, uint64_t from, uint64_t to, int lowest);
void believe_onto(struct gen *, const struct op *, uint64_t from, uint64_t to, int number);
void believe_closed(struct gen *, const struct op *, uint64_t slot, bool forgotten);
void believe_watched(struct gen *, uint64_t set, uint64_t slot);
bool believes_in(const struct gen *, enum what);
enum what believed(const struct gen *, uint64_t slot);
void believe_unwatched(struct gen *, uint64_t set, uint64_t slot);
bool believes_watched(const struct gen *, uint64_t set, uint64_t slot);
bool some_watch(struct gen *, uint64_t *set, uint64_t *slot);
/* Mostly a slot that holds such an fd, sometimes any code at all. */
uint64_t slot_of(struct gen *, enum what);
uint64_t any_slot(struct gen *);
/* The same, but often a set where the sequence is about loops. */
uint64_t disturbed_slot(struct gen *);

#define PICK(g, table) ((table)[below((g), sizeof(table) / sizeof((table)[0]))])

/* ---- kinds of operations ---- */

enum shape { PLAIN, EVENTS, MASKS };

struct kind {
	const char *name;
	unsigned weight;
	enum shape shape;
	void (*make)(struct gen *, struct op *);
	void (*run)(struct box *, const struct op *, struct result *);
	void (*show)(FILE *, const struct op *);
};

extern const struct kind *const kinds[KINDS];
extern const struct kind kind_reset, kind_eventfd, kind_mask, kind_pipe, kind_socketpair, kind_file,
	kind_dup, kind_dup2, kind_dup3, kind_dupfd, kind_close, kind_close_range, kind_fclose,
	kind_read, kind_write, kind_readv, kind_writev, kind_mask_write, kind_pread, kind_pwrite,
	kind_efd_read, kind_efd_write, kind_getfl, kind_setfl, kind_getfd, kind_setfd, kind_ioctl,
	kind_lseek, kind_query, kind_splice, kind_poll, kind_select, kind_ep_create, kind_ep_ctl,
	kind_ep_wait, kind_ep_drain, kind_fork, kind_exit;

/* ---- showing ---- */

struct bit_name {
	uint64_t bit;
	const char *name;
};

extern const char *const place_names[PLACES];
const char *slot_name(uint64_t slot);
/* names ends with a null name; what is left is shown in hex. */
void show_bits(FILE *, uint64_t bits, const struct bit_name *names);
void show_events(FILE *, uint64_t bits);
void show_op(FILE *, const struct op *);
void show_result(FILE *, const struct op *, const struct result *);
bool agree(const struct result *, const struct result *);

/* epoll.c */
bool is_set(const struct box *, int fd);

/* ---- driving ---- */

struct executor {
	pid_t pid;
	int sock;
	struct arena *arena;
	const char *preload;
	enum fault fault;
	bool models;
	bool crowd; /* one that only holds eventfds */
	unsigned allow;
};

struct pair {
	struct executor side[2];
	struct executor crowd; /* beside both, where it is to be */
	int watchdog_ms;
};

/* Starts both executors afresh, ending old ones. Exits with a message where that is impossible. */
void pair_restart(struct pair *);
void pair_stop(struct pair *);
/* The same with the crowd. */
void pair_end(struct pair *);
/* Runs ops on both sides. Returns the index of the first difference, or -1. */
ssize_t pair_run(struct pair *, const struct op *ops, size_t n);

/* Makes ops (which fail at their last one) as short and simple as it can. Returns the new size. */
size_t shrink(struct pair *, struct op *ops, size_t n);

struct campaign {
	uint64_t seed, wanted, done, sequence;
	bool one_sequence;
	const char *allowed; /* as it was given, or NULL */
	struct mix mix;
	unsigned length, most_differences, differences;
	bool quiet, stats;
	size_t shrunk; /* size of the last failing sequence */
	struct op *log;
	size_t logged;
	struct pair pair;
};

void campaign_init(struct campaign *, const char *preload);
/* Runs until enough operations or differences. */
void campaign_run(struct campaign *);
void campaign_end(struct campaign *);
int selftest(void);

/* Counts the outcomes of an executor's last batch. */
void stats_add(const struct arena *, size_t n);
void stats_show(void);

#endif
