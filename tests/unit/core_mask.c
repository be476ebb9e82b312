/* The pair of a mask, and what a write of it does to the object's own FIFO. */
#include "unit.h"

#include <pthread.h>
#include <string.h>

#include "core/late.h"
#include "core/level.h"
#include "core/maskfd.h"
#include "core/mirror.h"
#include "efdshim/eventfd.h"

TestSuite(core_mask, .init = unit_setup, .fini = unit_teardown, .timeout = 60);

static int put(const struct fdref *ref, uint32_t events, uint64_t data)
{
	struct efd_mask mask = {.events = events, .data = data};
	struct outcome outcome = maskfd_write(ref, &mask, sizeof(mask));

	cr_assert(outcome.err || outcome.value == sizeof(mask));
	return outcome.err;
}

static struct efd_mask get(const struct fdref *ref)
{
	struct efd_mask mask;

	cr_assert_eq(maskfd_read(ref, &mask, sizeof(mask)).value, sizeof(mask));
	return mask;
}

static void expect(const struct fdref *ref, uint32_t events, uint64_t data)
{
	struct efd_mask mask = get(ref);

	cr_expect_eq(mask.events, events, "%x", mask.events);
	cr_expect_eq(mask.data, data, "%lx", mask.data);
}

Test(core_mask, a_swap_takes_the_pair_it_knew_only)
{
	static struct mask_cell cell;
	struct mask_pair before = mask_load(&cell), old = before;

	cr_expect(mask_swap(&cell, &before, EPOLLIN, 7));
	cr_expect_not(mask_swap(&cell, &old, EPOLLOUT, 8));
	cr_expect_eq(mask_events(old.state), (uint32_t)EPOLLIN);
	cr_expect_eq(old.data, 7);
	cr_expect(mask_swap(&cell, &old, EPOLLOUT, 8));
	cr_expect_eq(mask_events(mask_load(&cell).state), (uint32_t)EPOLLOUT);
}

Test(core_mask, each_write_has_a_version_of_its_own)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);
	uint32_t first = mask_version(atomic_load(&ref.object->mask.state));

	cr_assert_eq(put(&ref, EPOLLIN, 1), 0);
	cr_assert_eq(put(&ref, EPOLLIN, 1), 0);
	cr_expect_eq(mask_version(atomic_load(&ref.object->mask.state)), first + 2);
	unit_close(ref);
}

Test(core_mask, a_new_one_in_an_old_slot_shows_nothing)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0), old = ref;

	cr_assert_eq(put(&ref, EPOLLPRI, 99), 0);
	unit_close(ref);
	ref = unit_object_of(KIND_MASK, 0, 0);
	cr_assert_eq(ref.slot, old.slot);
	cr_expect_eq(put(&old, EPOLLIN, 5), EBADF);
	expect(&ref, 0, 0);
	unit_close(ref);
}

Test(core_mask, events_beyond_the_five_change_nothing)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);

	cr_assert_eq(put(&ref, EPOLLHUP, 3), 0);
	for (unsigned bit = 0; bit < 32; bit++) {
		if (!(MASK_EVENTS & 1u << bit))
			cr_expect_eq(put(&ref, EPOLLIN | 1u << bit, 4), EINVAL, "bit %u", bit);
	}
	expect(&ref, EPOLLHUP, 3);
	unit_close(ref);
}

/* The level of the own FIFO is up while it shows something that a watcher wants. */
Test(core_mask, the_level_is_up_while_a_watcher_has_what_it_wants)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);

	cr_assert_eq(mirror_want(&ref, EPOLLPRI | EPOLLERR | EPOLLHUP, false), 0);
	mirror_eagerly(&ref);
	for (uint32_t events = 0; events < 32; events++) {
		bool all = (events & ~MASK_EVENTS) == 0;
		uint32_t wanted = EPOLLPRI | EPOLLERR | EPOLLHUP;

		cr_assert_eq(put(&ref, events, 0), all ? 0 : EINVAL);
		cr_expect_eq(unit_poll(ref.fd, POLLIN) != 0, (events & wanted) != 0, "%x", events);
		cr_expect_eq(level_landed(ref.object, CLASS_IN), (events & wanted) != 0);
	}
	cr_assert_eq(put(&ref, EPOLLOUT, 0), 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), 0);
	cr_assert_eq(mirror_want(&ref, EPOLLOUT, false), 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), POLLIN);
	unit_close(ref);
}

Test(core_mask, a_level_that_may_be_stale_falls_when_somebody_looks)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);

	cr_assert_eq(mirror_want(&ref, EPOLLIN, false), 0);
	cr_assert_eq(put(&ref, EPOLLIN, 0), 0);
	cr_assert_eq(put(&ref, EPOLLOUT, 0), 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), POLLIN);
	mirror_refresh(&ref, CLASS_IN);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), 0);
	cr_assert_eq(put(&ref, EPOLLIN, 0), 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), POLLIN);
	cr_assert_eq(put(&ref, 0, 0), 0);
	mirror_eagerly(&ref);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), 0);
	unit_close(ref);
}

Test(core_mask, the_level_falls_with_the_last_watcher_that_wanted_it)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);

	cr_assert_eq(mirror_want(&ref, EPOLLIN, false), 0);
	cr_assert_eq(mirror_want(&ref, EPOLLIN | EPOLLOUT, false), 0);
	cr_assert_eq(put(&ref, EPOLLOUT, 0), 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), POLLIN);
	mirror_unwant(&ref, EPOLLIN | EPOLLOUT);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), 0);
	mirror_unwant(&ref, EPOLLOUT); /* one too many is no harm */
	cr_expect_eq(slot_wanted(ref.object), (uint32_t)(EPOLLIN | EPOLLERR | EPOLLHUP));
	unit_close(ref);
}

static int command(const struct fdref *ref, uint64_t word)
{
	struct outcome outcome = maskfd_write(ref, &word, sizeof(word));

	cr_assert(outcome.err || outcome.value == sizeof(word));
	return outcome.err;
}

static uint64_t pending(const struct fdref *ref)
{
	uint64_t word;

	cr_assert_eq(maskfd_read(ref, &word, sizeof(word)).value, sizeof(word));
	return word;
}

Test(core_mask, the_vpoll_dialect_adds_deletes_and_sets)
{
	struct fdref ref = unit_object_of(KIND_VPOLL, EPOLLOUT, 0);

	cr_expect_eq(pending(&ref), EPOLLOUT);
	cr_expect_eq(command(&ref, 1ull << 32 | EPOLLIN | EPOLLRDHUP), 0);
	cr_expect_eq(pending(&ref), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	cr_expect_eq(command(&ref, 2ull << 32 | EPOLLOUT | EPOLLPRI), 0);
	cr_expect_eq(pending(&ref), EPOLLIN | EPOLLRDHUP);
	cr_expect_eq(command(&ref, 3ull << 32 | EPOLLRDNORM), 0);
	cr_expect_eq(pending(&ref), EPOLLRDNORM);
	cr_expect_eq(command(&ref, EPOLLIN), EINVAL);
	cr_expect_eq(command(&ref, 4ull << 32 | EPOLLIN), EINVAL);
	cr_expect_eq(command(&ref, 1ull << 32 | (uint32_t)EPOLLET), EINVAL);
	cr_expect_eq(pending(&ref), EPOLLRDNORM);
	unit_close(ref);
}

/* Each says by the data which events belong to it. */
static uint64_t signed_by(uint32_t events, uint64_t turn)
{
	return turn << 32 | (events * 2654435761u ^ (uint32_t)turn);
}

static atomic_bool over;

static void *write_pairs(void *arg)
{
	for (uint64_t turn = 0; turn < 20000; turn++) {
		uint32_t events = (uint32_t)(turn * 7) & MASK_EVENTS;

		if (put(arg, events, signed_by(events, turn)))
			return arg;
	}
	return NULL;
}

static void *read_pairs(void *arg)
{
	while (!atomic_load(&over)) {
		struct efd_mask mask = get(arg);

		if (mask.data != signed_by(mask.events, mask.data >> 32))
			return arg;
	}
	return NULL;
}

Test(core_mask, a_read_never_mixes_two_writes)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);
	pthread_t writers[4], readers[4];
	void *failed;

	cr_assert_eq(put(&ref, 0, signed_by(0, 0)), 0);
	cr_assert_eq(mirror_want(&ref, EPOLLIN, true), 0);
	for (int i = 0; i < 4; i++) {
		pthread_create(&writers[i], NULL, write_pairs, &ref);
		pthread_create(&readers[i], NULL, read_pairs, &ref);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(writers[i], &failed);
		cr_expect_null(failed);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(readers[i], &failed);
		cr_expect_null(failed, "a mixed pair");
	}
	cr_expect_eq(unit_poll(ref.fd, POLLIN) != 0, slot_shows(ref.object, CLASS_IN));
	unit_close(ref);
}

/* The number was another file's when the read began, and is a mask's by now. */
Test(core_mask, a_late_read_of_a_mask_never_waits)
{
	struct fdref ref = unit_object_of(KIND_MASK, 0, 0);
	struct efd_mask mask = {.events = 1};
	struct outcome got = late_read(ref.fd, &mask, sizeof(mask), outcome_err(EAGAIN));

	cr_expect_eq(got.err, 0);
	cr_expect_eq(got.value, sizeof(mask));
	cr_expect_eq(mask.events, 0);
	unit_close(ref);
}
