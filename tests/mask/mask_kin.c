/* Mask eventfds among processes of one kin: what one of them does with its own sets, or may not do
 * any more, costs the others no wake-up. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "mate.h"
#include "shimcmd.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(mask_kin, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { SETS = 40, NOBODY = 65534 };

/* Leaves many watches behind, so that those of closed sets are looked for. */
static void crowd(int fd)
{
	for (int i = 0; i < SETS; i++)
		close(mask_watch(fd, EPOLLIN, 1));
}

Test(mask_kin, sets_of_a_child_are_not_closed_ones)
{
	int fd = mask_open(0);
	struct mate mate = mate_start(MATE_FORKED);
	int set = mate_new_set(&mate);
	mate_ctl(&mate, EPOLL_CTL_ADD, set, fd, EPOLLIN, 7);
	crowd(fd);
	mask_set(fd, EPOLLIN);
	uint64_t data = 0;
	cr_assert_eq(mate_event(&mate, set, &data), EPOLLIN);
	cr_assert_eq(data, 7);
	mate_end(&mate);
	mask_close(fd);
}

Test(mask_kin, sets_that_were_passed_on_are_not_closed_ones)
{
	struct mate mate = mate_start(MATE_PEER);
	int fd = mask_open(0), set = mask_watch(fd, EPOLLIN, 7), there = mate_hand(&mate, set);
	close(set);
	crowd(fd);
	mask_set(fd, EPOLLIN);
	uint64_t data = 0;
	cr_assert_eq(mate_event(&mate, there, &data), EPOLLIN);
	cr_assert_eq(data, 7);
	mate_end(&mate);
	mask_close(fd);
}

/* The record is under the maker's name for the set. */
Test(mask_kin, who_got_a_set_takes_the_makers_watch_out)
{
	int status;
	if (!shimcmd_there())
		return;
	/* the peer must be able to have it under the same number */
	int low = mask_open(0), fd = fcntl(low, F_DUPFD, 50);
	mask_close(low);
	struct mate mate = mate_start(MATE_PEER);
	int set = mask_watch(fd, EPOLLOUT, 7), there = mate_hand(&mate, fd);
	int set_there = mate_hand(&mate, set);
	while (there < fd)
		there = (int)mate_do(&mate, (struct mate_call){.op = MATE_DUP, .fd = there}).ret;
	cr_assert_eq(there, fd);
	mate_ctl(&mate, EPOLL_CTL_DEL, set_there, there, 0, 0);
	const char *said = shimcmd_say("ls", &status);
	cr_assert_not(strstr(said, " watchers=out "), "%s", said);
	mate_end(&mate);
	close(set);
	mask_close(fd);
}

/* A writer that cannot open any file of the library's any more. */
static pid_t start_poor_writer(int fd, int gate, bool other_user)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	struct rlimit limit = {64, 64};
	char byte;
	if (other_user && setuid(NOBODY))
		_exit(2);
	if (!other_user && setrlimit(RLIMIT_NOFILE, &limit))
		_exit(3);
	while (!other_user && dup(gate) >= 0)
		;
	if (read(gate, &byte, 1) != 1)
		_exit(4);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user undoes it */
	if (mask_try_write(fd, EPOLLPRI, 1) != MASK_BYTES)
		_exit(5);
	for (;;) /* its end would be a signal for the sleeper */
		pause();
}

static void wake_from_poverty(bool other_user, enum mate_op op, uint32_t asked)
{
	int fd = mask_open(0), gate[2];
	cr_assert_eq(pipe(gate), 0);
	pid_t pid = start_poor_writer(fd, gate[0], other_user);
	struct mate mate = mate_start(MATE_THREAD);
	mate_ask_asleep(
		&mate, (struct mate_call){.op = op, .fd = fd, .events = asked, .limit = 5000});
	int64_t begin = tk_now_ms();
	cr_assert_eq(write(gate[1], "", 1), 1);
	struct mate_reply reply = mate_answer(&mate);
	cr_assert_eq(reply.ret, 1);
	cr_assert_lt(tk_now_ms() - begin, 4000, "it was not woken");
	mate_end(&mate);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(gate[0]);
	close(gate[1]);
	mask_close(fd);
}

Test(mask_kin, a_child_without_an_fd_left_wakes_a_poll)
{
	wake_from_poverty(false, MATE_POLL, EPOLLPRI);
	wake_from_poverty(false, MATE_PPOLL, EPOLLPRI | EPOLLOUT);
}

Test(mask_kin, a_child_of_another_user_wakes_a_poll)
{
	if (geteuid()) /* nobody but root can change */
		return;
	wake_from_poverty(true, MATE_POLL, EPOLLPRI);
	wake_from_poverty(true, MATE_PPOLL, EPOLLPRI | EPOLLOUT);
}

/* The child has never had an fd of the mask, nor any eventfd; the set is its all the same. */
Test(mask_kin, a_child_older_than_the_mask_waits_on_the_set_too)
{
	int set = epoll_create1(0);
	struct mate mate = mate_start(MATE_FORKED);
	int fd = mask_open(0);
	mask_ctl(set, EPOLL_CTL_ADD, fd, 0, 7);
	mask_set(fd, EPOLLIN);
	cr_assert_eq(mask_event(set, NULL), 0);
	mask_set(fd, EPOLLERR | EPOLLIN);
	uint64_t data = 0;
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(mate_event(&mate, set, &data), EPOLLERR);
		cr_assert_eq(data, 7);
		cr_assert_eq(mask_event(set, &data), EPOLLERR);
		cr_assert_eq(data, 7);
	}
	mask_set(fd, EPOLLIN);
	cr_assert_eq(mate_event(&mate, set, NULL), 0);
	cr_assert_eq(mask_event(set, NULL), 0);
	mate_end(&mate);
	close(set);
	mask_close(fd);
}
