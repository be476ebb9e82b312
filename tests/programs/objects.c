/* Makes eventfds and holds them, as it is told: one command a line on stdin, one line on stdout for
 * each, the result or -errno:
 * - new COUNT FLAGS: FLAGS of s (semaphore), n (non-blocking), c (close-on-exec);
 * - add FD N, take FD, dup FD, close FD, block FD (sets O_NONBLOCK off), watch FD in|out|in,out;
 * - send FD, receive, lose: a message to itself; both ends of its socket closed;
 * - fork: a child that holds all of this, and waits to be killed; kill PID; pid. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2] = {-1, -1};

static long done(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long make(const char *count, const char *flags)
{
	return eventfd((unsigned)strtoul(count, NULL, 10),
		(strchr(flags, 's') ? EFD_SEMAPHORE : 0) | (strchr(flags, 'n') ? EFD_NONBLOCK : 0) |
			(strchr(flags, 'c') ? EFD_CLOEXEC : 0));
}

static long watch(int fd, const char *what)
{
	struct epoll_event event = {
		.events = (strstr(what, "in") ? EPOLLIN : 0) | (strstr(what, "out") ? EPOLLOUT : 0),
	};
	int epfd = epoll_create1(0);

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
}

/* The message that holds one fd, or has room for one. */
struct parcel {
	struct msghdr header;
	struct iovec byte;
	char letter;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static struct msghdr *wrap(struct parcel *parcel, int fd)
{
	struct cmsghdr *part;

	memset(parcel, 0, sizeof(*parcel));
	parcel->byte = (struct iovec){&parcel->letter, 1};
	parcel->header = (struct msghdr){
		.msg_iov = &parcel->byte,
		.msg_iovlen = 1,
		.msg_control = parcel->control,
		.msg_controllen = sizeof(parcel->control),
	};
	part = CMSG_FIRSTHDR(&parcel->header);
	*part = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(part), &fd, sizeof(fd));
	return &parcel->header;
}

static long send_fd(int fd)
{
	struct parcel parcel;

	if (ends[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return -1;
	return sendmsg(ends[0], wrap(&parcel, fd), 0);
}

static long receive(void)
{
	struct parcel parcel;
	int fd = -1;

	if (recvmsg(ends[1], wrap(&parcel, -1), 0) < 0)
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&parcel.header)), sizeof(fd));
	return fd;
}

static long lose(void)
{
	int failed = close(ends[0]) | close(ends[1]);

	ends[0] = ends[1] = -1;
	return failed;
}

static long fork_holder(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (;;)
		pause();
}

static long end(pid_t pid)
{
	return kill(pid, SIGKILL) || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}

static long obey(const char *verb, const char *one, const char *two)
{
	int fd = atoi(one);
	eventfd_t value = 0;

	if (!strcmp(verb, "new"))
		return make(one, two);
	if (!strcmp(verb, "add"))
		return eventfd_write(fd, strtoull(two, NULL, 10));
	if (!strcmp(verb, "take"))
		return eventfd_read(fd, &value) ? -1 : (long)value;
	if (!strcmp(verb, "close"))
		return close(fd);
	if (!strcmp(verb, "watch"))
		return watch(fd, two);
	if (!strcmp(verb, "block"))
		return fcntl(fd, F_SETFL, 0);
	if (!strcmp(verb, "dup"))
		return dup(fd);
	if (!strcmp(verb, "send"))
		return send_fd(fd);
	if (!strcmp(verb, "receive"))
		return receive();
	if (!strcmp(verb, "lose"))
		return lose();
	if (!strcmp(verb, "fork"))
		return fork_holder();
	if (!strcmp(verb, "kill"))
		return end(atoi(one));
	return strcmp(verb, "pid") ? -1 : (long)getpid();
}

int main(void)
{
	char line[128], verb[16], one[32], two[32];

	/* by read, a byte at a time: a forked child must not have the rest in a buffer */
	for (size_t used = 0; read(0, line + used, 1) == 1;) {
		if (line[used++] != '\n' && used < sizeof(line) - 1)
			continue;
		line[used] = 0;
		used = 0;
		verb[0] = one[0] = two[0] = 0;
		sscanf(line, "%15s %31s %31s", verb, one, two);
		errno = 0;
		printf("%ld\n", done(obey(verb, one, two)));
		fflush(stdout);
	}
	return 0;
}
