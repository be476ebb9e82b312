/* Expirations: how many a read finds, and when. Counts are exact: those of a moment that the clock
 * was looked at on both sides of. */
#define _GNU_SOURCE
#include "task.h"
#include "timerkit.h"

#include <signal.h>
#include <string.h>

TestSuite(timer_read, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

Test(timer_read, nothing_before_it_is_due)
{
	int fd = new_timer(TFD_NONBLOCK);
	cr_assert_eq(read_timer(fd), -EAGAIN);
	set_timer(fd, 0, 3600 * SECOND, 0);
	cr_assert_eq(read_timer(fd), -EAGAIN);
	close(fd);
}

Test(timer_read, one_shot_blocks_and_is_never_early)
{
	int fd = new_timer(0);
	for (int64_t wait = 1; wait <= 30 * MS; wait = wait * 3 + 100) {
		int64_t start = now();
		set_timer(fd, 0, wait, 0);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_geq(now() - start, wait);
	}
	close(fd);
}

Test(timer_read, absolute_times_on_every_clock)
{
	const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
	for (int i = 0; i < 3; i++) {
		int fd = timerfd_create(clocks[i], 0);
		int64_t at = now_on(clocks[i]) + 15 * MS;
		set_timer(fd, TFD_TIMER_ABSTIME, at, 0);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_geq(now_on(clocks[i]), at);
		close(fd);
	}
}

Test(timer_read, relative_times_on_every_clock)
{
	const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
	for (int i = 0; i < 3; i++) {
		int fd = timerfd_create(clocks[i], 0);
		int64_t start = now();
		set_timer(fd, 0, 15 * MS, 0);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_geq(now() - start, 15 * MS);
		close(fd);
	}
}

/* Reads when it knows how many there are: false where the clock went past another one meanwhile. */
static bool count_is_exact(int fd, int64_t *first, int64_t interval)
{
	int64_t least = (now() - *first) / interval + 1;
	int64_t count = read_timer(fd);
	int64_t most = (now() - *first) / interval + 1;
	cr_assert(count >= least && count <= most, "%lld, not %lld to %lld", (long long)count,
		(long long)least, (long long)most);
	*first += count * interval;
	return least == most;
}

Test(timer_read, a_late_reader_finds_them_all)
{
	int fd = new_timer(TFD_NONBLOCK), exact = 0;
	for (int i = 0; i < 20; i++) {
		int64_t interval = (1 + i % 4) * MS, first = now() + 2 * MS;
		set_timer(fd, TFD_TIMER_ABSTIME, first, interval);
		sleep_until(first + (3 + i) * interval + interval / 2);
		exact += count_is_exact(fd, &first, interval);
	}
	cr_assert_gt(exact, 0, "the machine was never quiet enough");
	close(fd);
}

Test(timer_read, none_is_lost_or_found_twice_over_many_reads)
{
	int fd = new_timer(0);
	int64_t first = now() + MS, start = first, interval = MS / 3, all = 0;
	set_timer(fd, TFD_TIMER_ABSTIME, first, interval);
	for (int i = 0; i < 200; i++) {
		int64_t count = read_timer(fd);
		cr_assert_geq(count, 1);
		all += count;
		cr_assert_leq(all, (now() - start) / interval + 1, "found too early");
		if (i % 16 == 0)
			sleep_until(now() + 3 * MS);
	}
	first += all * interval;
	sleep_until(first + 10 * interval);
	count_is_exact(fd, &first, interval);
	close(fd);
}

Test(timer_read, intervals_of_a_nanosecond)
{
	int fd = new_timer(TFD_NONBLOCK);
	int64_t first = now();
	set_timer(fd, TFD_TIMER_ABSTIME, first, 1);
	sleep_until(first + 5 * MS);
	for (int i = 0; i < 50; i++)
		count_is_exact(fd, &first, 1);
	close(fd);
}

Test(timer_read, a_first_expiration_long_ago)
{
	int fd = new_timer(TFD_NONBLOCK);
	for (int64_t interval = 1; interval < SECOND; interval *= 1000) {
		int64_t first = 1;
		set_timer(fd, TFD_TIMER_ABSTIME, 1, interval);
		cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
		count_is_exact(fd, &first, interval);
	}
	close(fd);
}

Test(timer_read, setting_it_anew_forgets_what_was_not_read)
{
	int fd = new_timer(TFD_NONBLOCK);
	for (int i = 0; i < 3; i++) {
		set_timer(fd, TFD_TIMER_ABSTIME, 1, MS);
		cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
		set_timer(fd, 0, i == 0 ? 0 : 3600 * SECOND, i == 1 ? SECOND : 0);
		cr_assert_eq(polled_timer(fd, POLLIN, 0), 0);
		cr_assert_eq(read_timer(fd), -EAGAIN);
	}
	close(fd);
}

Test(timer_read, disarmed_it_stays_silent)
{
	int fd = new_timer(TFD_NONBLOCK);
	set_timer(fd, 0, 20 * MS, 5 * MS);
	set_timer(fd, 0, 0, 5 * MS);
	cr_assert_eq(polled_timer(fd, POLLIN, 60), 0);
	cr_assert_eq(read_timer(fd), -EAGAIN);
	close(fd);
}

Test(timer_read, gettime_of_a_periodic_one_that_is_late)
{
	int fd = new_timer(TFD_NONBLOCK);
	int64_t first = now(), interval = 20 * MS;
	set_timer(fd, TFD_TIMER_ABSTIME, first, interval);
	sleep_until(first + 5 * interval + interval / 2);
	int64_t before = now(), left = ns_of(get_timer(fd).it_value), after = now();
	cr_assert(left > 0 && left <= interval);
	cr_assert_geq((before + left - first) / interval, 5);
	cr_assert((after + left - first) % interval <= after - before ||
		  (before - first) / interval != (after - first) / interval);
	count_is_exact(fd, &first, interval);
	close(fd);
}

Test(timer_read, a_blocked_reader_wakes_when_another_thread_sets_it)
{
	struct task t;
	int fd = new_timer(0);
	task_start_blocked(&t, task_read, fd, 0);
	set_timer(fd, 0, 10 * MS, 0);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 1);
	task_start(&t, task_read, fd, 0);
	set_timer(fd, 0, 3600 * SECOND, 0);
	task_wait_asleep(&t);
	set_timer(fd, TFD_TIMER_ABSTIME, 1, 0); /* earlier than it was */
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 1);
	close(fd);
}

Test(timer_read, one_expiration_is_for_one_of_two_readers)
{
	struct task t[2];
	int fd = new_timer(0);
	for (int i = 0; i < 20; i++) {
		task_start_blocked(&t[0], task_read, fd, 0);
		task_start_blocked(&t[1], task_read, fd, 0);
		set_timer(fd, 0, MS, 0);
		task_wait_done(t, 2, 1);
		set_timer(fd, 0, MS, 0);
		for (int j = 0; j < 2; j++) {
			cr_assert_eq(task_join(&t[j]), 8);
			cr_assert_eq(t[j].value, 1);
		}
	}
	close(fd);
}

Test(timer_read, readers_in_threads_share_them_out)
{
	enum { READERS = 3 };
	struct task t[READERS];
	int fd = new_timer(0);
	int64_t first = now() + MS, interval = MS / 4, taken = 0;
	set_timer(fd, TFD_TIMER_ABSTIME, first, interval);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < READERS; i++)
			task_start(&t[i], task_read, fd, 0);
		for (int i = 0; i < READERS; i++) {
			cr_assert_eq(task_join(&t[i]), 8);
			taken += (int64_t)t[i].value;
		}
		cr_assert_leq(taken, (now() - first) / interval + 1);
	}
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	first += taken * interval;
	sleep_until(first + 4 * interval);
	count_is_exact(fd, &first, interval);
	close(fd);
}

Test(timer_read, a_reader_can_be_cancelled)
{
	struct task t;
	int fd = new_timer(0);
	task_start_blocked(&t, task_read, fd, 0);
	task_cancel(&t);
	set_timer(fd, 0, 1, 0);
	cr_assert_eq(read_timer(fd), 1);
	close(fd);
}

static atomic_int handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

Test(timer_read, signals)
{
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction action = {
			.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
		struct task t;
		int fd = new_timer(0);
		set_timer(fd, 0, 3600 * SECOND, 0);
		cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
		handled = 0;
		task_start_blocked(&t, task_read, fd, 0);
		pthread_kill(t.thread, SIGUSR1);
		if (restart) {
			while (!handled)
				sleep_until(now() + MS);
			task_wait_asleep(&t);
			set_timer(fd, 0, 1, 0);
		}
		cr_assert_eq(task_join(&t), restart ? 8 : -EINTR);
		close(fd);
	}
}
