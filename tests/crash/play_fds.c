/* Scenes: what the child does with fds. */
#define _GNU_SOURCE
#include "crash.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEVERAL = 5 };

static _Noreturn void be_forked(struct journal *journal, const int *fd)
{
	stage_write(journal, THREE, 1);
	for (int i = 0; i < SEVERAL; i++) {
		stage_add(fd[i], 1);
		stage_close(fd[i]);
	}
	stage_close(journal->object[EMPTY].fd);
	_exit(0);
}

void play_fork(struct journal *journal)
{
	int fd[SEVERAL];
	pid_t pid;

	for (int i = 0; i < SEVERAL; i++)
		fd[i] = stage_eventfd(1, EFD_NONBLOCK);
	pid = fork();
	stage_need(pid >= 0, "fork");
	if (pid == 0)
		be_forked(journal, fd);
	stage_reap(pid);
	for (int i = 0; i < SEVERAL; i++) {
		stage_take(fd[i], 2);
		stage_close(fd[i]);
	}
	stage_read(journal, THREE);
}

void play_dup_over(struct journal *journal)
{
	int one = stage_eventfd(1, EFD_NONBLOCK), other = stage_eventfd(2, EFD_NONBLOCK);

	stage_need(dup2(one, other) == other, "dup2 over another one");
	stage_add(other, 1);
	stage_take(one, 2);
	stage_need(dup2(journal->object[EMPTY].fd, one) == one, "dup2 over one that lives on");
	stage_need(dup3(journal->object[THREE].fd, other, O_CLOEXEC) == other, "dup3");
	stage_need(dup2(journal->object[THREE].fd, journal->object[EMPTY].fd) ==
			   journal->object[EMPTY].fd,
		"dup2 over a shared one");
	journal->object[EMPTY].fd = one;
	stage_write(journal, EMPTY, 4);
	stage_read(journal, EMPTY);
	stage_need(dup2(2, one) == one, "dup2 of another file");
	stage_close(other);
}

void play_close_all(struct journal *journal)
{
	int highest = 0;

	for (int i = 0; i < SEVERAL; i++)
		highest = stage_eventfd(1, 0);
	stage_write(journal, EMPTY, 4);
	stage_need(close_range(3, (unsigned)highest - 2, 0) == 0, "close_range");
	for (int i = 0; i < SEVERAL; i++)
		stage_eventfd(1, 0);
	closefrom(3);
}

/* To the survivor, and to nobody. */
void play_send(struct journal *journal)
{
	int fd = stage_eventfd(5, EFD_NONBLOCK), pair[2];

	stage_need(stage_send(journal->mail[0], fd, 5), "sendmsg");
	stage_close(fd);
	fd = stage_eventfd(6, EFD_NONBLOCK);
	stage_need(stage_send(journal->mail[0], fd, 6), "sendmsg");
	stage_need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
	stage_need(stage_send(pair[0], fd, 6), "sendmsg to nobody");
	stage_need(stage_send(pair[0], journal->object[THREE].fd, 3), "sendmsg of a shared one");
	stage_write(journal, THREE, 1);
}

void play_receive(struct journal *journal)
{
	uint64_t value = 0;
	int fd, pair[2];

	stage_need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
	for (int i = 0; i < 2; i++) {
		fd = stage_receive(journal->mail[1], &value);
		stage_need(fd >= 0, "recvmsg");
		stage_take(fd, value);
		stage_close(fd);
	}
	stage_need(stage_send(pair[0], journal->object[EMPTY].fd, 0), "sendmsg of a shared one");
	stage_close(journal->object[EMPTY].fd);
	journal->object[EMPTY].fd = stage_receive(pair[1], &value);
	stage_need(journal->object[EMPTY].fd >= 0, "recvmsg of a shared one");
	stage_write(journal, EMPTY, 4);
	stage_read(journal, EMPTY);
	stage_write(journal, EMPTY, 1);
}

/* Another image that inherits: the shared ones at their numbers, and one of this child's. */
void play_exec(struct journal *journal)
{
	stage_eventfd(1, EFD_NONBLOCK);
	stage_eventfd(1, EFD_CLOEXEC);
	stage_write(journal, EMPTY, 2);
	run_image("inherited", journal);
}

/* Leaves what it made to whoever cleans up. */
void play_litter(struct journal *journal)
{
	(void)journal;
	for (int i = 0; i < LITTER; i++)
		stage_eventfd(1, 0);
	raise(SIGKILL);
}

/* There was such a one before. */
void play_reclaim(struct journal *journal)
{
	int fd[LITTER];

	for (int i = 0; i < LITTER; i++) {
		fd[i] = stage_eventfd(1, EFD_NONBLOCK);
		if (i % 8 == 0)
			stage_write(journal, THREE, 1);
	}
	for (int i = 0; i < LITTER; i++) {
		stage_take(fd[i], 1);
		stage_close(fd[i]);
	}
}
