/* The store's directory: which one is taken, and which are refused. */
#include "unit.h"

#include <pthread.h>

#include <fcntl.h>
#include <sys/resource.h>

#include "core/fifo.h"
#include "core/internal.h"
#include "core/slot.h"
#include "privatefs.h"
#include "sys/raw.h"

static void setup(void)
{
	unit_setup();
	cr_assert_eq(fdtable_init(), 0);
}

static bool has_own_places;

static void teardown(void)
{
	if (has_own_places) {
		umount2("/tmp", MNT_DETACH);
		umount2("/dev/shm", MNT_DETACH);
	}
	unit_teardown();
}

TestSuite(core_store, .init = setup, .fini = teardown, .timeout = 20);

enum { NOBODY = 65534 };

static void use_directory(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", unit_dir, name);
	config.dir = path;
}

static bool is_private(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && st.st_mode == (S_IFDIR | 0700) && st.st_uid == geteuid();
}

/* The internal fd the store has; -1 where there is none. */
static int store_fd(void)
{
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		if (fdtable_kind((int)fd) == FD_INTERNAL)
			return (int)fd;
	}
	return -1;
}

Test(core_store, a_private_directory_is_taken)
{
	cr_expect_eq(store_open(), 0);
	cr_expect_eq(store_open(), 0);
}

Test(core_store, a_missing_directory_is_made)
{
	use_directory("new");
	cr_expect_eq(store_open(), 0);
	cr_expect(is_private(config.dir));
}

Test(core_store, the_mask_of_modes_opens_nothing)
{
	umask(0);
	use_directory("new");
	cr_expect_eq(store_open(), 0);
	cr_expect(is_private(config.dir));
}

Test(core_store, a_directory_of_another_mode_is_refused)
{
	static const mode_t modes[] = {0755, 0750, 0701, 0777, 01777, 0500, 0000};

	use_directory("open");
	cr_assert_eq(mkdir(config.dir, 0700), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		cr_assert_eq(chmod(config.dir, modes[i]), 0);
		cr_expect_eq(store_open(), EACCES, "mode %o", modes[i]);
	}
	cr_expect_eq(store_fd(), -1);
}

Test(core_store, a_refusal_is_not_for_ever)
{
	use_directory("open");
	cr_assert_eq(mkdir(config.dir, 0755), 0);
	cr_expect_eq(store_open(), EACCES);
	cr_assert_eq(chmod(config.dir, 0700), 0);
	cr_expect_eq(store_open(), 0);
}

Test(core_store, another_users_directory_is_refused)
{
	if (geteuid()) {
		cr_log_info("not root: left out");
		return;
	}
	use_directory("theirs");
	cr_assert_eq(mkdir(config.dir, 0700), 0);
	cr_assert_eq(chown(config.dir, NOBODY, NOBODY), 0);
	cr_expect_eq(store_open(), EACCES);
}

static int open_as_nobody(void *arg)
{
	(void)arg;
	return setegid(NOBODY) || seteuid(NOBODY) ? -1 : store_open();
}

Test(core_store, roots_directory_is_refused_to_others)
{
	if (geteuid()) {
		cr_log_info("not root: left out");
		return;
	}
	use_directory("roots");
	cr_assert_eq(mkdir(config.dir, 0700), 0);
	cr_assert_eq(chmod(unit_dir, 0755), 0);
	cr_expect_eq(unit_wait(unit_fork(open_as_nobody, NULL)), EACCES);
}

Test(core_store, a_symbolic_link_is_refused)
{
	use_directory("link");
	cr_assert_eq(mkdir(unit_path("real"), 0700), 0);
	cr_assert_eq(symlink(unit_path("real"), config.dir), 0);
	cr_expect_neq(store_open(), 0);
	cr_expect_eq(store_fd(), -1);
}

/* With a slash behind it the kernel would follow the link. */
Test(core_store, a_symbolic_link_with_a_slash_behind_it_is_refused)
{
	cr_assert_eq(mkdir(unit_path("real"), 0700), 0);
	cr_assert_eq(symlink(unit_path("real"), unit_path("link")), 0);
	use_directory("link/");
	cr_expect_neq(store_open(), 0);
}

Test(core_store, a_link_that_leads_nowhere_is_refused)
{
	use_directory("link");
	cr_assert_eq(symlink("/nonexistent", config.dir), 0);
	cr_expect_neq(store_open(), 0);
}

Test(core_store, what_is_no_directory_is_refused)
{
	int fd = open(unit_path("file"), O_CREAT | O_RDWR | O_CLOEXEC, 0700);

	close(fd);
	use_directory("file");
	cr_expect_eq(store_open(), ENOTDIR);
	cr_assert_eq(mkfifo(unit_path("fifo"), 0700), 0);
	use_directory("fifo");
	cr_expect_eq(store_open(), ENOTDIR);
}

Test(core_store, a_directory_below_none_is_refused)
{
	use_directory("no/where");
	cr_expect_eq(store_open(), ENOENT);
}

Test(core_store, a_path_that_is_too_long_is_refused)
{
	static char path[500];

	snprintf(path, sizeof(path), "%s/%0300d", unit_dir, 0);
	config.dir = path;
	cr_expect_eq(store_open(), ENAMETOOLONG);
}

Test(core_store, a_refused_choice_is_not_replaced_by_another)
{
	use_directory("open");
	cr_assert_eq(mkdir(config.dir, 0755), 0);
	config.runtime = unit_path("runtime");
	cr_assert_eq(mkdir(config.runtime, 0700), 0);
	cr_expect_eq(store_open(), EACCES);
	cr_expect_eq(access(unit_path("runtime/efdshim"), F_OK), -1);
}

/* Its own /dev/shm and /tmp, with the runtime directory within the latter. */
static bool own_places(void)
{
	if (!privatefs_mount("/dev/shm", "mode=1777"))
		return false;
	cr_assert(privatefs_mount("/tmp", "mode=1777"));
	has_own_places = true;
	config.dir = NULL;
	config.runtime = "/tmp/runtime";
	return mkdir(config.runtime, 0700) == 0;
}

static void place(char *path, const char *base)
{
	snprintf(path, 64, "%s/efdshim-%u", base, geteuid());
}

Test(core_store, the_first_choice_is_shared_memory)
{
	char path[64];

	if (!own_places())
		return;
	place(path, "/dev/shm");
	cr_expect_eq(store_open(), 0);
	cr_expect(is_private(path));
	cr_expect_eq(access("/tmp/runtime/efdshim", F_OK), -1);
}

Test(core_store, the_second_choice_is_the_runtime_directory)
{
	char path[64];

	if (!own_places())
		return;
	place(path, "/dev/shm");
	cr_assert_eq(mkdir(path, 0755), 0);
	cr_expect_eq(store_open(), 0);
	cr_expect(is_private("/tmp/runtime/efdshim"));
}

Test(core_store, the_last_choice_is_tmp)
{
	char path[64];

	if (!own_places())
		return;
	place(path, "/dev/shm");
	cr_assert_eq(mkdir(path, 0755), 0);
	cr_assert_eq(symlink("/tmp", "/tmp/runtime/efdshim"), 0);
	cr_expect_eq(store_open(), 0);
	place(path, "/tmp");
	cr_expect(is_private(path));
}

Test(core_store, without_any_choice_it_is_refused)
{
	char path[64];

	if (!own_places())
		return;
	place(path, "/dev/shm");
	cr_assert_eq(mkdir(path, 0755), 0);
	place(path, "/tmp");
	cr_assert_eq(mkdir(path, 0755), 0);
	config.runtime = NULL;
	cr_expect_eq(store_open(), EACCES);
}

Test(core_store, its_fd_is_internal_high_and_closed_on_exec)
{
	int fd;

	cr_assert_eq(store_open(), 0);
	fd = store_fd();
	cr_expect(fd > 100, "%d", fd);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* False where it cannot be set: so it is under valgrind. */
static bool limit_to(rlim_t soft, bool hard_too, struct rlimit *limit)
{
	getrlimit(RLIMIT_NOFILE, limit);
	limit->rlim_cur = soft;
	if (hard_too)
		limit->rlim_max = soft;
	return !setrlimit(RLIMIT_NOFILE, limit);
}

static void expect_limit(struct rlimit expected)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	cr_expect_eq(limit.rlim_cur, expected.rlim_cur);
	cr_expect_eq(limit.rlim_max, expected.rlim_max);
}

Test(core_store, its_fd_lies_beyond_a_low_limit)
{
	struct rlimit limit;

	cr_assert(limit_to(64, false, &limit));
	cr_assert_eq(store_open(), 0);
	cr_expect(store_fd() >= 64);
	expect_limit(limit);
	raw_close(store_fd());
}

Test(core_store, its_fd_is_within_a_limit_that_cannot_be_raised)
{
	struct rlimit limit;

	if (!limit_to(64, true, &limit))
		return;
	cr_assert_eq(store_open(), 0);
	cr_expect_eq(store_fd(), 63);
	expect_limit(limit);
	raw_close(store_fd());
}

static void *move_away_often(void *fd)
{
	for (int i = 0; i < 500; i++) {
		int moved = internal_dup((int)(intptr_t)fd);

		if (moved < 64)
			return fd;
		internal_close(moved);
	}
	return NULL;
}

Test(core_store, threads_leave_the_limit_as_it_was)
{
	struct rlimit limit;
	pthread_t threads[4];
	void *failed;

	cr_assert(limit_to(64, false, &limit));
	cr_assert_eq(store_open(), 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, move_away_often, (void *)(intptr_t)store_fd());
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		cr_expect_null(failed);
	}
	expect_limit(limit);
	raw_close(store_fd());
}

Test(core_store, its_fd_moves_out_of_the_programs_way)
{
	int fd;

	cr_assert_eq(store_open(), 0);
	fd = store_fd();
	internal_move_away(fd);
	fdtable_drop(fd); /* dup2 puts another file there */
	raw_close(fd);
	fd = store_open_file("file", O_RDWR | O_CREAT, 0600);
	cr_expect(fd >= 0);
	close(fd);
	cr_expect_eq(access(unit_path("file"), F_OK), 0);
}

/* By a system call instruction, that nobody sees. */
Test(core_store, nothing_is_made_in_a_directory_that_took_the_number)
{
	uint64_t inode = 0;
	int other, fd;

	use_directory("store");
	cr_assert_eq(mkdir(unit_path("other"), 0700), 0);
	cr_assert_eq(store_open(), 0);
	other = open(unit_path("other"), O_PATH | O_CLOEXEC);
	raw_syscall3(SYS_dup3, other, store_fd(), O_CLOEXEC);
	fd = store_open_file("file", O_RDWR | O_CREAT, 0600);
	if (fd >= 0)
		close(fd);
	fd = fifo_open(1, CLASS_IN, O_CLOEXEC, &inode);
	if (fd >= 0)
		close(fd);
	close(other);
	cr_expect_eq(rmdir(unit_path("other")), 0, "something was made there");
}

Test(core_store, a_directory_whose_fd_was_closed_is_found_again)
{
	int fd;

	cr_assert_eq(store_open(), 0);
	raw_close(store_fd());
	fd = store_open_file("file", O_RDWR | O_CREAT, 0600);
	cr_expect(fd >= 0);
	if (fd >= 0)
		close(fd);
}

Test(core_store, files_are_linked_and_unlinked_by_name)
{
	int fd;

	cr_assert_eq(store_open(), 0);
	cr_expect_eq(store_open_file("one", O_RDWR, 0), -ENOENT);
	fd = store_open_file("one", O_RDWR | O_CREAT | O_EXCL, 0600);
	cr_expect(fd >= 0);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	cr_expect_eq(store_link("one", "two"), 0);
	cr_expect_eq(store_link("one", "two"), EEXIST);
	cr_expect_eq(store_link("none", "three"), ENOENT);
	store_unlink("one");
	cr_expect_eq(access(unit_path("one"), F_OK), -1);
	cr_expect_eq(access(unit_path("two"), F_OK), 0);
}
