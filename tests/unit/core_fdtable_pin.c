/* Pins and closes of a number, one step after the other; and what a forked child makes of them. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "core/fdtable.h"

static void setup(void)
{
	unit_setup();
	cr_assert_eq(fdtable_init(), 0);
}

TestSuite(core_fdtable_pin, .init = setup, .fini = unit_teardown, .timeout = 20);

enum {
	NUMBER = 700, /* not open */
	PINS_MAX = 0x3fff,
};

static bool decode(int fd, struct fdref *ref)
{
	return fdtable_decode(fd, fdtable_entry(fd), ref);
}

static struct fdref object(int fd, uint32_t slot, uint32_t generation)
{
	struct fdref ref;

	cr_assert(fdtable_set_object(fd, slot, generation));
	cr_assert(decode(fd, &ref));
	return ref;
}

Test(core_fdtable_pin, an_unpinned_number_is_closed_at_once)
{
	struct fdref ref = object(NUMBER, 5, 5);

	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_NOW);
	cr_expect_eq(fdtable_kind(NUMBER), FD_CLOSING);
	cr_expect_not(decode(NUMBER, &ref));
	fdtable_closed(&ref);
	cr_expect(fdtable_foreign(NUMBER));
}

Test(core_fdtable_pin, a_pinned_number_is_closed_by_the_last_pin)
{
	struct fdref ref = object(NUMBER, 5, 5);

	cr_assert(fdtable_pin(&ref));
	cr_assert(fdtable_pin(&ref));
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_LATER);
	cr_expect_eq(fdtable_kind(NUMBER), FD_CLOSING);
	cr_expect_not(fdtable_unpin(&ref));
	cr_expect(fdtable_unpin(&ref));
	fdtable_closed(&ref);
	cr_expect(fdtable_foreign(NUMBER));
}

Test(core_fdtable_pin, a_number_is_closed_once)
{
	struct fdref ref = object(NUMBER, 5, 5);

	cr_assert(fdtable_pin(&ref));
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_LATER);
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_NOT_OURS);
	cr_expect(fdtable_unpin(&ref));
	cr_expect_not(fdtable_unpin(&ref));
	fdtable_closed(&ref);
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_NOT_OURS);
}

Test(core_fdtable_pin, an_open_number_is_not_closed_by_its_last_pin)
{
	struct fdref ref = object(NUMBER, 5, 5);

	for (int i = 0; i < 3; i++) {
		cr_assert(fdtable_pin(&ref));
		cr_expect_not(fdtable_unpin(&ref));
	}
	cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
}

Test(core_fdtable_pin, a_reference_taken_under_a_pin_is_as_good)
{
	struct fdref first = object(NUMBER, 5, 5), second;

	cr_assert(fdtable_pin(&first));
	cr_assert(decode(NUMBER, &second));
	cr_expect(fdtable_pin(&second));
	cr_expect_not(fdtable_unpin(&first));
	cr_expect_not(fdtable_unpin(&second));
	cr_expect_eq(fdtable_begin_close(&second), CLOSE_NOW);
}

Test(core_fdtable_pin, what_changed_cannot_be_pinned)
{
	struct fdref ref = object(NUMBER, 5, 5);

	object(NUMBER, 5, 6);
	cr_expect_not(fdtable_pin(&ref), "another generation");
	object(NUMBER, 6, 5);
	cr_expect_not(fdtable_pin(&ref), "another slot");
	fdtable_set_internal(NUMBER);
	cr_expect_not(fdtable_pin(&ref), "internal");
	fdtable_drop(NUMBER);
	cr_expect_not(fdtable_pin(&ref), "dropped");
	ref = object(NUMBER, 5, 5);
	cr_assert_eq(fdtable_begin_close(&ref), CLOSE_NOW);
	cr_expect_not(fdtable_pin(&ref), "closing");
}

Test(core_fdtable_pin, what_changed_cannot_be_closed)
{
	struct fdref ref = object(NUMBER, 5, 5), next;

	next = object(NUMBER, 5, 6);
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_NOT_OURS);
	fdtable_closed(&ref);
	cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
	cr_expect(fdtable_pin(&next));
}

Test(core_fdtable_pin, the_end_of_a_close_leaves_the_numbers_next_owner_alone)
{
	struct fdref ref = object(NUMBER, 5, 5), same;

	cr_assert_eq(fdtable_begin_close(&ref), CLOSE_NOW);
	same = object(NUMBER, 5, 5); /* the kernel has given the number to a dup */
	fdtable_closed(&ref);
	cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
	cr_expect(fdtable_pin(&same));
}

Test(core_fdtable_pin, a_late_unpin_leaves_the_numbers_next_owner_alone)
{
	struct fdref ref = object(NUMBER, 5, 5), next;

	cr_assert(fdtable_pin(&ref));
	next = object(NUMBER, 6, 6); /* replaced by dup2 in spite of the pin */
	cr_assert(fdtable_pin(&next));
	cr_expect_not(fdtable_unpin(&ref));
	cr_expect_eq(fdtable_begin_close(&next), CLOSE_LATER);
	cr_expect_not(fdtable_unpin(&ref));
	cr_expect(fdtable_unpin(&next));
}

Test(core_fdtable_pin, pins_end_before_they_overflow)
{
	struct fdref ref = object(NUMBER, 5, 5);

	for (int i = 0; i < PINS_MAX; i++)
		cr_assert(fdtable_pin(&ref), "pin %d", i);
	cr_expect_not(fdtable_pin(&ref));
	cr_assert_eq(fdtable_begin_close(&ref), CLOSE_LATER);
	for (int i = 1; i < PINS_MAX; i++)
		cr_assert_not(fdtable_unpin(&ref));
	cr_expect(fdtable_unpin(&ref));
}

Test(core_fdtable_pin, a_number_about_to_be_replaced_takes_no_new_pins)
{
	struct fdref ref = object(NUMBER, 5, 5), again;

	fdtable_begin_replace(NUMBER);
	cr_expect_not(fdtable_pin(&ref));
	cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
	cr_assert(decode(NUMBER, &again));
	fdtable_end_replace(NUMBER);
	cr_expect(fdtable_pin(&ref));
	cr_expect_not(fdtable_unpin(&ref));
	cr_expect(fdtable_pin(&again));
}

Test(core_fdtable_pin, a_replacement_within_ones_own_pin_goes_on)
{
	struct fdref ref = object(NUMBER, 5, 5);

	cr_assert(fdtable_pin(&ref));
	fdtable_begin_replace(NUMBER);
	fdtable_end_replace(NUMBER);
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_LATER, "the pin is still there");
	fdtable_begin_replace(NUMBER);
	cr_expect(fdtable_unpin(&ref));
}

Test(core_fdtable_pin, an_announced_object_is_there_but_cannot_be_pinned_or_closed)
{
	struct fdref ref = {.entry = fdtable_object_entry(5, 5)}, found;
	uint64_t before;

	cr_assert(fdtable_set_epoll(NUMBER, 1));
	cr_expect_not(fdtable_begin_replace(NUMBER), "it is no object");
	cr_assert(fdtable_announce(NUMBER, ref.entry, &before));
	cr_expect_not(fdtable_announce(NUMBER, ref.entry, &before), "it is one by now");
	cr_assert(decode(NUMBER, &found));
	cr_expect_eq(found.entry, ref.entry);
	cr_expect_not(fdtable_pin(&found));
	cr_expect_eq(fdtable_begin_close(&found), CLOSE_NOT_OURS);
	fdtable_replace_over();
}

Test(core_fdtable_pin, an_announcement_taken_back_leaves_what_was_there)
{
	uint64_t entry = fdtable_object_entry(5, 5), before;

	cr_assert(fdtable_set_epoll(NUMBER, 7));
	cr_assert(fdtable_announce(NUMBER, entry, &before));
	fdtable_take_back(NUMBER, entry, before);
	cr_expect_eq(fdtable_epoll_id(NUMBER), 7);
	cr_assert(fdtable_announce(NUMBER, entry, &before));
	object(NUMBER, 6, 6); /* another thread's dup2 */
	fdtable_take_back(NUMBER, entry, before);
	cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
}

struct replacer {
	atomic_bool begun;
	uint32_t slot;
};

static void *replace_it(void *arg)
{
	struct replacer *replacer = arg;

	fdtable_begin_replace(NUMBER);
	atomic_store(&replacer->begun, true);
	fdtable_set_object(NUMBER, replacer->slot, 1);
	fdtable_replace_over();
	return NULL;
}

Test(core_fdtable_pin, a_replacement_waits_for_another_threads)
{
	struct replacer replacer = {.slot = 8};
	struct fdref found;
	pthread_t thread;

	object(NUMBER, 5, 5);
	cr_expect(fdtable_begin_replace(NUMBER));
	pthread_create(&thread, NULL, replace_it, &replacer);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	cr_expect_not(atomic_load(&replacer.begun));
	cr_assert(fdtable_set_object(NUMBER, 7, 1));
	fdtable_replace_over();
	pthread_join(thread, NULL);
	cr_assert(decode(NUMBER, &found));
	cr_expect_eq(found.slot, 8);
}

struct pinner {
	struct fdref ref;
	pthread_barrier_t pinned;
	atomic_bool unpinned;
};

static void *pin_until_replaced(void *arg)
{
	struct pinner *pinner = arg;

	if (!fdtable_pin(&pinner->ref))
		return arg;
	pthread_barrier_wait(&pinner->pinned);
	while (fdtable_pin(&pinner->ref)) {
		fdtable_unpin(&pinner->ref);
		sched_yield();
	}
	atomic_store(&pinner->unpinned, true);
	return fdtable_unpin(&pinner->ref) ? arg : NULL;
}

Test(core_fdtable_pin, a_replacement_waits_for_other_threads_pins)
{
	struct pinner pinner = {.ref = object(NUMBER, 5, 5)};
	pthread_t thread;
	void *failed;

	pthread_barrier_init(&pinner.pinned, NULL, 2);
	pthread_create(&thread, NULL, pin_until_replaced, &pinner);
	pthread_barrier_wait(&pinner.pinned);
	fdtable_begin_replace(NUMBER);
	cr_expect(atomic_load(&pinner.unpinned));
	pthread_join(thread, &failed);
	cr_expect_null(failed);
}

/* A child that knows of the table only: there are no objects behind these entries. */
static int status_in_child(int (*body)(void *), void *arg)
{
	pid_t pid = fork();

	if (pid)
		return unit_wait(pid);
	fdtable_forked();
	_exit(body(arg));
}

static int pins_are_gone(void *arg)
{
	const struct fdref *ref = arg;

	return !(fdtable_pin(ref) && fdtable_begin_close(ref) == CLOSE_LATER && fdtable_unpin(ref));
}

Test(core_fdtable_pin, a_forked_child_knows_nothing_of_its_parents_pins)
{
	struct fdref ref = object(NUMBER, 5, 5);

	for (int i = 0; i < 3; i++)
		cr_assert(fdtable_pin(&ref));
	cr_expect_eq(status_in_child(pins_are_gone, &ref), 0);
	cr_expect_eq(fdtable_begin_close(&ref), CLOSE_LATER, "the parent's are still there");
}

static int late_unpin_is_nothing(void *arg)
{
	const struct fdref *ref = arg;

	return fdtable_unpin(ref) || fdtable_kind(ref->fd) != FD_OBJECT;
}

Test(core_fdtable_pin, a_pin_of_the_forking_thread_may_be_undone_in_the_child)
{
	struct fdref ref = object(NUMBER, 5, 5);

	cr_assert(fdtable_pin(&ref));
	cr_expect_eq(status_in_child(late_unpin_is_nothing, &ref), 0);
}

static int is_closed(void *arg)
{
	int fd = *(int *)arg;

	return !(fdtable_foreign(fd) && fcntl(fd, F_GETFD) == -1);
}

Test(core_fdtable_pin, a_forked_child_ends_a_close_its_parent_was_at)
{
	struct fdref ref;
	int fd;

	cr_assert_eq(mkfifo(unit_path("fifo"), 0600), 0);
	fd = open(unit_path("fifo"), O_RDWR);
	ref = object(fd, 5, 5);
	cr_assert(fdtable_pin(&ref));
	cr_assert_eq(fdtable_begin_close(&ref), CLOSE_LATER);
	cr_expect_eq(status_in_child(is_closed, &fd), 0);
	cr_expect_neq(fcntl(fd, F_GETFD), -1, "the parent's number stays");
	cr_expect(fdtable_unpin(&ref));
	close(fd);
	fdtable_closed(&ref);
}

static int is_still_open(void *arg)
{
	int fd = *(int *)arg;

	return !(fdtable_foreign(fd) && fcntl(fd, F_GETFD) != -1);
}

Test(core_fdtable_pin, a_forked_child_keeps_a_file_that_got_the_number_meanwhile)
{
	int fd = open("/dev/null", O_RDONLY);
	struct fdref ref = object(fd, 5, 5);

	cr_assert_eq(fdtable_begin_close(&ref), CLOSE_NOW);
	cr_expect_eq(status_in_child(is_still_open, &fd), 0);
	close(fd);
	fdtable_closed(&ref);
}

/* A handler forked in the middle of the making. */
Test(core_fdtable_pin, a_forked_child_ends_a_making_that_it_has_not_begun)
{
	fdtable_begin_making();
	fdtable_forked();
	fdtable_end_making();
	cr_expect_eq(atomic_load(&fdtable_makers), 0);
}
