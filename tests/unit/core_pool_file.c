/* A pool's file: full disks, limits, and files that are not what they should be. */
#include "poolkit.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "core/poolfile.h"
#include "privatefs.h"

TestSuite(core_pool_file, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

enum { ITEMS = 16 * ITEMS_IN_CHUNK, HEAD = 4096, MARKS = 4096 };

static bool exists(const char *name)
{
	struct stat st;

	return lstat(unit_path(name), &st) == 0;
}

static int files_in_store(void)
{
	int n = 0;
	char command[300];
	FILE *list;

	snprintf(command, sizeof(command), "ls -A %s", unit_dir);
	list = popen(command, "r");
	for (int c; (c = fgetc(list)) != EOF;)
		n += c == '\n';
	pclose(list);
	return n;
}

/* 512 KiB, of which the pool would need twice as much. */
static bool small_disk(void)
{
	if (!privatefs_mount(unit_dir, "size=512k,mode=0700"))
		return false;
	unit_open_store();
	return true;
}

/* Takes until it is refused: how many it got. */
static int exhaust(struct pool *pool, int *err)
{
	int n = 0;

	while (pool_take(pool, err))
		n++;
	return n;
}

Test(core_pool_file, a_full_disk_is_an_errno)
{
	struct pool pool = poolkit_unopened(ITEMS);
	int err, n;

	if (!small_disk())
		return;
	cr_assert_eq(pool_open(&pool), 0);
	n = exhaust(&pool, &err);
	cr_expect_eq(err, ENOSPC);
	cr_expect(n > ITEMS_IN_CHUNK && n < ITEMS - 1);
	for (uint32_t i = 1; i <= (uint32_t)n; i++)
		((struct item *)pool_item(&pool, i))->owner = i;
	cr_expect_null(pool_item(&pool, (uint32_t)n + 1));
}

Test(core_pool_file, space_on_a_disk_that_was_full_is_used)
{
	struct pool pool = poolkit_unopened(ITEMS);
	char block[4096] = {0};
	int fd, err, n;

	if (!small_disk())
		return;
	cr_assert_eq(pool_open(&pool), 0);
	fd = open(unit_path("ballast"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	cr_expect_eq(poolkit_refusal(&pool), ENOSPC);
	cr_assert_eq(unlink(unit_path("ballast")), 0);
	n = exhaust(&pool, &err);
	cr_expect(n > ITEMS_IN_CHUNK);
}

Test(core_pool_file, a_disk_without_room_for_the_head_is_an_errno)
{
	struct pool pool = poolkit_unopened(ITEMS);
	char block[4096] = {0};
	int fd;

	if (!small_disk())
		return;
	fd = open(unit_path("ballast"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	cr_expect_eq(pool_open(&pool), ENOSPC);
	cr_expect_eq(files_in_store(), 1, "only the ballast is left");
}

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(core_pool_file, a_limit_of_file_size_is_an_errno_and_no_signal)
{
	struct pool pool;
	int err, n;

	poolkit_open(&pool, ITEMS);
	limit_file_size(HEAD + MARKS + 3 * 65536 + 100);
	n = exhaust(&pool, &err);
	limit_file_size(RLIM_INFINITY);
	cr_expect_eq(err, EFBIG);
	cr_expect_eq(n, 3 * ITEMS_IN_CHUNK - 1);
	cr_expect_eq(poolkit_take(&pool), 3 * ITEMS_IN_CHUNK);
}

Test(core_pool_file, a_limit_below_the_head_is_an_errno_and_no_signal)
{
	struct pool pool = poolkit_unopened(ITEMS);

	unit_open_store();
	limit_file_size(100);
	cr_expect_eq(pool_open(&pool), EFBIG);
	limit_file_size(RLIM_INFINITY);
	cr_expect_eq(files_in_store(), 0);
	cr_expect_eq(pool_open(&pool), 0);
}

static void write_file(const void *bytes, size_t n, mode_t mode)
{
	int fd = open(unit_path("items"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	cr_assert(fd >= 0);
	cr_assert_eq(fchmod(fd, mode), 0);
	cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static void check_set_aside(void)
{
	struct pool pool;

	poolkit_open(&pool, ITEMS);
	cr_expect_eq(poolkit_take(&pool), 1);
	cr_expect(exists("items.old"));
	cr_expect_eq(files_in_store(), 2);
}

Test(core_pool_file, an_empty_file_is_set_aside)
{
	write_file("", 0, 0600);
	check_set_aside();
}

Test(core_pool_file, a_torn_file_is_set_aside)
{
	write_file("efdshim\0\1\0", 10, 0600);
	check_set_aside();
}

Test(core_pool_file, a_foreign_file_is_set_aside)
{
	char noise[HEAD];

	memset(noise, 'x', sizeof(noise));
	write_file(noise, sizeof(noise), 0600);
	check_set_aside();
}

Test(core_pool_file, a_file_others_can_read_is_set_aside)
{
	struct pool pool;

	poolkit_open(&pool, ITEMS);
	cr_assert_eq(chmod(unit_path("items"), 0644), 0);
	check_set_aside();
}

Test(core_pool_file, a_file_of_another_user_is_set_aside)
{
	struct pool pool;

	if (geteuid()) {
		cr_log_info("not root: left out");
		return;
	}
	poolkit_open(&pool, ITEMS);
	cr_assert_eq(chown(unit_path("items"), 65534, (gid_t)-1), 0);
	check_set_aside();
}

/* The head of a file that another version has made. */
static void change_head(long offset, uint32_t word)
{
	struct pool pool;
	int fd;

	poolkit_open(&pool, ITEMS);
	fd = open(unit_path("items"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, &word, sizeof(word), offset), sizeof(word));
	close(fd);
}

Test(core_pool_file, a_file_of_another_version_is_set_aside)
{
	change_head(8, 999);
	check_set_aside();
}

Test(core_pool_file, a_file_with_items_of_another_size_is_set_aside)
{
	change_head(12, ITEM_BYTES * 2);
	check_set_aside();
}

Test(core_pool_file, a_file_for_another_number_of_items_is_set_aside)
{
	change_head(16, ITEMS / 2);
	check_set_aside();
}

static void check_quiet(pid_t child)
{
	int status = unit_wait(child);

	cr_assert_eq(status, 0, "killed by signal %d", -status);
}

static int touch_all(void *arg)
{
	struct pool pool = poolkit_unopened(ITEMS);
	int err;

	(void)arg;
	if (pool_open(&pool))
		return 0;
	for (int i = 0; i < 100; i++) {
		struct item *item = pool_item(&pool, pool_take(&pool, &err));

		if (item)
			item->owner = 1;
	}
	return 0;
}

Test(core_pool_file, a_file_that_lost_its_items_costs_no_signal)
{
	struct pool pool;

	poolkit_open(&pool, ITEMS);
	for (int i = 0; i < 10; i++)
		poolkit_take(&pool);
	cr_assert_eq(truncate(unit_path("items"), HEAD), 0);
	check_quiet(unit_fork(touch_all, NULL));
}

Test(core_pool_file, only_one_file_is_ever_kept_aside)
{
	for (int i = 0; i < 3; i++) {
		change_head(8, 999);
		check_set_aside();
	}
}

Test(core_pool_file, a_symbolic_link_is_not_followed)
{
	struct pool pool = poolkit_unopened(ITEMS);

	unit_open_store();
	cr_assert_eq(symlink("/dev/null", unit_path("items")), 0);
	cr_expect_neq(pool_open(&pool), 0);
	cr_expect_eq(unlink(unit_path("items")), 0);
	cr_expect_eq(pool_open(&pool), 0);
}

Test(core_pool_file, a_directory_in_its_place_is_an_errno)
{
	struct pool pool = poolkit_unopened(ITEMS);

	unit_open_store();
	cr_assert_eq(mkdir(unit_path("items"), 0700), 0);
	cr_expect_neq(pool_open(&pool), 0);
}

Test(core_pool_file, it_is_private_to_its_user)
{
	struct pool pool;
	struct stat st;

	poolkit_open(&pool, ITEMS);
	cr_assert_eq(stat(unit_path("items"), &st), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0600);
	cr_expect_eq(files_in_store(), 1);
}

static int take_many(void *arg)
{
	struct pool *pool = arg;
	int err;

	for (int i = 0; i < 3 * ITEMS_IN_CHUNK; i++) {
		struct item *item = pool_item(pool, pool_take(pool, &err));

		if (item)
			item->owner = 1;
	}
	return 0;
}

Test(core_pool_file, growth_after_the_file_was_removed_costs_no_signal)
{
	struct pool pool;

	poolkit_open(&pool, ITEMS);
	poolkit_take(&pool);
	cr_assert_eq(unlink(unit_path("items")), 0);
	check_quiet(unit_fork(take_many, &pool));
}

/* A process of another version came, set the file aside and made one of its own. */
Test(core_pool_file, growth_after_the_file_was_set_aside_costs_no_signal)
{
	struct pool older, newer = poolkit_unopened(ITEMS);

	poolkit_open(&older, ITEMS);
	poolkit_take(&older);
	newer.item_size = 2 * ITEM_BYTES;
	cr_assert_eq(pool_open(&newer), 0);
	cr_assert(exists("items.old"));
	check_quiet(unit_fork(take_many, &older));
}

/* What anybody may have written into the head meanwhile. */
static void spoil_head(size_t at, uint32_t word)
{
	int fd = open(unit_path("items"), O_RDWR);

	cr_assert_eq(pwrite(fd, &word, sizeof(word), (off_t)at), sizeof(word));
	close(fd);
}

Test(core_pool_file, a_spoilt_size_leads_to_no_item_without_storage)
{
	struct pool pool;

	poolkit_open(&pool, 1 << 20);
	poolkit_take(&pool);
	spoil_head(offsetof(struct pool_head, ready), UINT32_MAX);
	cr_expect_not_null(pool_item(&pool, ITEMS_IN_CHUNK - 1));
	cr_expect_null(pool_item(&pool, ITEMS_IN_CHUNK));
	cr_expect_null(pool_item(&pool, (1 << 20) - 1));
	for (uint32_t i = 2; i < 2 * ITEMS_IN_CHUNK; i++)
		cr_assert_eq(poolkit_take(&pool), i);
}

Test(core_pool_file, a_spoilt_figure_of_used_ones_hands_none_out_twice)
{
	static const uint32_t figures[] = {0, 1, 5, ITEMS_IN_CHUNK + 1, 1 << 20, UINT32_MAX};
	static bool taken[4 * ITEMS_IN_CHUNK];
	struct pool pool;

	poolkit_open(&pool, 1 << 20);
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
		for (int k = 0; k < 10; k++) {
			uint32_t index = poolkit_take(&pool);

			cr_assert_lt(index, 4 * ITEMS_IN_CHUNK);
			cr_assert_not(taken[index]);
			taken[index] = true;
		}
		spoil_head(offsetof(struct pool_head, used), figures[i]);
		cr_assert_leq(pool_used(&pool), 4 * ITEMS_IN_CHUNK);
	}
}

Test(core_pool_file, a_spoilt_tag_is_not_taken_up)
{
	struct pool pool;
	uint32_t tag;

	poolkit_open(&pool, 1000);
	tag = pool_tag(&pool);
	spoil_head(offsetof(struct pool_head, tag), 0);
	cr_expect_eq(pool_tag(&pool), tag);
}
