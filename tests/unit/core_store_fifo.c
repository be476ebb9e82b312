/* The FIFOs of the store: how they are opened, and who still has one open. */
#include "unit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/fifo.h"
#include "core/slot.h"

enum { TAG = 0xbeef, SLOT = 17 };

static void setup(void)
{
	unit_setup();
	unit_open_store();
	fifo_set_tag(TAG);
}

TestSuite(core_store_fifo, .init = setup, .fini = unit_teardown, .timeout = 20);

static int open_fifo(unsigned class)
{
	uint64_t inode = 0;
	int fd = fifo_open(SLOT, class, O_CLOEXEC, &inode);

	cr_assert(fd >= 0, "%d", fd);
	return fd;
}

static struct stat stat_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st;
}

Test(core_store_fifo, it_is_made_private_and_opened_for_both_directions)
{
	int fd = open_fifo(CLASS_IN);

	cr_expect_eq(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	cr_expect_eq(stat_of(fd).st_mode, S_IFIFO | 0600);
	close(fd);
}

Test(core_store_fifo, it_takes_the_lowest_number)
{
	int lowest = dup(0);

	close(lowest);
	cr_expect_eq(open_fifo(CLASS_IN), lowest);
	close(lowest);
}

Test(core_store_fifo, it_is_closed_on_exec_where_asked_for)
{
	uint64_t inode = 0;
	int kept = fifo_open(SLOT, CLASS_IN, 0, &inode);
	int closed = fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode);

	cr_expect_eq(fcntl(kept, F_GETFD), 0);
	cr_expect_eq(fcntl(closed, F_GETFD), FD_CLOEXEC);
	close(kept);
	close(closed);
}

Test(core_store_fifo, its_inode_is_told_when_it_is_made)
{
	uint64_t inode = 0;
	int fd = fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode);

	cr_expect_eq(inode, stat_of(fd).st_ino);
	close(fd);
}

Test(core_store_fifo, the_same_one_is_opened_again)
{
	uint64_t inode = 0;
	int first = fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode);
	int second = fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode);

	cr_expect_eq(stat_of(second).st_ino, stat_of(first).st_ino);
	cr_assert_eq(write(first, "", 1), 1);
	cr_expect_eq(unit_poll(second, POLLIN), POLLIN);
	close(first);
	close(second);
}

Test(core_store_fifo, slots_and_classes_have_their_own)
{
	ino_t inodes[3 * CLASS_COUNT];
	int n = 0;

	for (uint32_t slot = 1; slot <= 21; slot += 10) {
		for (unsigned class = 1; class < CLASS_COUNT; class ++) {
			uint64_t inode = 0;
			int fd = fifo_open(slot, class, O_CLOEXEC, &inode);

			inodes[n] = stat_of(fd).st_ino;
			for (int i = 0; i < n; i++)
				cr_assert_neq(inodes[i], inodes[n]);
			n++;
			close(fd);
		}
	}
}

Test(core_store_fifo, one_that_was_removed_is_made_again)
{
	uint64_t inode = 0;
	int fd = fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode);

	cr_assert_eq(unlink(unit_path("beef.17")), 0);
	int again = fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode);
	cr_expect(again >= 0);
	cr_expect_eq(inode, stat_of(again).st_ino);
	cr_expect_neq(inode, stat_of(fd).st_ino);
	close(fd);
	close(again);
}

Test(core_store_fifo, what_is_no_fifo_is_refused)
{
	uint64_t inode = 0;

	close(open(unit_path("beef.17"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	cr_expect(fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode) < 0);
	cr_assert_eq(unlink(unit_path("beef.17")), 0);
	cr_assert_eq(mkfifo(unit_path("other"), 0600), 0);
	cr_assert_eq(symlink("other", unit_path("beef.17")), 0);
	cr_expect(fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode) < 0);
	cr_expect_eq(inode, 0);
}

enum { NUMBERS = 64 };

static int taken[NUMBERS];

/* Takes every number there is; how many it were. */
static int take_all_numbers(void)
{
	struct rlimit limit;
	int n = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = NUMBERS;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while ((taken[n] = dup(0)) >= 0)
		n++;
	cr_assert_eq(errno, EMFILE);
	return n;
}

static void give_numbers(int n)
{
	while (n)
		close(taken[--n]);
}

Test(core_store_fifo, without_a_free_number_it_says_so)
{
	uint64_t inode = 0;
	int n = take_all_numbers();

	cr_expect_eq(fifo_open(SLOT, CLASS_IN, O_CLOEXEC, &inode), -EMFILE);
	give_numbers(n);
	close(open_fifo(CLASS_IN));
}

Test(core_store_fifo, an_open_one_is_live)
{
	int fd = open_fifo(CLASS_IN);

	cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	close(fd);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_NOWHERE);
}

Test(core_store_fifo, a_duplicate_keeps_it_live)
{
	int fd = open_fifo(CLASS_IN), copy = dup(fd);

	close(fd);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	close(copy);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_NOWHERE);
}

Test(core_store_fifo, looking_whether_it_lives_leaves_its_bytes_alone)
{
	int fd = open_fifo(CLASS_IN);

	cr_assert_eq(write(fd, "", 1), 1);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	cr_expect_eq(unit_poll(fd, POLLIN | POLLOUT | POLLHUP), POLLIN | POLLOUT);
	close(fd);
}

Test(core_store_fifo, the_bytes_of_one_nobody_has_open_are_gone)
{
	int fd = open_fifo(CLASS_IN);

	cr_assert_eq(write(fd, "", 1), 1);
	close(fd);
	fd = open_fifo(CLASS_IN);
	cr_expect_eq(unit_poll(fd, POLLIN), 0);
	close(fd);
}

struct holder {
	struct unit_gate go;
	int fd;
};

static int hold(void *arg)
{
	struct holder *holder = arg;

	unit_pass_gate(&holder->go);
	return 0;
}

Test(core_store_fifo, a_forked_child_alone_keeps_it_live)
{
	struct holder holder = {.go = unit_gate(), .fd = open_fifo(CLASS_IN)};
	pid_t pid = unit_fork(hold, &holder);

	close(holder.fd);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	unit_open_gate(&holder.go);
	cr_expect_eq(unit_wait(pid), 0);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_NOWHERE);
	unit_close_gate(&holder.go);
}

Test(core_store_fifo, a_killed_process_has_it_open_no_more)
{
	struct holder holder = {.go = unit_gate(), .fd = open_fifo(CLASS_IN)};
	pid_t pid = unit_fork(hold, &holder);

	close(holder.fd);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	kill(pid, SIGKILL);
	cr_expect_eq(unit_wait(pid), -SIGKILL);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_NOWHERE);
	unit_close_gate(&holder.go);
}

static void send_fd(int socket, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec byte = {"", 1};
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);

	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(part), &fd, sizeof(int));
	cr_assert_eq(sendmsg(socket, &message, 0), 1);
}

Test(core_store_fifo, a_message_under_way_keeps_it_live)
{
	int ends[2], fd = open_fifo(CLASS_IN);

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	send_fd(ends[0], fd);
	close(fd);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	close(ends[0]);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	close(ends[1]);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_NOWHERE);
}

Test(core_store_fifo, the_fifo_of_another_class_keeps_nothing_live)
{
	int own = open_fifo(CLASS_IN), other = open_fifo(CLASS_OUT);

	close(own);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_NOWHERE);
	close(other);
}

Test(core_store_fifo, one_whose_name_is_gone_may_live)
{
	int fd = open_fifo(CLASS_IN);

	cr_assert_eq(unlink(unit_path("beef.17")), 0);
	cr_expect_eq(fifo_liveness(SLOT), LIVE_UNKNOWN);
	close(fd);
}

Test(core_store_fifo, without_a_free_number_it_may_live)
{
	int fd = open_fifo(CLASS_IN), n;

	close(fd);
	n = take_all_numbers();
	cr_expect_neq(fifo_liveness(SLOT), LIVE_SOMEWHERE);
	give_numbers(n);
}

Test(core_store_fifo, a_retired_one_shows_nothing_to_who_still_watches)
{
	int fd = open_fifo(CLASS_OUT), again;

	for (int i = 0; i < 5000; i++)
		cr_assert_eq(write(fd, "", 1), 1);
	fifo_retire(SLOT, CLASS_OUT);
	cr_expect_eq(unit_poll(fd, POLLIN), 0);
	again = open_fifo(CLASS_OUT);
	cr_expect_neq(stat_of(again).st_ino, stat_of(fd).st_ino);
	close(fd);
	close(again);
	fifo_retire(SLOT + 1, CLASS_OUT);
}
