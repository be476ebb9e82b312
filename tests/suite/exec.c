/* What a program finds of the eventfds its predecessor left open. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(exec, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_blocking, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_cloexec, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

ROLE(takes_seven_adds_nine)
{
	CHECK(takes(arg[0], 7));
	CHECK(adds(arg[0], 9));
}

Test(exec, the_count_goes_over_and_comes_back)
{
	int fd = new_eventfd(7, 0);
	in_role("takes_seven_adds_nine %d", fd);
	assert_count(fd, 9);
	assert_empty(fd);
	cr_assert_eq(close(fd), 0);
}

ROLE(finds_a_full_counter)
{
	CHECK(polled(arg[0]) == 1);
	CHECK(tell_write(arg[0], 1) == -EAGAIN);
	CHECK(takes(arg[0], UINT64_MAX - 1));
	CHECK(adds(arg[0], UINT64_MAX - 2));
}

Test(exec, the_largest_count_goes_over)
{
	int fd = new_eventfd(0, EFD_NONBLOCK);
	add(fd, UINT64_MAX - 1);
	in_role("finds_a_full_counter %d", fd);
	assert_count(fd, UINT64_MAX - 2);
	cr_assert_eq(close(fd), 0);
}

ROLE(finds_an_empty_one)
{
	uint64_t value = 99;
	CHECK(tell_read(arg[0], &value) == -EAGAIN && value == 99);
	CHECK(adds(arg[0], 1));
	CHECK(takes(arg[0], 1));
}

Test(exec, an_empty_counter_goes_over)
{
	int fd = new_eventfd(0, EFD_NONBLOCK);
	in_role("finds_an_empty_one %d", fd);
	assert_empty(fd);
	cr_assert_eq(close(fd), 0);
}

ROLE(takes_two_of_a_semaphore)
{
	CHECK(takes(arg[0], 1));
	CHECK(takes(arg[0], 1));
	CHECK(adds(arg[0], 3));
}

Test(exec, a_semaphore_is_one_still)
{
	int fd = new_eventfd(4, EFD_SEMAPHORE | EFD_NONBLOCK);
	in_role("takes_two_of_a_semaphore %d", fd);
	for (int i = 0; i < 5; i++)
		assert_count(fd, 1);
	assert_empty(fd);
	cr_assert_eq(close(fd), 0);
}

/* fd, status flags expected, status flags to leave */
ROLE(looks_at_flags)
{
	CHECK(fcntl(arg[0], F_GETFD) == 0);
	CHECK(fcntl(arg[0], F_GETFL) == arg[1]);
	CHECK(fcntl(arg[0], F_SETFL, arg[2]) == 0);
	CHECK(fcntl(arg[0], F_GETFL) == arg[2]);
}

Test(exec, status_flags_go_over_and_come_back)
{
	static const int flags[] = {0, O_NONBLOCK};
	for (int from = 0; from < 2; from++) {
		for (int to = 0; to < 2; to++) {
			int fd = new_eventfd(0, flags[from]);
			in_role("looks_at_flags %d %d %d", fd, O_RDWR | flags[from],
				O_RDWR | flags[to]);
			cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | flags[to]);
			cr_assert_eq(close(fd), 0);
		}
	}
}

ROLE(sets_FIONBIO)
{
	int on = 1;
	CHECK(ioctl(arg[0], FIONBIO, &on) == 0);
	uint64_t value;
	CHECK(tell_read(arg[0], &value) == -EAGAIN);
}

Test(exec, FIONBIO_set_over_there_holds_here)
{
	int fd = new_eventfd(0, 0);
	in_role("sets_FIONBIO %d", fd);
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(close(fd), 0);
}

ROLE(takes_turns_on_three_copies)
{
	CHECK(adds(arg[0], 1) && adds(arg[1], 10) && adds(arg[2], 100));
	CHECK(takes(arg[1], 111));
	CHECK(polled(arg[0]) == 4 && polled(arg[2]) == 4);
	CHECK(tell_close(arg[0]) == 0);
	CHECK(is_closed(arg[0]));
	CHECK(adds(arg[1], 5));
	CHECK(tell_close(arg[1]) == 0);
	CHECK(takes(arg[2], 5));
	CHECK(adds(arg[3], 1000) && polled(arg[2]) == 4);
	CHECK(fcntl(arg[2], F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(arg[3], F_GETFL) == O_RDWR);
}

Test(exec, copies_of_one_are_one_and_another_is_another)
{
	int fd = new_eventfd(0, 0), copy = dup(fd), far = fcntl(fd, F_DUPFD, 200);
	int other = new_eventfd(0, 0);
	in_role("takes_turns_on_three_copies %d %d %d %d", fd, copy, far, other);
	assert_empty(fd);
	assert_count(other, 1000);
	cr_assert_eq(fcntl(copy, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(close(fd) | close(copy) | close(far) | close(other), 0);
}

ROLE(holds_and_makes_others)
{
	int made[20];
	for (int i = 0; i < 20; i++) {
		made[i] = eventfd((unsigned int)i + 50, EFD_NONBLOCK);
		CHECK(made[i] >= 0 && made[i] != arg[0]);
	}
	for (int i = 0; i < 20; i++)
		CHECK(takes(made[i], (uint64_t)i + 50) && tell_close(made[i]) == 0);
	CHECK(takes(arg[0], 3));
	CHECK(fresh_one_works());
}

Test(exec, eventfds_made_over_there_are_others)
{
	int fd = new_eventfd(3, 0);
	in_role("holds_and_makes_others %d", fd);
	assert_empty(fd);
	cr_assert_eq(close(fd), 0);
}

ROLE(adds_one_to_each_in_the_range)
{
	for (int fd = arg[0]; fd <= arg[1]; fd++)
		CHECK(takes(fd, (uint64_t)fd) && adds(fd, (uint64_t)fd + 1));
}

Test(exec, three_hundred_go_over)
{
	enum { FIRST = 400, LAST = 699 };
	for (int i = FIRST; i <= LAST; i++) {
		int fd = new_eventfd((unsigned int)i, 0);
		cr_assert_eq(dup2(fd, i), i);
		cr_assert_eq(close(fd), 0);
	}
	in_role("adds_one_to_each_in_the_range %d %d", FIRST, LAST);
	for (int i = FIRST; i <= LAST; i++) {
		assert_count(i, (uint64_t)i + 1);
		cr_assert_eq(close(i), 0);
	}
}

/* eventfd, read end, write end, /dev/null */
ROLE(tells_the_kinds_apart)
{
	uint64_t value = 0x4142434445464748;
	struct stat st;
	CHECK(takes(arg[0], 5));
	CHECK(write(arg[2], &value, 8) == 8 && adds(arg[2], 1));
	CHECK(takes(arg[1], 0x4142434445464748) && takes(arg[1], 1));
	CHECK(read(arg[3], &value, 8) == 0 && write(arg[3], "abc", 3) == 3);
	CHECK(fstat(arg[1], &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(fstat(arg[0], &st) == 0 && !S_ISFIFO(st.st_mode));
	char link[64] = "", path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", arg[0]);
	CHECK(readlink(path, link, sizeof(link) - 1) > 0 && !strcmp(link, "anon_inode:[eventfd]"));
}

Test(exec, pipes_and_files_beside_them_stay_what_they_are)
{
	int ends[2], fd = new_eventfd(5, 0), null = open("/dev/null", O_RDWR);
	cr_assert_eq(pipe(ends), 0);
	in_role("tells_the_kinds_apart %d %d %d %d", fd, ends[0], ends[1], null);
	assert_empty(fd);
	cr_assert_eq(close(fd) | close(ends[0]) | close(ends[1]) | close(null), 0);
}

ROLE(waits_for_a_count)
{
	uint64_t value = 0;
	CHECK(tell_read(arg[0], &value) == 8 && value == (uint64_t)arg[1]);
	CHECK(adds(arg[2], 1));
}

Test(exec_blocking, a_read_over_there_waits_for_a_write_here)
{
	int fd = new_eventfd(0, 0), back = new_eventfd(0, 0);
	pid_t child = start_role("waits_for_a_count %d %d %d", fd, 6, back);
	tk_wait_process_asleep(child);
	assert_empty(back);
	add(fd, 6);
	end_child(child);
	assert_count(back, 1);
	cr_assert_eq(close(fd) | close(back), 0);
}

ROLE(answers_each_with_one_more)
{
	uint64_t value;
	for (int i = 1; i <= arg[2]; i++) {
		CHECK(tell_read(arg[0], &value) == 8 && value == (uint64_t)i);
		CHECK(adds(arg[1], value + 1));
	}
}

Test(exec_blocking, reads_on_both_sides_take_turns)
{
	enum { ROUNDS = 2000 };
	int there = new_eventfd(0, 0), back = new_eventfd(0, 0);
	pid_t child = start_role("answers_each_with_one_more %d %d %d", there, back, ROUNDS);
	for (uint64_t i = 1, value = 0; i <= ROUNDS; i++) {
		add(there, i);
		cr_assert_eq(read(back, &value, 8), 8);
		cr_assert_eq(value, i + 1);
	}
	end_child(child);
	cr_assert_eq(close(there) | close(back), 0);
}

ROLE(writes_into_a_full_one)
{
	CHECK(tell_write(arg[0], 5) == 8);
}

Test(exec_blocking, a_write_over_there_waits_for_a_read_here)
{
	int fd = new_eventfd(0, 0);
	add(fd, UINT64_MAX - 1);
	pid_t child = start_role("writes_into_a_full_one %d", fd);
	tk_wait_process_asleep(child);
	uint64_t value;
	cr_assert_eq(read(fd, &value, 8), 8);
	cr_assert_eq(value, UINT64_MAX - 1);
	end_child(child);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

ROLE(wakes_a_reader)
{
	CHECK(falls_asleep(getppid()));
	CHECK(adds(arg[0], 8));
}

Test(exec_blocking, a_read_here_waits_for_a_write_over_there)
{
	int fd = new_eventfd(0, 0);
	uint64_t value;
	pid_t child = start_role("wakes_a_reader %d", fd);
	cr_assert_eq(read(fd, &value, 8), 8);
	cr_assert_eq(value, 8);
	end_child(child);
	cr_assert_eq(close(fd), 0);
}

ROLE(takes_of_a_semaphore)
{
	uint64_t value;
	for (int i = 0; i < arg[1]; i++)
		CHECK(tell_read(arg[0], &value) == 8 && value == 1);
}

Test(exec_blocking, three_programs_share_a_semaphore)
{
	enum { EACH = 500, ALL = 3 };
	int fd = new_eventfd(0, EFD_SEMAPHORE);
	pid_t children[ALL];
	for (int i = 0; i < ALL; i++)
		children[i] = start_role("takes_of_a_semaphore %d %d", fd, EACH);
	for (int i = 0; i < ALL * EACH / 2; i++)
		add(fd, 2);
	for (int i = 0; i < ALL; i++)
		end_child(children[i]);
	assert_empty(fd);
	cr_assert_eq(close(fd), 0);
}

/* The number of a close-on-exec eventfd, and that of one that went over. */
ROLE(finds_it_gone)
{
	int null = open("/dev/null", O_RDWR);
	uint64_t value = 77;
	CHECK(is_closed(arg[0]));
	CHECK(fcntl(null, F_DUPFD, arg[0]) == arg[0]);
	CHECK(read(arg[0], &value, 8) == 0 && value == 77 && adds(arg[0], 1));
	CHECK(tell_close(arg[0]) == 0 && tell_close(arg[0]) == -EBADF);
	CHECK(takes(arg[1], 4) && adds(arg[1], 40));
	CHECK(fcntl(arg[1], F_DUPFD, arg[0]) == arg[0] && takes(arg[0], 40));
	CHECK(fresh_one_works());
}

Test(exec_cloexec, it_is_gone_over_there_and_its_number_free)
{
	int kept = new_eventfd(4, 0), fd = new_eventfd(11, EFD_CLOEXEC);
	in_role("finds_it_gone %d %d", fd, kept);
	assert_count(fd, 11);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_empty(kept);
	cr_assert_eq(close(fd) | close(kept), 0);
}

Test(exec_cloexec, set_later_counts_as_well)
{
	int kept = new_eventfd(4, 0), fd = new_eventfd(11, 0), on = 0;
	cr_assert_eq(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
	in_role("finds_it_gone %d %d", fd, kept);
	add(kept, 4);
	cr_assert_eq(fcntl(fd, F_SETFD, 0), 0);
	cr_assert_eq(ioctl(fd, FIOCLEX, &on), 0);
	in_role("finds_it_gone %d %d", fd, kept);
	assert_count(fd, 11);
	cr_assert_eq(close(fd) | close(kept), 0);
}

Test(exec_cloexec, cleared_counts_as_well)
{
	int fd = new_eventfd(7, EFD_CLOEXEC);
	cr_assert_eq(fcntl(fd, F_SETFD, 0), 0);
	in_role("takes_seven_adds_nine %d", fd);
	assert_count(fd, 9);
	cr_assert_eq(close(fd), 0);
}

Test(exec_cloexec, is_each_copys_own)
{
	int kept = new_eventfd(4, 0), copy = fcntl(kept, F_DUPFD_CLOEXEC, 100);
	in_role("finds_it_gone %d %d", copy, kept);
	add(copy, 4);
	int third = dup3(kept, 130, O_CLOEXEC);
	in_role("finds_it_gone %d %d", third, kept);
	cr_assert_eq(close(kept) | close(copy) | close(third), 0);
}
