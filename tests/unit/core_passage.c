/* Numbers that the library takes for a moment, and dup2s that land on them. */
#include "unit.h"

#include <fcntl.h>

#include "core/fdlife.h"
#include "core/passage.h"
#include "sys/decoy.h"
#include "sys/passing.h"
#include "sys/raw.h"

TestSuite(core_passage, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

static int opened; /* what an opener got in the middle of a dup2 */

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static int open_passing(void)
{
	bool begun = passing_begin();

	return passing_got(begun, raw_openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0));
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool same_file(int one, int other)
{
	struct stat a, b;

	cr_assert(!fstat(one, &a) && !fstat(other, &b));
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int replace_plainly(int from, int to, int flags)
{
	(void)flags;
	return dup2(from, to);
}

static int open_then_replace(int from, int to, int flags)
{
	opened = open_passing();
	cr_assert(is_open(to));
	return replace_plainly(from, to, flags);
}

static int open_then_fail(int from, int to, int flags)
{
	(void)from, (void)to, (void)flags;
	opened = open_passing();
	errno = EINVAL;
	return -1;
}

/* A fake fd and a file, either of which may be what is put at the number. */
static struct fdref object;
static int file;

static void make_both(void)
{
	object = unit_object(0, 0);
	file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	cr_assert(file >= 0);
}

static void close_both(void)
{
	close(file);
	unit_close(object);
}

static void close_number(int number)
{
	struct fdref ref;
	int fd = number;

	if (object_is(&fd, &ref))
		unit_close(ref);
	else
		cr_assert_eq(close(number), 0);
}

Test(core_passage, a_number_is_marked_while_it_is_open_and_foreign_afterwards)
{
	make_both();
	for (int i = 0; i < 3; i++) {
		int number = lowest_free();

		cr_assert_eq(open_passing(), number);
		cr_expect_eq(fdtable_kind(number), FD_CLOSING);
		passing_close(number);
		cr_expect(fdtable_foreign(number));
		cr_expect_not(is_open(number));
	}
	close_both();
}

static void opened_within(int from)
{
	int number = lowest_free();
	struct outcome outcome = fdlife_dup_onto(from, number, 0, open_then_replace);

	cr_expect_eq(opened, -EBUSY);
	cr_assert_eq(outcome.value, number);
	cr_expect(same_file(number, from));
	cr_expect_eq(fdtable_kind(number), fdtable_kind(from));
	close_number(number);
	cr_expect(fdtable_foreign(number));
}

Test(core_passage, a_number_announced_by_a_dup2_is_left_to_it)
{
	make_both();
	opened_within(object.fd);
	opened_within(file);
	close_both();
}

static int ask_then_replace(int from, int to, int flags)
{
	opened = decoy_open(0);
	cr_assert(is_open(to));
	return replace_plainly(from, to, flags);
}

/* What the program asked meanwhile has nothing to do with its dup2. */
Test(core_passage, a_decoy_that_met_a_dup2_is_another_one)
{
	int number;

	make_both();
	number = lowest_free();
	cr_assert_eq(fdlife_dup_onto(file, number, 0, ask_then_replace).value, number);
	cr_expect_gt(opened, number);
	if (opened >= 0)
		decoy_close(opened);
	cr_expect(same_file(number, file));
	close_number(number);
	close_both();
}

static void failed_within(int from)
{
	int number = lowest_free();
	struct outcome outcome = fdlife_dup_onto(from, number, 0, open_then_fail);

	cr_expect_eq(opened, -EBUSY);
	cr_expect_eq(outcome.err, EINVAL);
	cr_expect_not(is_open(number));
	cr_expect(fdtable_foreign(number));
}

Test(core_passage, a_dup2_that_fails_closes_what_was_left_to_it)
{
	make_both();
	failed_within(object.fd);
	failed_within(file);
	close_both();
}

/* As in a handler that interrupted the opener, for whom a dup2 does not wait for ever. */
static void landed_within(int from)
{
	int number = open_passing();
	struct outcome outcome = fdlife_dup_onto(from, number, 0, replace_plainly);

	cr_assert_eq(outcome.value, number);
	passing_close(number);
	cr_expect(same_file(number, from));
	cr_expect_eq(fdtable_kind(number), fdtable_kind(from));
	close_number(number);
	cr_expect(fdtable_foreign(number));
}

Test(core_passage, a_number_that_was_replaced_all_the_same_is_not_closed)
{
	make_both();
	landed_within(object.fd);
	landed_within(file);
	close_both();
}

Test(core_passage, a_pipe_s_two_numbers_are_marked)
{
	int ends[2];

	make_both();
	cr_assert_eq(passing_pipe(ends), 0);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(fdtable_kind(ends[i]), FD_CLOSING);
		passing_close(ends[i]);
		cr_expect(fdtable_foreign(ends[i]));
	}
	close_both();
}

/* As in a handler that interrupted the opener before it has looked. */
static void landed_before_the_look(int from)
{
	bool begun = passing_begin();
	int number = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_eq(fdlife_dup_onto(from, number, 0, replace_plainly).value, number);
	cr_expect_eq(passing_got(begun, number), -EBUSY);
	cr_expect(same_file(number, from));
	cr_expect_eq(fdtable_kind(number), fdtable_kind(from));
	close_number(number);
	cr_expect(fdtable_foreign(number));
}

Test(core_passage, a_handler_s_dup2_between_opening_and_looking_is_found)
{
	make_both();
	landed_before_the_look(object.fd);
	landed_before_the_look(file);
	close_both();
}

Test(core_passage, a_number_that_a_handler_has_closed_again_is_the_opener_s)
{
	bool begun;
	int number;

	make_both();
	begun = passing_begin();
	number = fcntl(file, F_DUPFD_CLOEXEC, 0);
	cr_assert_eq(fdlife_dup_onto(file, number, 0, replace_plainly).value, number);
	close_number(number);
	cr_assert_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), number);
	cr_assert_eq(passing_got(begun, number), number);
	cr_expect_eq(fdtable_kind(number), FD_CLOSING);
	passing_close(number);
	cr_expect_not(is_open(number));
	close_both();
}
