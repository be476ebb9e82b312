#include "levelkit.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "core/stats.h"

TestSuite(core_level, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

enum { PIPE_HOLDS = 65536, WORD = 8 };

static int bytes_in(int fifo)
{
	int bytes = -1;

	cr_assert_eq(ioctl(fifo, FIONREAD, &bytes), 0);
	return bytes;
}

static int watch(int fifo, uint32_t events)
{
	struct epoll_event event = {.events = events};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	cr_assert(epfd >= 0);
	cr_assert_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fifo, &event), 0);
	return epfd;
}

/* The one event there is now, or 0. */
static uint32_t next_event(int epfd)
{
	struct epoll_event events[2];
	int n = epoll_wait(epfd, events, 2, 0);

	cr_assert(n == 0 || n == 1);
	return n ? events[0].events : 0;
}

Test(core_level, an_empty_counter_leaves_the_fifo_empty)
{
	struct mirrored m = levelkit_make(0, false);

	cr_expect_eq(bytes_in(m.fifo), 0);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, a_positive_counter_puts_a_word_into_the_fifo)
{
	struct mirrored m = levelkit_make(7, false);

	cr_expect_eq(bytes_in(m.fifo), WORD);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, a_read_empties_the_fifo)
{
	struct mirrored m = levelkit_make(7, false);

	cr_assert(levelkit_take(&m));
	cr_expect_eq(bytes_in(m.fifo), 0);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, a_semaphore_is_readable_until_its_last_unit)
{
	struct mirrored m = levelkit_make(3, true);

	for (int left = 2; left >= 0; left--) {
		cr_assert(levelkit_take(&m));
		cr_assert_eq(atomic_load(&m.slot->count), (uint64_t)left);
		levelkit_check(&m);
	}
	cr_assert_not(levelkit_take(&m));
	levelkit_free(&m);
}

Test(core_level, a_landed_level_costs_no_system_call_without_edges)
{
	struct mirrored m = levelkit_make(1, false);

	stats_on = true;
	for (int i = 0; i < 100; i++)
		cr_assert(levelkit_add(&m, 1));
	cr_expect_eq(atomic_load(&stats[STATS_SYSCALLS]), 0);
	cr_expect_eq(bytes_in(m.fifo), WORD);
	levelkit_free(&m);
}

Test(core_level, every_edge_is_an_event_for_an_edge_triggered_watcher)
{
	struct mirrored m = levelkit_make(0, false);
	int epfd = watch(m.fifo, EPOLLIN | EPOLLET);

	m.edge = true;
	for (int i = 0; i < 1000; i++) {
		cr_assert(levelkit_add(&m, 1));
		cr_assert_eq(next_event(epfd), EPOLLIN, "write %d", i);
		cr_assert_eq(next_event(epfd), 0);
	}
	levelkit_check(&m);
	close(epfd);
	levelkit_free(&m);
}

Test(core_level, without_edges_only_the_first_write_is_an_event)
{
	struct mirrored m = levelkit_make(0, false);
	int epfd = watch(m.fifo, EPOLLIN | EPOLLET);

	cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(next_event(epfd), EPOLLIN);
	cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(next_event(epfd), 0);
	cr_assert(levelkit_take(&m));
	cr_assert_eq(next_event(epfd), 0);
	cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(next_event(epfd), EPOLLIN);
	close(epfd);
	levelkit_free(&m);
}

/* More edges than the FIFO has room for: each is an event, and the level never blinks. */
Test(core_level, edges_go_on_after_the_fifo_has_filled_up)
{
	struct mirrored m = levelkit_make(0, false);
	int epfd = watch(m.fifo, EPOLLIN | EPOLLET);

	m.edge = true;
	atomic_fetch_or(&m.slot->watched, WATCHED_OUT);
	for (int i = 0; i < PIPE_HOLDS + 6000; i++) {
		cr_assert(levelkit_add(&m, 1));
		cr_assert(next_event(epfd) & EPOLLIN, "write %d", i);
		cr_assert(bytes_in(m.fifo) > 0);
	}
	cr_assert(levelkit_take(&m));
	levelkit_check(&m);
	close(epfd);
	levelkit_free(&m);
}

/* The kernel calls a pipe full as soon as its last page is begun. */
Test(core_level, unread_edges_are_never_taken_for_the_limit)
{
	struct mirrored m = levelkit_make(0, false);

	m.edge = true;
	atomic_fetch_or(&m.slot->watched, WATCHED_OUT);
	for (int i = 0; i < PIPE_HOLDS + 6000; i++) {
		cr_assert(levelkit_add(&m, 1));
		cr_assert_eq(unit_poll(m.fifo, POLLIN | POLLOUT), POLLIN | POLLOUT, "write %d", i);
	}
	levelkit_free(&m);
}

/* The write that finds no room is an edge already: a second one would be one too many. */
Test(core_level, an_edge_on_a_full_fifo_is_one_edge)
{
	struct mirrored m = levelkit_make(0, false);
	int epfd = watch(m.fifo, EPOLLIN | EPOLLET);

	m.edge = true;
	for (int i = 0; i < PIPE_HOLDS / WORD; i++)
		cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(next_event(epfd), EPOLLIN);
	cr_assert(levelkit_add(&m, 1));
	cr_expect_eq(next_event(epfd), EPOLLIN);
	cr_expect_eq(bytes_in(m.fifo), WORD);
	levelkit_check(&m);
	close(epfd);
	levelkit_free(&m);
}

Test(core_level, one_read_empties_a_fifo_full_of_edges)
{
	struct mirrored m = levelkit_make(0, false);

	m.edge = true;
	for (int i = 0; i < PIPE_HOLDS / WORD; i++)
		cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(bytes_in(m.fifo), PIPE_HOLDS);
	cr_assert(levelkit_take(&m));
	cr_expect_eq(bytes_in(m.fifo), 0);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, looking_at_a_fallen_level_empties_the_fifo)
{
	struct mirrored m = levelkit_make(1, false);

	atomic_store(&m.slot->count, 0); /* by a reader that was killed before it settled */
	level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_UP, false);
	cr_expect_eq(bytes_in(m.fifo), 0);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, a_stray_byte_goes_with_the_next_look_downwards)
{
	struct mirrored m = levelkit_make(0, false);

	cr_assert_eq(write(m.fifo, "", 1), 1);
	level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_DOWN, false);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, a_look_downwards_while_readable_puts_the_word_back)
{
	struct mirrored m = levelkit_make(5, false);

	level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_DOWN, false);
	cr_expect_eq(bytes_in(m.fifo), WORD);
	levelkit_check(&m);
	levelkit_free(&m);
}

static void write_bare(const struct mirrored *m, uint64_t value)
{
	cr_assert_eq(write(m->fifo, &value, WORD), WORD);
}

Test(core_level, writes_that_met_the_bare_fifo_are_done_by_the_next_look)
{
	struct mirrored m = levelkit_make(0, false);

	write_bare(&m, 5);
	write_bare(&m, 1ull << 40);
	cr_expect(level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_UP, false));
	cr_expect_eq(atomic_load(&m.slot->count), (1ull << 40) + 5);
	levelkit_check(&m);
	cr_expect_not(level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_UP, false));
	levelkit_free(&m);
}

Test(core_level, writes_that_met_the_bare_fifo_are_done_among_the_words_of_the_level)
{
	struct mirrored m = levelkit_make(1, false);

	m.edge = true;
	cr_assert(levelkit_add(&m, 1));
	write_bare(&m, 3);
	cr_assert(levelkit_add(&m, 1));
	write_bare(&m, 0);
	cr_assert(levelkit_take(&m));
	cr_expect_eq(atomic_load(&m.slot->count), 3);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, what_is_no_eventfd_s_write_goes_with_the_level)
{
	struct mirrored m = levelkit_make(0, false);

	write_bare(&m, UINT64_MAX);
	cr_assert_eq(write(m.fifo, "abcde", 5), 5);
	cr_expect_not(level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_DOWN, false));
	cr_expect_eq(atomic_load(&m.slot->count), 0);
	levelkit_check(&m);
	levelkit_free(&m);
}

/* The room that is there is not taken by what does not fit. */
Test(core_level, a_write_beyond_the_limit_stays_in_the_fifo_until_there_is_room)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT - 1, false);

	write_bare(&m, 7);
	level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_DOWN, false);
	cr_expect_eq(atomic_load(&m.slot->count), COUNTER_LIMIT - 1);
	cr_assert(levelkit_take(&m));
	cr_expect_eq(atomic_load(&m.slot->count), 7);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, the_limit_is_shown_as_not_writable)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT - 1, false);

	cr_assert_eq(unit_poll(m.fifo, POLLIN | POLLOUT), POLLIN | POLLOUT);
	cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(unit_poll(m.fifo, POLLIN | POLLOUT), POLLIN);
	levelkit_check(&m);
	cr_assert(levelkit_take(&m));
	cr_assert_eq(unit_poll(m.fifo, POLLIN | POLLOUT), POLLOUT);
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, the_limit_is_shown_to_a_watcher_that_comes_later)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT, false);

	cr_assert_eq(unit_poll(m.fifo, POLLIN | POLLOUT), POLLIN);
	levelkit_free(&m);
}

Test(core_level, one_unit_taken_at_the_limit_makes_room_without_an_edge_of_in)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT, true);
	int epfd = watch(m.fifo, EPOLLIN | EPOLLET);

	for (int i = 0; i < 100; i++) {
		next_event(epfd);
		cr_assert(levelkit_take(&m));
		cr_assert_eq(next_event(epfd), 0);
		levelkit_check(&m);
		cr_assert(levelkit_add(&m, 1));
		levelkit_check(&m);
	}
	close(epfd);
	levelkit_free(&m);
}

Test(core_level, room_made_at_the_limit_is_an_edge_of_out)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT, true);
	int epfd = watch(m.fifo, EPOLLOUT | EPOLLET);

	for (int i = 0; i < 100; i++) {
		cr_assert_eq(next_event(epfd), 0);
		cr_assert(levelkit_take(&m));
		cr_assert_eq(next_event(epfd), EPOLLOUT);
		cr_assert(levelkit_add(&m, 1));
	}
	close(epfd);
	levelkit_free(&m);
}

Test(core_level, the_limit_is_left_with_all_edges_still_unread)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT - 70000, false);

	m.edge = true;
	for (int i = 0; i < 70000; i++)
		cr_assert(levelkit_add(&m, 1));
	cr_assert_eq(atomic_load(&m.slot->count), COUNTER_LIMIT);
	levelkit_check(&m);
	cr_assert(levelkit_take(&m));
	levelkit_check(&m);
	levelkit_free(&m);
}

Test(core_level, an_edge_of_out_can_be_raised_at_any_count)
{
	static const uint64_t counts[] = {0, 1, COUNTER_LIMIT - 1};

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		struct mirrored m = levelkit_make(counts[i], false);
		int epfd = watch(m.fifo, EPOLLOUT | EPOLLET);

		cr_assert_eq(next_event(epfd), EPOLLOUT); /* of the watch itself */
		for (int raised = 0; raised < 3; raised++) {
			level_raise_out(m.slot, m.fifo);
			cr_assert_eq(next_event(epfd), EPOLLOUT, "at %lx", counts[i]);
			levelkit_check(&m);
		}
		close(epfd);
		levelkit_free(&m);
	}
}

/* As a write of 0 does in the kernel: who watches for both looks again, and finds OUT. */
Test(core_level, an_edge_of_in_without_a_count_shows_what_there_is)
{
	struct mirrored m = levelkit_make(0, false);
	int both = watch(m.fifo, EPOLLIN | EPOLLOUT | EPOLLET);
	int in = watch(m.fifo, EPOLLIN | EPOLLET);

	cr_assert_eq(next_event(both), EPOLLOUT); /* of the watch itself */
	for (int raised = 0; raised < 3; raised++) {
		level_raise_in(m.slot, m.fifo);
		cr_assert_eq(next_event(both), EPOLLOUT);
		cr_assert_eq(next_event(in), 0);
		levelkit_check(&m);
	}
	close(both);
	close(in);
	levelkit_free(&m);
}

Test(core_level, edges_of_in_after_one_of_out_are_not_taken_for_the_limit)
{
	struct mirrored m = levelkit_make(1, false);

	m.edge = true;
	level_raise_out(m.slot, m.fifo);
	levelkit_check(&m);
	for (int i = 0; i < 3; i++) {
		cr_assert(levelkit_add(&m, 1));
		levelkit_check(&m);
	}
	levelkit_free(&m);
}

Test(core_level, edges_of_in_after_the_limit_are_not_taken_for_it)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT, true);

	m.edge = true;
	for (int i = 0; i < 3; i++)
		cr_assert(levelkit_take(&m));
	for (int i = 0; i < 2; i++) {
		cr_assert(levelkit_add(&m, 1));
		levelkit_check(&m);
	}
	levelkit_free(&m);
}

Test(core_level, each_class_mirrors_its_own_predicate)
{
	static const struct {
		unsigned class;
		bool empty, some, full;
	} cases[] = {
		{CLASS_IN, false, true, true},
		{CLASS_OUT, true, true, false},
		{CLASS_IN | CLASS_OUT, true, true, true},
		{CLASS_PRI, false, false, false},
		{CLASS_PRI | CLASS_IN, false, true, true},
		{CLASS_PRI | CLASS_OUT, true, true, false},
		{CLASS_PRI | CLASS_IN | CLASS_OUT, true, true, true},
	};
	static const uint64_t counts[] = {0, 1, COUNTER_LIMIT};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const bool shown[] = {cases[i].empty, cases[i].some, cases[i].full};
		struct mirrored m = levelkit_make(0, false);

		for (size_t c = 0; c < 3; c++) {
			atomic_store(&m.slot->count, counts[c]);
			level_settle(m.slot, cases[i].class, m.fifo, LEVEL_UP, false);
			cr_expect_eq(bytes_in(m.fifo) > 0, shown[c], "class %u at %lx",
				cases[i].class, counts[c]);
			cr_expect_eq(level_landed(m.slot, cases[i].class), shown[c]);
		}
		levelkit_free(&m);
	}
}

Test(core_level, settling_leaves_errno_alone)
{
	struct mirrored m = levelkit_make(COUNTER_LIMIT - 1, false);

	errno = 4321;
	cr_assert(levelkit_add(&m, 1)); /* fills the FIFO until it answers EAGAIN */
	cr_assert(levelkit_take(&m));
	level_raise_out(m.slot, m.fifo);
	cr_expect_eq(errno, 4321);
	levelkit_free(&m);
}
