/* Who waits for what a mask eventfd does not show sleeps: no time is burnt, whatever it shows, and
 * whatever else is written to it. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

TestSuite(mask_idle, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { WALL_MS = 300, WRITES = 1000 };

/* A thread may be switched off on the way to sleep; one that is woken for nothing sleeps often. */
enum { SLEEPS_MOST = 5, SLEEPS_UNDER_WRITES_MOST = 20 };

/* How one waits, in what state. */
enum way {
	POLL,
	SELECT,
	LEVEL,
	TWO_WATCHES, /* of one object in one set, with different interests */
	TOLD_EDGE,   /* the state matches, and was told */
	FIRED,	     /* the same of a one-shot */
	NESTED,
	BESIDE_A_READY_SET, /* another set watches for what is there */
	WAYS,
};

static const char *const way_names[WAYS] = {"poll", "select", "a level", "two watches",
	"an edge that was told", "a one-shot that fired", "a set in a set", "beside a ready set"};

struct idler {
	struct mate mate;
	enum way way;
	uint32_t interest, state;
	int fd, copy, set, other; /* -1: none */
	struct mate_call call;
};

static uint32_t second_interest(uint32_t interest)
{
	return (interest << 1 | interest >> 2) & 7;
}

/* All that does not end the wait. */
static uint32_t quiet_state(enum way way, uint32_t interest)
{
	uint32_t state = 0;
	if (way == TOLD_EDGE || way == FIRED)
		return MASK_STATES - 1;
	if (way == TWO_WATCHES)
		interest |= second_interest(interest);
	for (uint32_t bit = 1; bit < MASK_STATES; bit <<= 1) {
		bool ends = way == SELECT ? model_wakes_select(bit, interest)
					  : model_wakes(bit, interest);
		state |= ends ? 0 : bit;
	}
	return state;
}

static void prepare_sets(struct idler *i)
{
	static const uint32_t flags[WAYS] = {[TOLD_EDGE] = EPOLLET, [FIRED] = EPOLLONESHOT};
	i->set = epoll_create1(0);
	mask_ctl(i->set, EPOLL_CTL_ADD, i->fd, i->interest | flags[i->way], 1);
	if (i->way == TWO_WATCHES) {
		i->copy = dup(i->fd);
		mask_ctl(i->set, EPOLL_CTL_ADD, i->copy, second_interest(i->interest), 2);
	}
	if (i->way == TOLD_EDGE || i->way == FIRED)
		cr_assert_eq(mask_event(i->set, NULL), model_poll(i->state, i->interest));
	if (i->way == NESTED) {
		i->other = i->set;
		i->set = epoll_create1(0);
		mask_ctl(i->set, EPOLL_CTL_ADD, i->other, EPOLLIN, 3);
	}
	if (i->way == BESIDE_A_READY_SET) {
		i->copy = dup(i->fd);
		i->other = epoll_create1(0);
		mask_ctl(i->other, EPOLL_CTL_ADD, i->copy, i->state, 4);
		cr_assert_eq(mask_event(i->other, NULL), i->state);
	}
}

static void prepare(struct idler *i, enum way way, uint32_t interest)
{
	*i = (struct idler){.way = way, .interest = interest, .copy = -1, .set = -1, .other = -1};
	i->fd = mask_open(0);
	i->state = quiet_state(way, interest);
	mask_set(i->fd, i->state);
	if (way > SELECT)
		prepare_sets(i);
	i->call = (struct mate_call){.op = MATE_WAIT, .fd = i->set, .limit = -1};
	if (way <= SELECT)
		i->call = (struct mate_call){.op = way == POLL ? MATE_POLL : MATE_SELECT,
			.fd = i->fd,
			.events = interest,
			.limit = -1};
}

/* Whatever it waits for is there at last. */
static void wake(struct idler *i)
{
	if (i->way == FIRED)
		mask_ctl(i->set, EPOLL_CTL_MOD, i->fd, 0, 1);
	mask_set(i->fd, i->way == SELECT && !i->interest ? 0 : MASK_STATES - 1);
}

static void check(struct idler *i, long sleeps_most)
{
	struct mate_reply r = mate_answer(&i->mate);
	const char *who = mate_name(i->mate.kind), *way = way_names[i->way];
	if (r.ret < 1)
		cr_assert_fail("%s, %s, for %#x: %ld", way, who, i->interest, r.ret);
	if (r.cpu_ns > WALL_MS * 10000L)
		cr_assert_fail("%s, %s, for %#x in state %#x: %.2f ms of %d", way, who, i->interest,
			i->state, (double)r.cpu_ns / 1e6, WALL_MS);
	if (r.sleeps > sleeps_most && !mask_by_kernel() &&
		!tk_lacks(SYS_ppoll)) /* else in slices */
		cr_assert_fail("%s, %s, for %#x in state %#x: woken %ld times", way, who,
			i->interest, i->state, r.sleeps - 1);
}

static void clear_up(struct idler *i)
{
	mate_end(&i->mate);
	int fds[] = {i->fd, i->copy, i->set, i->other};
	for (int n = 0; n < 4; n++) {
		if (fds[n] >= 0)
			close(fds[n]);
	}
}

static void pass_time(void)
{
	struct timespec t = {0, WALL_MS * 1000000L};
	nanosleep(&t, NULL);
}

/* Writes that end no wait. The kernel's select is woken for PRI, whatever it waits for, and so may
 * ours be for what its poll cannot leave out. */
static void write_in_vain(struct idler *all, int count)
{
	static const uint32_t steps[] = {0, 7, EPOLLIN, 7, EPOLLPRI, EPOLLOUT};
	for (int n = 0; n < WRITES; n++) {
		for (int i = 0; i < count; i++) {
			uint32_t most = all[i].way == SELECT ? EPOLLIN | EPOLLOUT : 7;
			mask_set(all[i].fd, all[i].state & steps[n % 6] & most);
		}
	}
	pass_time();
}

static bool can_sleep(enum way way, uint32_t interest)
{
	return interest || way != SELECT; /* nothing would end that */
}

/* Where all is mirrored for watchers that are not seen, poll and select of a mask that others have
 * too are woken for them as well. */
static bool ends_by_writes(enum way way)
{
	return way == TOLD_EDGE || way == BESIDE_A_READY_SET ||
	       (way <= SELECT && getenv("EFDSHIM_MIRROR"));
}

static void all_ways(enum mate_kind kind, enum way from, enum way to, bool writes)
{
	enum { MOST = WAYS * MASK_INTERESTS };
	static struct idler all[MOST];
	int count = 0;
	if (writes && mask_by_kernel())
		return; /* that stand-in wakes everybody */
	for (enum way way = from; way <= to; way++) {
		for (uint32_t interest = 0; interest < MASK_INTERESTS; interest++) {
			if (can_sleep(way, interest) && !(writes && ends_by_writes(way)))
				prepare(&all[count++], way, interest);
		}
	}
	for (int i = 0; i < count; i++)
		all[i].mate = mate_start(kind);
	for (int i = 0; i < count; i++)
		mate_ask_asleep(&all[i].mate, all[i].call);
	if (writes)
		write_in_vain(all, count);
	else
		pass_time();
	for (int i = 0; i < count; i++) {
		wake(&all[i]);
		check(&all[i], writes ? SLEEPS_UNDER_WRITES_MOST : SLEEPS_MOST);
	}
	for (int i = 0; i < count; i++)
		clear_up(&all[i]);
}

Test(mask_idle, threads_in_a_state_that_does_not_match)
{
	all_ways(MATE_THREAD, 0, WAYS - 1, false);
}

Test(mask_idle, children_in_a_state_that_does_not_match)
{
	all_ways(MATE_FORKED, 0, TOLD_EDGE, false);
}

Test(mask_idle, programs_in_a_state_that_does_not_match)
{
	all_ways(MATE_EXECED, POLL, LEVEL, false);
}

Test(mask_idle, threads_under_writes_that_do_not_match)
{
	all_ways(MATE_THREAD, 0, WAYS - 1, true);
}

Test(mask_idle, children_under_writes_that_do_not_match)
{
	all_ways(MATE_FORKED, 0, TWO_WATCHES, true);
}

/* A loop that is told by level what it does not clear would spin: not so where it waits for another
 * bit of the same eventfd in the same call. */
Test(mask_idle, many_watches_of_one_object_in_all_states)
{
	enum { COPIES = 6 };
	static const uint32_t pairs[COPIES] = {1, 2, 4, 3, 5, 6};
	struct mate mates[COPIES];
	int fd = mask_open(0), copies[COPIES], sets[COPIES];
	for (int i = 0; i < COPIES; i++) {
		copies[i] = dup(fd);
		sets[i] = epoll_create1(0);
		mask_ctl(sets[i], EPOLL_CTL_ADD, copies[i], pairs[i], (uint64_t)i);
		mates[i] = mate_start(MATE_THREAD);
	}
	/* Those that match are not waited on: their sets are ready all the time. */
	for (uint32_t state = 1; state < 7; state++) {
		mask_set(fd, state);
		for (int i = 0; i < COPIES; i++) {
			if (!(state & pairs[i]))
				mate_ask_asleep(&mates[i],
					(struct mate_call){
						.op = MATE_WAIT, .fd = sets[i], .limit = -1});
		}
		pass_time();
		mask_set(fd, 7);
		for (int i = 0; i < COPIES; i++) {
			if (state & pairs[i])
				continue;
			struct mate_reply r = mate_answer(&mates[i]);
			cr_assert_eq(r.events, pairs[i]);
			cr_assert_lt(r.cpu_ns, WALL_MS * 10000L);
			cr_assert(mask_by_kernel() || r.sleeps <= SLEEPS_MOST,
				"%ld sleeps in state %#x for %#x", r.sleeps, state, pairs[i]);
		}
	}
	for (int i = 0; i < COPIES; i++) {
		mate_end(&mates[i]);
		close(sets[i]);
		close(copies[i]);
	}
	mask_close(fd);
}
