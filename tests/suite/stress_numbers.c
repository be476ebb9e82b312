/* Threads use one number while it goes from object to object: each write must arrive in an object
 * that had the number meanwhile, each value be read from such a one, and nothing twice. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(stress_numbers, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { WORKERS = 3, OBJECTS = 3000, FIELD = 20, HIGH = 100 };

enum kind { EVENTFD, PIPE, MEMORY };

/* An object at the number, and other ways to it that no thread but the first uses: `copy` is what
 * is at the number, `far` is the other end of a pipe, or the same. */
struct object {
	enum kind kind;
	int copy, far;
	uint64_t put; /* values, for the readers */
};

static int number;
static atomic_bool stop;
static _Atomic uint64_t turn; /* twice the index of the object; odd while it changes */
static struct object objects[2];

/* Each on its cache line; `began` is the turn in which the thread's call began. */
struct worker {
	_Alignas(64) _Atomic uint64_t began;
	_Atomic uint64_t certain[OBJECTS + 1], all; /* writes that returned 8 */
	uint64_t power, calls;
	atomic_bool left;
	pthread_t thread;
};

static struct worker workers[WORKERS];
static _Atomic uint64_t taken[OBJECTS + 1];

/* `end` of a pipe goes to the number. */
static int make_file(struct object *o, int flags, int end)
{
	int ends[2];
	if (o->kind == EVENTFD)
		return eventfd(0, flags);
	if (o->kind == MEMORY) {
		int fd = tk_memory_file(0);
		cr_assert_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
		return fd;
	}
	cr_assert_eq(pipe2(ends, flags), 0);
	o->far = fcntl(ends[1 - end], F_DUPFD, HIGH);
	cr_assert_eq(close(ends[1 - end]), 0);
	return ends[end];
}

static struct object make(enum kind kind, int flags, int end)
{
	struct object o = {.kind = kind};
	int fd = make_file(&o, flags, end);
	o.copy = fcntl(fd, F_DUPFD, HIGH);
	if (kind != PIPE)
		o.far = o.copy;
	if (fd != number) {
		cr_assert_eq(dup2(fd, number), number);
		cr_assert_eq(close(fd), 0);
	}
	return o;
}

static void drop(struct object o)
{
	cr_assert_eq(close(o.copy), 0);
	if (o.kind == PIPE)
		cr_assert_eq(close(o.far), 0);
}

/* A file that is not yet O_APPEND must not be seen, nor may a pipe's other end. */
static void next_object(uint64_t index, enum kind kind, int flags, int end)
{
	atomic_fetch_add(&turn, 1);
	if (index % 2 && kind == EVENTFD)
		cr_assert_eq(close(number), 0);
	objects[index % 2] = make(kind, flags, end);
	atomic_fetch_add(&turn, 1);
}

static void start(void *(*run)(void *))
{
	atomic_store(&stop, false);
	for (int i = 0; i < WORKERS; i++) {
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].power = 1ull << FIELD * i;
		cr_assert_eq(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
	}
}

static void begin(enum kind kind, int flags, int end)
{
	memset(taken, 0, sizeof(taken));
	number = dup(0);
	cr_assert_eq(close(number), 0);
	objects[0] = make(kind, flags, end);
	atomic_store(&turn, 0);
}

/* Lets the others run now and then, as there may be few CPUs. */
static uint64_t begin_call(struct worker *w)
{
	uint64_t now = atomic_load(&turn);
	if (w->calls++ % 8 == 0)
		sched_yield();
	atomic_store(&w->began, now);
	return now;
}

/* Every call that began while an earlier object had the number is over. */
static bool all_began_at(uint64_t at)
{
	for (int i = 0; i < WORKERS; i++) {
		if (atomic_load(&workers[i].began) < at)
			return false;
	}
	return true;
}

/* The writers. */

static void *write_for_ever(void *arg)
{
	struct worker *w = arg;
	while (!atomic_load(&stop)) {
		uint64_t before = begin_call(w);
		ssize_t n = write(number, &w->power, 8);
		CHECK(n == 8 || (n == -1 && (errno == EBADF || errno == EAGAIN)));
		if (n != 8)
			continue;
		atomic_fetch_add(&w->all, 1);
		if (atomic_load(&turn) == before && before % 2 == 0)
			atomic_fetch_add(&w->certain[before / 2], 1);
	}
	return NULL;
}

/* Adds what is in the object to the sums; anything that no writer wrote fails. */
static void count_field(uint64_t value, uint64_t sums[WORKERS])
{
	for (int i = 0; i < WORKERS; i++)
		sums[i] += value >> FIELD * i & ((1u << FIELD) - 1);
	cr_assert_eq(value >> FIELD * WORKERS, 0, "a strange value: %#jx", (uintmax_t)value);
}

static void count_single(uint64_t value, uint64_t sums[WORKERS])
{
	for (int i = 0; i < WORKERS; i++) {
		if (value == workers[i].power) {
			sums[i]++;
			return;
		}
	}
	cr_assert_fail("a strange value: %#jx", (uintmax_t)value);
}

static void empty(struct object o, uint64_t sums[WORKERS])
{
	uint64_t value;
	ssize_t n;
	if (o.kind == MEMORY)
		cr_assert_eq(lseek(o.far, 0, SEEK_SET), 0);
	while ((n = read(o.far, &value, 8)) == 8) {
		if (o.kind == EVENTFD)
			count_field(value, sums);
		else
			count_single(value, sums);
	}
	cr_assert(n == 0 || (n == -1 && errno == EAGAIN), "%zd bytes at the end", n);
	drop(o);
}

static void settle_writes(uint64_t index, uint64_t totals[WORKERS])
{
	uint64_t sums[WORKERS] = {0};
	while (!all_began_at(2 * index + 2))
		sched_yield();
	empty(objects[index % 2], sums);
	for (int i = 0; i < WORKERS; i++) {
		uint64_t certain = atomic_load(&workers[i].certain[index]);
		cr_assert(sums[i] >= certain, "object %ju has %ju of writer %d, not %ju",
			(uintmax_t)index, (uintmax_t)sums[i], i, (uintmax_t)certain);
		totals[i] += sums[i];
	}
}

static void end_writers(uint64_t totals[WORKERS])
{
	uint64_t sums[WORKERS] = {0};
	atomic_store(&stop, true);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(pthread_join(workers[i].thread, NULL), 0);
	empty(objects[OBJECTS % 2], sums);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(totals[i] + sums[i], atomic_load(&workers[i].all),
			"writer %d wrote %ju, %ju arrived", i,
			(uintmax_t)atomic_load(&workers[i].all), (uintmax_t)(totals[i] + sums[i]));
	cr_assert_eq(close(number), 0);
}

static void written_while_it_changes(const enum kind kinds[4], uint32_t watched)
{
	uint64_t totals[WORKERS] = {0};
	int set = epoll_create1(EPOLL_CLOEXEC);
	begin(EVENTFD, O_NONBLOCK, 0);
	start(write_for_ever);
	for (uint64_t i = 1; i <= OBJECTS; i++) {
		if (watched && objects[(i - 1) % 2].kind != MEMORY)
			set_ctl(set, EPOLL_CTL_ADD, number, watched, i);
		while (!all_began_at(2 * i - 2))
			sched_yield();
		next_object(i, kinds[i % 4], O_NONBLOCK, 1);
		settle_writes(i - 1, totals);
		cr_assert_eq(epoll_wait(set, &(struct epoll_event){0}, 1, 0), 0);
	}
	end_writers(totals);
	cr_assert_eq(close(set), 0);
}

static const enum kind eventfds[4] = {EVENTFD, EVENTFD, EVENTFD, EVENTFD};
static const enum kind mixed[4] = {EVENTFD, MEMORY, EVENTFD, PIPE};

Test(stress_numbers, each_write_goes_to_one_eventfd)
{
	written_while_it_changes(eventfds, 0);
}

Test(stress_numbers, each_write_goes_to_one_eventfd_that_is_watched)
{
	written_while_it_changes(eventfds, EPOLLIN);
	written_while_it_changes(eventfds, EPOLLIN | EPOLLOUT | EPOLLET);
}

Test(stress_numbers, each_write_goes_to_one_eventfd_file_or_pipe)
{
	written_while_it_changes(mixed, 0);
}

Test(stress_numbers, each_write_goes_to_one_eventfd_file_or_pipe_that_is_watched)
{
	written_while_it_changes(mixed, EPOLLIN);
	written_while_it_changes(mixed, EPOLLIN | EPOLLOUT | EPOLLET);
}

/* The readers. What is put into object i is i << FIELD | 1, any number of times. */

static void *read_for_ever(void *arg)
{
	struct worker *w = arg;
	while (!atomic_load(&stop)) {
		uint64_t value, before = begin_call(w);
		ssize_t n = read(number, &value, 8);
		CHECK(n == 8 || (n == -1 && (errno == EBADF || errno == EAGAIN)));
		if (n != 8)
			continue;
		uint64_t times = value & ((1u << FIELD) - 1), sum = value >> FIELD;
		CHECK(times && sum % times == 0);
		CHECK(sum / times >= before / 2);
		CHECK(sum / times <= (atomic_load(&turn) + 1) / 2);
		atomic_fetch_add(&taken[sum / times], times);
	}
	atomic_store(&w->left, true);
	return NULL;
}

static void put_one(uint64_t index)
{
	struct object *o = &objects[index % 2];
	uint64_t value = index << FIELD | 1;
	cr_assert_eq(write(o->far, &value, 8), 8);
	o->put++;
}

static void put_if_taken(uint64_t index)
{
	if (atomic_load(&taken[index]) == objects[index % 2].put)
		put_one(index);
}

static uint64_t take_rest(struct object o, uint64_t index)
{
	uint64_t value, sum = 0;
	cr_assert_eq(fcntl(o.copy, F_SETFL, O_NONBLOCK), 0);
	while (read(o.copy, &value, 8) == 8)
		sum += value;
	cr_assert_eq(sum % (index << FIELD | 1), 0, "%#jx in object %ju", (uintmax_t)sum,
		(uintmax_t)index);
	return sum / (index << FIELD | 1);
}

/* Gives to both until nobody is left in a call on the old one. */
static void settle_reads(uint64_t index)
{
	struct object o;
	while (!all_began_at(2 * index + 2)) {
		put_if_taken(index);
		put_if_taken(index + 1);
		sched_yield();
	}
	o = objects[index % 2];
	uint64_t rest = take_rest(o, index), gone = atomic_load(&taken[index]);
	cr_assert_eq(rest + gone, o.put, "object %ju: put %ju, taken %ju, left %ju",
		(uintmax_t)index, (uintmax_t)o.put, (uintmax_t)gone, (uintmax_t)rest);
	drop(o);
}

static void end_readers(void)
{
	atomic_store(&stop, true);
	for (int i = 0; i < WORKERS; i++) {
		while (!atomic_load(&workers[i].left)) {
			put_if_taken(OBJECTS);
			sched_yield();
		}
		cr_assert_eq(pthread_join(workers[i].thread, NULL), 0);
	}
	drop(objects[OBJECTS % 2]);
	cr_assert_eq(close(number), 0);
}

static void read_while_it_changes(const enum kind kinds[4], int flags, uint32_t watched)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	begin(EVENTFD, flags, 0);
	start(read_for_ever);
	for (uint64_t i = 1; i <= OBJECTS; i++) {
		if (watched)
			set_ctl(set, EPOLL_CTL_ADD, number, watched, i);
		put_one(i - 1);
		if (i % 3 == 0) {
			while (!atomic_load(&taken[i - 1]))
				sched_yield();
		}
		next_object(i, kinds[i % 4], flags, 0);
		settle_reads(i - 1);
	}
	end_readers();
	cr_assert_eq(close(set), 0);
}

static const enum kind with_pipes[4] = {EVENTFD, PIPE, EVENTFD, EVENTFD};

Test(stress_numbers, each_value_is_read_from_its_eventfd)
{
	read_while_it_changes(eventfds, O_NONBLOCK, 0);
	read_while_it_changes(eventfds, O_NONBLOCK, EPOLLIN | EPOLLOUT | EPOLLET);
}

Test(stress_numbers, each_value_is_read_from_its_eventfd_by_threads_that_block)
{
	read_while_it_changes(eventfds, 0, 0);
	read_while_it_changes(eventfds, 0, EPOLLIN);
}

Test(stress_numbers, each_value_is_read_from_its_eventfd_or_pipe)
{
	read_while_it_changes(with_pipes, O_NONBLOCK, 0);
	read_while_it_changes(with_pipes, O_NONBLOCK, EPOLLIN | EPOLLET);
}

Test(stress_numbers, each_value_is_read_from_its_eventfd_or_pipe_by_threads_that_block)
{
	read_while_it_changes(with_pipes, 0, 0);
	read_while_it_changes(with_pipes, 0, EPOLLIN | EPOLLET);
}
