/* Fake fds: how they are made, told from others, and closed. */
#include "unit.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "core/fdlife.h"
#include "core/fifoloan.h"
#include "core/internal.h"
#include "core/mirror.h"
#include "privatefs.h"
#include "sys/raw.h"

TestSuite(core_object, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static bool lives(const struct fdref *ref)
{
	return slot_lives_as(ref->object, ref->generation);
}

Test(core_object, a_new_one_has_the_lowest_number)
{
	int lowest = lowest_free();
	struct fdref ref = unit_object(0, 0);

	cr_expect_eq(ref.fd, lowest);
	cr_expect_eq(fdtable_kind(ref.fd), FD_OBJECT);
	unit_close(ref);
	cr_expect_eq(lowest_free(), lowest);
}

Test(core_object, its_flags_are_those_asked_for)
{
	static const int flags[] = {0, EFD_NONBLOCK, EFD_SEMAPHORE, EFD_CLOEXEC,
		EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		struct fdref ref = unit_object(i, flags[i]);
		uint32_t found = atomic_load(&ref.object->flags);

		cr_expect_eq(found & SLOT_KIND_MASK, KIND_COUNTER);
		cr_expect_eq(!!(found & SLOT_NONBLOCK), !!(flags[i] & EFD_NONBLOCK));
		cr_expect_eq(!!(found & SLOT_SEMAPHORE), !!(flags[i] & EFD_SEMAPHORE));
		cr_expect_eq(fcntl(ref.fd, F_GETFD), flags[i] & EFD_CLOEXEC ? FD_CLOEXEC : 0);
		cr_expect_eq(atomic_load(&ref.object->count), i);
		unit_close(ref);
	}
}

Test(core_object, making_and_closing_leaves_errno_alone)
{
	errno = 4321;
	unit_close(unit_object(0, 0));
	unit_close(unit_object(0, 0));
	cr_expect_eq(errno, 4321);
}

Test(core_object, objects_have_slots_and_fifos_of_their_own)
{
	enum { MANY = 200 };
	static struct fdref refs[MANY];
	struct stat st[2];

	for (int i = 0; i < MANY; i++) {
		refs[i] = unit_object(0, 0);
		for (int k = 0; k < i; k++)
			cr_assert_neq(refs[k].slot, refs[i].slot);
	}
	fstat(refs[0].fd, &st[0]);
	fstat(refs[1].fd, &st[1]);
	cr_expect_neq(st[0].st_ino, st[1].st_ino);
	cr_expect_eq(st[0].st_ino, atomic_load(&refs[0].object->inode));
	for (int i = 0; i < MANY; i++)
		unit_close(refs[i]);
}

Test(core_object, other_numbers_are_none)
{
	static const int numbers[] = {-1, 0, 2, 999, 1 << 20, INT32_MAX};
	struct fdref ref;

	unit_close(unit_object(0, 0));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		int fd = numbers[i];

		cr_expect_not(object_is(&fd, &ref));
		cr_expect_eq(fd, numbers[i]);
	}
}

Test(core_object, the_librarys_own_numbers_are_not_open_to_the_program)
{
	struct fdref ref;
	int fd, internal = -1;

	unit_close(unit_object(0, 0));
	for (fd = 0; fd < (int)fdtable_top(); fd++) {
		if (fdtable_kind(fd) == FD_INTERNAL)
			internal = fd;
	}
	fd = internal;
	cr_assert(fd >= 0);
	cr_expect_not(object_is(&fd, &ref));
	cr_expect_eq(fd, -1);
}

Test(core_object, a_refused_directory_leaves_it_to_the_kernel)
{
	int lowest = lowest_free();

	cr_assert_eq(chmod(unit_dir, 0755), 0);
	cr_expect_eq(object_create(KIND_COUNTER, 0, 0).err, ENOSYS);
	cr_expect_eq(lowest_free(), lowest);
	cr_assert_eq(chmod(unit_dir, 0700), 0);
	unit_close(unit_object(0, 0));
}

Test(core_object, a_limit_of_file_size_leaves_it_to_the_kernel)
{
	struct rlimit limit = {0, RLIM_INFINITY};

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 4096;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(object_create(KIND_COUNTER, 0, 0).err, ENOSYS);
	limit.rlim_cur = limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	unit_close(unit_object(0, 0));
}

Test(core_object, a_full_disk_leaves_it_to_the_kernel)
{
	int lowest;

	if (!privatefs_mount(unit_dir, "size=512k,mode=0700,nr_inodes=8"))
		return;
	lowest = lowest_free();
	for (int i = 0; i < 20; i++) {
		struct outcome made = object_create(KIND_COUNTER, 0, 0);

		if (made.err) {
			cr_expect(i > 2 && i < 8);
			cr_expect_eq(made.err, ENOSYS);
			break;
		}
	}
	for (int fd = lowest; fd < lowest + 8; fd++) {
		struct fdref ref;
		int number = fd;

		if (object_is(&number, &ref))
			unit_close(ref);
	}
	cr_expect_eq(lowest_free(), lowest);
	unit_close(unit_object(0, 0));
}

Test(core_object, without_a_free_number_it_is_refused_and_nothing_is_lost)
{
	struct rlimit limit;
	struct fdref first = unit_object(0, 0), second;

	unit_close(first);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)lowest_free();
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(object_create(KIND_COUNTER, 0, 0).err, EMFILE);
	limit.rlim_cur = limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	second = unit_object(0, 0);
	cr_expect_eq(second.slot, first.slot);
	unit_close(second);
}

Test(core_object, a_closed_number_is_none)
{
	struct fdref ref = unit_object(0, 0), again;
	int fd = ref.fd;

	unit_close(ref);
	cr_expect_not(object_is(&fd, &again));
	cr_expect_eq(fd, ref.fd);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}

Test(core_object, a_second_close_is_refused)
{
	struct fdref ref = unit_object(0, 0);

	unit_close(ref);
	cr_expect_eq(object_close(&ref).err, EBADF);
}

/* A thread closes what another one has just closed and made anew: it may hit the new object, as it
 * would in the kernel, but then wholly. */
Test(core_object, a_close_by_an_old_reference_leaves_no_half_closed_number)
{
	struct fdref old = unit_object(0, 0), next;
	bool open;

	unit_close(old);
	next = unit_object(0, 0);
	cr_assert_eq(next.fd, old.fd);
	object_close(&old);
	open = fcntl(next.fd, F_GETFD) != -1;
	cr_expect_eq(fdtable_kind(next.fd), open ? FD_OBJECT : FD_FOREIGN);
	cr_expect_eq(lives(&next), open);
	if (open)
		unit_close(next);
}

Test(core_object, a_number_that_is_a_new_file_is_none)
{
	struct fdref ref = unit_object(0, 0);
	int fd = ref.fd;

	raw_close(fd); /* by a system call instruction */
	cr_assert_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), fd);
	cr_expect_eq(object_new_file(fd), fd);
	cr_expect_not(object_is(&fd, &ref));
	close(fd);
	cr_expect_eq(object_new_file(-1), -1);
}

Test(core_object, a_number_on_loan_is_closed_when_it_comes_back)
{
	struct fdref ref = unit_object(0, 0), other;
	struct fifo_loan loan = fifoloan_borrow(&ref);
	int fd = ref.fd;

	cr_assert_eq(loan.fd, fd);
	unit_close(ref);
	cr_expect_not(object_is(&fd, &other));
	cr_expect_eq(fd, -1, "to the program it is closed");
	cr_expect_neq(fcntl(ref.fd, F_GETFD), -1, "to the kernel it is not");
	cr_expect(lives(&ref));
	fifoloan_return(&ref, loan);
	cr_expect_eq(fcntl(ref.fd, F_GETFD), -1);
	cr_expect_not(lives(&ref));
}

static void expect_the_objects_own(const struct fdref *ref, struct fifo_loan loan)
{
	struct stat st;

	cr_assert(loan.fd >= 0);
	cr_assert_eq(fstat(loan.fd, &st), 0);
	cr_expect_eq(st.st_ino, atomic_load(&ref->object->inode));
}

Test(core_object, the_fifo_of_a_closed_number_is_on_loan_from_a_copy)
{
	struct fdref ref = unit_object(0, 0);
	struct fifo_loan loan;
	int copy = dup(ref.fd);

	object_duplicated(&ref, copy);
	unit_close(ref);
	loan = fifoloan_borrow(&ref);
	cr_expect_eq(loan.fd, copy);
	expect_the_objects_own(&ref, loan);
	fifoloan_return(&ref, loan);
	cr_expect_neq(fcntl(copy, F_GETFD), -1);
	unit_close(unit_ref(copy));
	cr_expect_eq(fcntl(copy, F_GETFD), -1, "the loan was given back");
}

Test(core_object, the_fifo_of_a_closed_number_is_opened_again_for_a_loan)
{
	struct fdref ref = unit_object(0, 0);
	struct fifo_loan loan;

	object_hold(&ref); /* as a sleeper does */
	unit_close(ref);
	loan = fifoloan_borrow(&ref);
	expect_the_objects_own(&ref, loan);
	fifoloan_return(&ref, loan);
	cr_expect_eq(fcntl(loan.fd, F_GETFD), -1);
	object_release(&ref);
}

Test(core_object, it_is_mirrored_from_the_start_where_all_are)
{
	struct fdref ref;

	config.mirror_always = true;
	ref = unit_object(5, 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	unit_close(ref);
}

Test(core_object, those_there_are_get_mirrored_when_all_have_to_be)
{
	struct fdref refs[3];

	for (uint64_t i = 0; i < 3; i++) {
		refs[i] = unit_object(i, 0);
		cr_expect_eq(unit_poll(refs[i].fd, POLLIN), 0);
	}
	mirror_always_on();
	for (uint64_t i = 0; i < 3; i++) {
		cr_expect_eq(unit_poll(refs[i].fd, POLLIN), i ? POLLIN : 0);
		unit_close(refs[i]);
	}
}

Test(core_object, closing_all_numbers_spares_the_librarys_own)
{
	struct fdref ref = unit_object(1, 0);
	int first = ref.fd;

	cr_assert_eq(mirror_watch(&ref, CLASS_OUT, false), 0);
	cr_assert_eq(fdlife_close_range((unsigned)first, (unsigned)first, 0).err, 0);
	cr_assert_eq(fdlife_close_range(512, UINT32_MAX, 0).err, 0);
	cr_expect_eq(lowest_free(), first);
	ref = unit_object(2, 0);
	cr_expect_eq(ref.fd, first);
	cr_expect_eq(mirror_watch(&ref, CLASS_OUT, false), 0);
	unit_close(ref);
}

/* A child of vfork has fds of its own, but its parent's memory. */
Test(core_object, a_close_in_a_vfork_child_leaves_the_parents_number_alone)
{
	struct fdref ref = unit_object(1, 0);
	pid_t pid;

	atomic_fetch_add(&fdtable_borrowers, 1); /* as the library's own vfork does */
	pid = vfork();
	if (!pid) {
		object_close(&ref);
		_exit(fcntl(ref.fd, F_GETFD) != -1);
	}
	atomic_fetch_sub(&fdtable_borrowers, 1);
	cr_expect_eq(unit_wait(pid), 0);
	cr_expect_eq(fdtable_kind(ref.fd), FD_OBJECT);
	cr_expect(lives(&ref));
	unit_close(ref);
	cr_expect_not(lives(&ref));
}
