/* Events and data are one pair: however many write and read at once, nobody sees a half of one and
 * a half of another. */
#define _GNU_SOURCE
#include "askboth.h"
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

TestSuite(mask_atomic, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { WRITERS = 4, READERS = 4, ALL = WRITERS + READERS, ENOUGH_MS = 600, LONG_MS = 20000 };

/* In memory that children share. */
struct race {
	int fd;
	atomic_bool over;
	atomic_long wrote, read, changes;
	atomic_int mixed; /* a state nobody wrote; line of the first */
};

/* Only these are written in races that are watched: any other is a mixture. */
static const uint32_t two_states[2] = {EPOLLIN | EPOLLPRI, EPOLLOUT | EPOLLHUP};

static bool one_of_two(uint32_t state)
{
	return state == two_states[0] || state == two_states[1];
}

static void is_mixed(struct race *r, int line)
{
	int none = 0;
	atomic_compare_exchange_strong(&r->mixed, &none, line);
	r->over = true;
}

static struct race *start_race(void)
{
	struct race *r =
		mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(r != MAP_FAILED);
	r->fd = mask_open(0);
	mask_put(r->fd, two_states[0], mask_data(two_states[0], 0));
	return r;
}

static bool all_had_turns(const struct race *r)
{
	return r->wrote > 1000 && r->read > 1000 && r->changes > 10;
}

static void end_race(struct race *r)
{
	cr_assert_eq(r->mixed, 0, "a mixture: line %d", r->mixed);
	cr_assert(all_had_turns(r), "%ld writes, %ld reads, %ld changes", r->wrote, r->read,
		r->changes);
	mask_close(r->fd);
	munmap(r, sizeof(*r));
}

static void put(struct race *r, uint32_t events, uint64_t when)
{
	struct efd_mask mask = {events, mask_data(events, when)};
	if (write(r->fd, &mask, sizeof(mask)) != sizeof(mask))
		is_mixed(r, __LINE__);
	r->wrote++;
}

static void *write_all(void *race)
{
	struct race *r = race;
	uint64_t seed = (uint64_t)gettid() * 2654435761U + 1;
	while (!r->over) {
		uint64_t random = mask_random(&seed);
		put(r, random & 31, random >> 8);
	}
	return NULL;
}

static void *write_two(void *race)
{
	struct race *r = race;
	for (uint64_t i = (uint64_t)gettid(); !r->over; i++)
		put(r, two_states[i & 1], i);
	return NULL;
}

static void note(struct race *r, const struct efd_mask *mask, uint64_t *last)
{
	if (mask->events >= MASK_STATES || !mask_whole(mask))
		is_mixed(r, __LINE__);
	r->read++;
	r->changes += mask->data != *last;
	*last = mask->data;
}

static void *read_pairs(void *race)
{
	struct race *r = race;
	uint64_t last = 0;
	while (!r->over) {
		struct efd_mask mask = {0, 0};
		if (read(r->fd, &mask, sizeof(mask)) != sizeof(mask))
			is_mixed(r, __LINE__);
		note(r, &mask, &last);
	}
	return NULL;
}

/* The stand-in for the kernel takes the parts for one read. */
static void *read_vectors(void *race)
{
	struct race *r = race;
	uint64_t last = 0;
	if (mask_by_kernel())
		return read_pairs(race);
	while (!r->over) {
		struct efd_mask masks[2] = {{0, 0}, {0, 0}};
		struct iovec iov[2] = {{&masks[0], sizeof(*masks)}, {&masks[1], sizeof(*masks)}};
		if (readv(r->fd, iov, 2) != sizeof(masks))
			is_mixed(r, __LINE__);
		note(r, &masks[0], &last);
		note(r, &masks[1], &last);
	}
	return NULL;
}

/* Every way to look at the state: one load of it, never a mixture. */
static void *look(void *race)
{
	struct race *r = race;
	int set = mask_watch(r->fd, 7, 1);
	uint32_t last = 0;
	while (!r->over) {
		uint32_t polled = mask_poll(r->fd, 7), told = mask_event(set, NULL);
		unsigned selected = mask_select(r->fd, 7);
		if (!one_of_two(polled) || !one_of_two(told) ||
			(selected != model_select(two_states[0], 7) &&
				selected != model_select(two_states[1], 7)))
			is_mixed(r, __LINE__);
		r->read++;
		r->changes += polled != last;
		last = polled;
	}
	close(set);
	return NULL;
}

typedef void *(*job)(void *);

struct child_job {
	job does;
	struct race *race;
};

static void do_job(void *arg)
{
	struct child_job *j = arg;
	j->does(j->race);
}

static pid_t start_job(job does, struct race *r)
{
	struct child_job j = {does, r};
	return start_child(do_job, &j);
}

static void pass_time(struct race *r)
{
	int64_t start = tk_now_ms(), end = start + ENOUGH_MS;
	while (!r->over &&
		(tk_now_ms() < end || (!all_had_turns(r) && tk_now_ms() < start + LONG_MS)))
		usleep(10000);
	r->over = true;
}

static void among_threads(job writes, job reads, job also_reads)
{
	struct race *r = start_race();
	pthread_t threads[ALL];
	for (int i = 0; i < ALL; i++) {
		job does = i < WRITERS ? writes : i % 2 ? reads : also_reads;
		cr_assert_eq(pthread_create(&threads[i], NULL, does, r), 0);
	}
	pass_time(r);
	for (int i = 0; i < ALL; i++)
		pthread_join(threads[i], NULL);
	end_race(r);
}

static void among_children(job writes, job reads, job also_reads)
{
	struct race *r = start_race();
	pid_t pids[ALL];
	for (int i = 0; i < ALL; i++) {
		job does = i < WRITERS ? writes : i % 2 ? reads : also_reads;
		pids[i] = start_job(does, r);
	}
	pass_time(r);
	for (int i = 0; i < ALL; i++)
		end_child(pids[i]);
	end_race(r);
}

Test(mask_atomic, threads_that_read_all_that_is_written)
{
	among_threads(write_all, read_pairs, read_vectors);
}

Test(mask_atomic, children_that_read_all_that_is_written)
{
	among_children(write_all, read_pairs, read_vectors);
}

Test(mask_atomic, threads_that_poll_what_is_written)
{
	among_threads(write_two, look, read_pairs);
}

Test(mask_atomic, children_that_poll_what_is_written)
{
	among_children(write_two, look, read_pairs);
}

/* Threads and children together, in both parts. */
Test(mask_atomic, threads_and_children)
{
	struct race *r = start_race();
	pthread_t threads[4];
	pid_t pids[4];
	static const job jobs[4] = {write_two, look, write_two, read_pairs};
	for (int i = 0; i < 4; i++)
		pids[i] = start_job(jobs[i], r);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, jobs[i], r), 0);
	pass_time(r);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		end_child(pids[i]);
	}
	end_race(r);
}

/* What one thread writes, it reads back, and the others never see anything older than they saw: a
 * single writer counts upwards. */
static void *count_up(void *race)
{
	struct race *r = race;
	for (uint64_t i = 1; !r->over; i++) {
		struct efd_mask mask = {(uint32_t)i & 31, i};
		if (write(r->fd, &mask, sizeof(mask)) != sizeof(mask) ||
			read(r->fd, &mask, sizeof(mask)) != sizeof(mask) || mask.data != i)
			is_mixed(r, __LINE__);
		r->wrote++;
	}
	return NULL;
}

static void *see_it_rise(void *race)
{
	struct race *r = race;
	for (uint64_t last = 0; !r->over;) {
		struct efd_mask mask = {0, 0};
		if (read(r->fd, &mask, sizeof(mask)) != sizeof(mask) || mask.data < last ||
			mask.events != (mask.data & 31))
			is_mixed(r, __LINE__);
		r->changes += mask.data != last;
		last = mask.data;
		r->read++;
	}
	return NULL;
}

Test(mask_atomic, time_goes_forward)
{
	struct race *r = start_race();
	pthread_t threads[3];
	mask_put(r->fd, 0, 0);
	pid_t child = start_job(see_it_rise, r);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, i ? see_it_rise : count_up, r), 0);
	pass_time(r);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	end_child(child);
	end_race(r);
}
