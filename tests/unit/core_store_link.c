/* The links of /proc that lead to the store's FIFOs. */
#include "unit.h"

#include <fcntl.h>

#include "core/fifo.h"
#include "core/slot.h"

enum { TAG = 0xbeef, SLOT = 17 };

static void setup(void)
{
	unit_setup();
	unit_open_store();
	fifo_set_tag(TAG);
}

TestSuite(core_store_link, .init = setup, .fini = unit_teardown, .timeout = 20);
TestSuite(core_store_place, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

static int open_fifo(unsigned class)
{
	uint64_t inode = 0;
	int fd = fifo_open(SLOT, class, O_CLOEXEC, &inode);

	cr_assert(fd >= 0, "%d", fd);
	return fd;
}

/* What /proc says of an fd. */
static int slot_of(int fd)
{
	char path[64], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	cr_assert(n > 0);
	return fifo_slot_of_link(target, (size_t)n);
}

Test(core_store_link, the_link_of_its_fd_leads_to_its_slot)
{
	static const uint32_t slots[] = {1, 9, 10, 123456, (1 << 20) - 1};

	for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++) {
		uint64_t inode = 0;
		int fd = fifo_open(slots[i], CLASS_IN, O_CLOEXEC, &inode);

		cr_expect_eq(slot_of(fd), (int)slots[i]);
		close(fd);
	}
}

Test(core_store_link, the_link_of_a_removed_one_leads_to_its_slot)
{
	int fd = open_fifo(CLASS_IN);

	cr_assert_eq(unlink(unit_path("beef.17")), 0);
	cr_expect_eq(slot_of(fd), SLOT);
	close(fd);
}

Test(core_store_link, the_link_of_another_class_is_no_objects)
{
	int fd = open_fifo(CLASS_OUT);

	cr_expect_eq(slot_of(fd), -1);
	close(fd);
}

Test(core_store_link, other_links_are_no_objects)
{
	static const char *const names[] = {"", "/", "/beef", "/beef.", "/beef.x", "/beef.017",
		"/bee.17", "/beeff.17", "/dead.17", "/17", "/slots", "x/beef.17",
		"/beef.99999999999", "/beef.-1", "/beef.17.4"};
	char target[300];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(target, sizeof(target), "%s%s", unit_dir, names[i]);
		cr_expect_eq(fifo_slot_of_link(target, strlen(target)), -1, "%s", names[i]);
	}
	cr_expect_eq(fifo_slot_of_link("pipe:[17]", 9), -1);
	cr_expect_eq(fifo_slot_of_link("", 0), -1);
}

Test(core_store_link, only_so_many_bytes_of_a_link_are_read)
{
	char target[300];

	snprintf(target, sizeof(target), "%s/beef.178", unit_dir);
	cr_expect_eq(fifo_slot_of_link(target, strlen(target)), 178);
	cr_expect_eq(fifo_slot_of_link(target, strlen(target) - 1), 17);
	cr_expect_eq(fifo_slot_of_link(target, strlen(target) - 2), 1);
	cr_expect_eq(fifo_slot_of_link(target, strlen(target) - 3), -1);
}

Test(core_store_link, the_beginning_of_a_path_could_be_one_of_ours)
{
	char target[300];
	size_t n = (size_t)snprintf(target, sizeof(target), "%s/beef.17", unit_dir);

	for (size_t i = 1; i <= n; i++)
		cr_expect(store_prefixes(target, i));
	cr_expect_not(store_prefixes("/proc", 5));
	target[strlen(unit_dir)] = 'x';
	cr_expect_not(store_prefixes(target, n));
}

Test(core_store_place, an_unopened_store_has_no_links)
{
	cr_expect_not(store_prefixes("/dev", 4));
	cr_expect_eq(fifo_slot_of_link("/dev/shm/x/0.1", 14), -1);
}

static void check_link_from(const char *directory)
{
	int fd;

	config.dir = directory;
	unit_open_store();
	fifo_set_tag(TAG);
	fd = open_fifo(CLASS_IN);
	cr_expect_eq(slot_of(fd), SLOT);
	close(fd);
}

Test(core_store_place, a_slash_behind_the_directory_changes_no_link)
{
	char directory[200];

	snprintf(directory, sizeof(directory), "%s/", unit_dir);
	check_link_from(directory);
}

Test(core_store_place, a_roundabout_name_of_the_directory_changes_no_link)
{
	char directory[200];

	cr_assert_eq(mkdir(unit_path("sub"), 0700), 0);
	snprintf(directory, sizeof(directory), "%s//./sub/../sub", unit_dir);
	check_link_from(directory);
}

/* As /dev/shm itself is one in some systems. */
Test(core_store_place, a_symbolic_link_above_the_directory_changes_no_link)
{
	char directory[200];

	cr_assert_eq(mkdir(unit_path("real"), 0700), 0);
	cr_assert_eq(symlink("real", unit_path("link")), 0);
	snprintf(directory, sizeof(directory), "%s/link/store", unit_dir);
	check_link_from(directory);
}
