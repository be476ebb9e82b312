/* The slot that a process keeps for its next object. */
#include "unit.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "core/counterfd.h"
#include "core/fifo.h"
#include "core/mirror.h"
#include "core/stats.h"
#include "core/warm.h"

TestSuite(core_warm, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

enum { SOME = 4 };

/* An object in the slot that is kept from now on. */
static struct fdref warm_object(void)
{
	struct fdref ref;

	for (int i = 0; i < SOME; i++)
		unit_close(unit_object(0, 0));
	ref = unit_object(0, 0);
	return ref;
}

static bool lives(const struct fdref *ref)
{
	return slot_lives_as(ref->object, ref->generation);
}

static bool opens(const struct fdref *ref, int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISFIFO(st.st_mode) &&
	       st.st_ino == atomic_load(&ref->object->inode);
}

/* How many fds of this process, but this one, have the slot's FIFO open; the last one in *last. */
static int openers_and(const struct fdref *ref, int but, int *last)
{
	int count = 0;

	for (int fd = 0; fd < 8192; fd++) {
		if (fd == but || !opens(ref, fd))
			continue;
		*last = fd;
		count++;
	}
	return count;
}

static int openers(const struct fdref *ref, int but)
{
	int last;

	return openers_and(ref, but, &last);
}

Test(core_warm, the_first_objects_cost_no_fd)
{
	struct fdref ref = unit_object(0, 0);

	unit_close(ref);
	cr_expect_eq(openers(&ref, -1), 0);
}

Test(core_warm, the_next_object_is_in_the_slot_of_the_last_one)
{
	struct fdref ref = warm_object();

	cr_expect_eq(openers(&ref, ref.fd), 1);
	for (int i = 0; i < 100; i++) {
		struct fdref next;

		unit_close(ref);
		cr_assert_not(lives(&ref));
		next = unit_object(0, 0);
		cr_assert_eq(next.slot, ref.slot);
		cr_assert_neq(next.generation, ref.generation);
		cr_assert_eq(openers(&next, next.fd), 1);
		ref = next;
	}
	unit_close(ref);
}

Test(core_warm, it_begins_like_any_other)
{
	struct fdref ref = warm_object();
	uint64_t value = 5;

	cr_assert_eq(counterfd_write(&ref, &value, 8).value, 8);
	unit_close(ref);
	ref = unit_object(3, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	cr_expect_eq(atomic_load(&ref.object->count), 3);
	cr_expect_eq(
		atomic_load(&ref.object->flags), KIND_COUNTER | SLOT_SEMAPHORE | SLOT_NONBLOCK);
	cr_expect_eq(fcntl(ref.fd, F_GETFD), FD_CLOEXEC);
	cr_expect_eq(unit_poll(ref.fd, POLLIN | POLLOUT), POLLOUT);
	unit_close(ref);
}

Test(core_warm, only_one_slot_is_kept)
{
	struct fdref refs[SOME];

	refs[0] = warm_object();
	for (int i = 1; i < SOME; i++)
		refs[i] = unit_object(0, 0);
	for (int i = 0; i < SOME; i++) {
		unit_close(refs[i]);
		cr_expect_not(lives(&refs[i]));
		cr_expect_eq(openers(&refs[i], -1), i == 0);
	}
}

/* By a system call instruction, so that nobody is told. */
static void expect_lives_by(const struct fdref *ref, void (*let_go)(void *), void *arg)
{
	unit_close(*ref);
	cr_expect(lives(ref));
	cr_expect_eq(openers(ref, *(int *)arg), 0, "what keeps it alive for others is given up");
	cr_expect_eq(slotpool_sweep(), 0);
	let_go(arg);
	cr_expect_eq(slotpool_sweep(), 1);
	cr_expect_not(lives(ref));
}

static void close_copy(void *arg)
{
	close(*(int *)arg);
}

Test(core_warm, a_copy_nobody_was_told_of_keeps_the_object)
{
	struct fdref ref = warm_object();
	int copy = (int)tk_raw_syscall(SYS_dup, ref.fd, 0, 0, 0, 0, 0);

	expect_lives_by(&ref, close_copy, &copy);
}

static struct unit_child {
	int none;
	pid_t pid;
} child = {.none = -1};

static void kill_child(void *arg)
{
	(void)arg;
	kill(child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
}

Test(core_warm, a_process_nobody_was_told_of_keeps_the_object)
{
	struct fdref ref = warm_object();

	child.pid = (pid_t)tk_raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (!child.pid) {
		for (;;)
			pause();
	}
	expect_lives_by(&ref, kill_child, &child.none);
}

Test(core_warm, of_two_processes_one_has_the_slot)
{
	struct fdref ref = warm_object(), mine, *shared;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unit_close(ref);
	child.pid = (pid_t)tk_raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (!child.pid) {
		*shared = unit_object(0, 0);
		_exit(0);
	}
	waitpid(child.pid, NULL, 0);
	mine = unit_object(0, 0);
	cr_expect_neq(mine.slot, shared->slot);
	cr_expect_eq(openers(shared, -1), 0);
	unit_close(mine);
}

Test(core_warm, a_forked_child_keeps_nothing)
{
	struct fdref ref = warm_object(), next;
	int status;

	unit_close(ref);
	child.pid = fork();
	if (!child.pid) {
		object_forked();
		if (openers(&ref, -1))
			_exit(1);
		_exit(unit_object(0, 0).slot == ref.slot ? 2 : 0);
	}
	waitpid(child.pid, &status, 0);
	cr_expect_eq(status, 0);
	cr_expect_eq(openers(&ref, -1), 1);
	next = unit_object(0, 0);
	cr_expect_eq(next.slot, ref.slot);
	unit_close(next);
}

Test(core_warm, what_is_in_the_fifo_dies_with_the_object)
{
	struct fdref ref = warm_object();

	cr_assert_eq(tk_raw_syscall(SYS_write, ref.fd, (long)&ref, 8, 0, 0, 0), 8);
	unit_close(ref);
	cr_expect_not(lives(&ref));
	ref = unit_object(0, 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN | POLLOUT), POLLOUT);
	unit_close(ref);
}

Test(core_warm, a_watched_object_gives_it_up)
{
	struct fdref ref = warm_object();

	cr_assert_eq(mirror_watch(&ref, CLASS_IN, false), 0);
	unit_close(ref);
	cr_expect_not(lives(&ref));
	cr_expect_eq(openers(&ref, -1), 0);
	ref = warm_object();
	cr_expect_eq(openers(&ref, ref.fd), 1);
	unit_close(ref);
}

Test(core_warm, a_number_that_was_closed_behind_its_back_is_left_alone)
{
	struct fdref ref = warm_object();
	int fd = -1, ends[2];

	cr_assert_eq(openers_and(&ref, ref.fd, &fd), 1);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(tk_raw_syscall(SYS_dup3, ends[0], fd, 0, 0, 0, 0), fd);
	close(ends[0]);
	close(ends[1]); /* what is there hangs up as well */
	child.pid = (pid_t)tk_raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (!child.pid) {
		for (;;)
			pause();
	}
	unit_close(ref);
	cr_expect(lives(&ref));
	kill_child(NULL);
	cr_expect_eq(slotpool_sweep(), 1);
	close(fd);
}

Test(core_warm, without_a_free_number_nothing_is_left_behind)
{
	struct fdref ref = warm_object();
	struct rlimit limit, none;

	unit_close(ref);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){3, limit.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	for (int fd = 3; fd < 16; fd++)
		cr_assert_eq(object_create(KIND_COUNTER, 0, 0).err, EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
	cr_expect_eq(openers(&ref, -1), 0);
	ref = unit_object(0, 0);
	unit_close(ref);
	cr_expect_not(lives(&ref));
}

Test(core_warm, at_the_end_the_slot_is_given_back)
{
	struct fdref ref = warm_object();

	unit_close(ref);
	cr_expect_neq(atomic_load(&ref.object->owner), 0);
	warm_leave();
	cr_expect_eq(atomic_load(&ref.object->owner), 0);
	cr_expect_eq(openers(&ref, -1), 0);
	unit_close(unit_object(0, 0));
}
