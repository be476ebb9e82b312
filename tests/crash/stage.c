#define _GNU_SOURCE
#include "crash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void stage_need(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "    the child: %s (errno %d)\n", what, errno);
	_exit(1);
}

int stage_eventfd(unsigned count, int flags)
{
	int fd = eventfd(count, flags);

	stage_need(fd >= 0, "eventfd");
	return fd;
}

void stage_write(struct journal *journal, enum shared which, uint64_t value)
{
	journal->object[which].next = journal->object[which].now + value;
	stage_add(journal->object[which].fd, value);
	journal->object[which].now = journal->object[which].next;
}

void stage_read(struct journal *journal, enum shared which)
{
	uint64_t now = journal->object[which].now;
	uint64_t value = which == SEMA && now ? 1 : now;

	journal->object[which].next = now - value;
	stage_take(journal->object[which].fd, value);
	journal->object[which].now = now - value;
}

void stage_add(int fd, uint64_t value)
{
	stage_need(write(fd, &value, sizeof(value)) == sizeof(value), "write");
}

void stage_take(int fd, uint64_t value)
{
	uint64_t got = 0;
	ssize_t ret = read(fd, &got, sizeof(got));

	if (value)
		stage_need(ret == sizeof(got) && got == value, "read");
	else
		stage_need(ret < 0 && errno == EAGAIN, "read of an empty one");
}

void stage_close(int fd)
{
	stage_need(close(fd) == 0, "close");
}

struct envelope {
	struct msghdr header;
	struct iovec part;
	uint64_t value;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
};

static void seal(struct envelope *e)
{
	memset(e, 0, sizeof(*e));
	e->part = (struct iovec){&e->value, sizeof(e->value)};
	e->header.msg_iov = &e->part;
	e->header.msg_iovlen = 1;
	e->header.msg_control = e->control.bytes;
	e->header.msg_controllen = sizeof(e->control.bytes);
}

bool stage_send(int socket, int fd, uint64_t value)
{
	struct envelope e;
	struct cmsghdr *part;

	seal(&e);
	e.value = value;
	part = CMSG_FIRSTHDR(&e.header);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(part), &fd, sizeof(fd));
	return sendmsg(socket, &e.header, 0) == sizeof(e.value);
}

int stage_receive(int socket, uint64_t *value)
{
	struct envelope e;
	struct cmsghdr *part;
	int fd = -1;

	seal(&e);
	if (recvmsg(socket, &e.header, MSG_DONTWAIT) != sizeof(e.value))
		return -1;
	part = CMSG_FIRSTHDR(&e.header);
	if (part && part->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(part), sizeof(fd));
	*value = e.value;
	return fd;
}

/* A child of the child that was killed in its place. */
void stage_reap(pid_t pid)
{
	int status = 0;

	stage_need(waitpid(pid, &status, 0) == pid, "waitpid");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		_exit(KILLED_INSIDE);
	stage_need(status == 0, "a child of the child fails");
}
