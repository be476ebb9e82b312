/* What makes and closes fds, by libc's functions and by syscall(): the flags that came with
 * 2.6.22 to 2.6.28, close_range, limits. */
#include "older.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4
#endif

enum { BAD = 0x10 };

static void done(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void show_both(int ends[2])
{
	for (int i = 0; i < 2; i++) {
		older_show_fd(ends[i]);
		close(ends[i]);
	}
}

#define BOTH(call, ends) (SAY(call) == 0 ? show_both(ends) : (void)0)

static void eventfds(void)
{
	done(SAY_FD(eventfd(0, 0)));
	done(SAY_FD(eventfd(0, EFD_CLOEXEC)));
	done(SAY_FD(eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE)));
	SAY(eventfd(0, 0x1000));
	done(SAY_FD(syscall(SYS_eventfd2, 1, EFD_CLOEXEC | EFD_NONBLOCK)));
	SAY(syscall(SYS_eventfd2, 1, 0x1000));
#ifdef SYS_eventfd
	done(SAY_FD(syscall(SYS_eventfd, 1, 0)));
#endif
}

static void pipes(void)
{
	int ends[2];

	BOTH(pipe(ends), ends);
	BOTH(pipe2(ends, 0), ends);
	BOTH(pipe2(ends, O_CLOEXEC), ends);
	BOTH(pipe2(ends, O_CLOEXEC | O_NONBLOCK), ends);
	BOTH(syscall(SYS_pipe2, ends, O_NONBLOCK), ends);
	SAY(pipe2(ends, BAD));
	SAY(pipe2(NULL, O_CLOEXEC));
}

static void sets(void)
{
	done(SAY_FD(epoll_create(5)));
	SAY(epoll_create(0));
	SAY(epoll_create(-1));
	done(SAY_FD(epoll_create1(0)));
	done(SAY_FD(epoll_create1(EPOLL_CLOEXEC)));
	done(SAY_FD(syscall(SYS_epoll_create1, EPOLL_CLOEXEC)));
	SAY(epoll_create1(BAD));
	done(SAY_FD(inotify_init()));
	done(SAY_FD(inotify_init1(0)));
	done(SAY_FD(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)));
	done(SAY_FD(syscall(SYS_inotify_init1, IN_NONBLOCK)));
	SAY(inotify_init1(BAD));
}

static void copies(void)
{
	int fd = eventfd(0, 0), plain = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[2] = {fd, plain};

	older_show_fd(plain);
	for (int i = 0; i < 2; i++) {
		int from = fds[i];

		done(SAY_FD(dup3(from, 100, 0)));
		done(SAY_FD(dup3(from, 100, O_CLOEXEC)));
		done(SAY_FD(syscall(SYS_dup3, from, 100, O_CLOEXEC)));
		done(SAY_FD(dup2(from, 100)));
		SAY(dup3(from, from, O_CLOEXEC));
		SAY(dup3(from, 100, BAD));
		SAY(dup3(from, -1, O_CLOEXEC));
		SAY(dup3(from, 1 << 30, O_CLOEXEC));
		done(SAY_FD(fcntl(from, F_DUPFD_CLOEXEC, 50)));
		done(SAY_FD(syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, 50)));
		SAY(fcntl(from, F_DUPFD_CLOEXEC, -1));
		SAY(fcntl(from, F_DUPFD_CLOEXEC, 1 << 30));
	}
	SAY(dup3(900, 901, O_CLOEXEC));
	SAY(dup3(900, 900, O_CLOEXEC));
	SAY(fcntl(900, F_DUPFD_CLOEXEC, 0));
	done(fd);
	done(plain);
}

static void sockets(void)
{
	int ends[2];

	done(SAY_FD(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	done(SAY_FD(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
	done(SAY_FD(syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)));
	SAY(socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
	SAY(socket(AF_UNIX, 99 | SOCK_CLOEXEC, 0));
	SAY(socket(AF_UNIX, 0, 0));
	SAY(socket(-1, SOCK_STREAM | SOCK_CLOEXEC, 0));
	BOTH(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ends);
	BOTH(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ends);
	BOTH(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), ends);
	BOTH(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
		ends);
	SAY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, NULL));
	SAY(socketpair(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
}

static void connect_to(const struct sockaddr_un *address, socklen_t n, int fds[8], int count)
{
	for (int i = 0; i < count; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		connect(fds[i], (const struct sockaddr *)address, n);
	}
}

static void connections(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), clients[8], event;
	socklen_t n = sizeof(sa_family_t), room = sizeof(address);

	bind(listener, (struct sockaddr *)&address, n); /* at a name of the kernel's choice */
	listen(listener, 8);
	getsockname(listener, (struct sockaddr *)&address, &room);
	connect_to(&address, room, clients, 5);
	done(SAY_FD(accept(listener, NULL, NULL)));
	done(SAY_FD(accept4(listener, NULL, NULL, 0)));
	done(SAY_FD(accept4(listener, NULL, NULL, SOCK_CLOEXEC)));
	done(SAY_FD(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)));
	SAY(accept4(listener, NULL, NULL, BAD));
	done(SAY_FD(syscall(SYS_accept4, listener, NULL, NULL, SOCK_NONBLOCK)));
	SAY(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	event = eventfd(0, 0);
	SAY(accept4(event, NULL, NULL, SOCK_CLOEXEC));
	SAY(accept4(900, NULL, NULL, SOCK_CLOEXEC));
	done(event);
	for (int i = 0; i < 5; i++)
		close(clients[i]);
	close(listener);
}

static void received(long (*receive)(int, struct msghdr *, int), int flags)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(2 * sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int ends[2], fds[2] = {eventfd(7, EFD_NONBLOCK), open("/dev/null", O_RDONLY)};

	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	SAY(sendmsg(ends[0], &message, 0));
	SAY(receive(ends[1], &message, flags));
	close(fds[0]);
	close(fds[1]);
	memcpy(fds, CMSG_DATA(&control.head), sizeof(fds));
	show_both(fds);
	close(ends[0]);
	close(ends[1]);
}

static long by_libc(int fd, struct msghdr *message, int flags)
{
	return recvmsg(fd, message, flags);
}

static long by_number(int fd, struct msghdr *message, int flags)
{
	return syscall(SYS_recvmsg, fd, message, flags);
}

static void messages(void)
{
	received(by_libc, 0);
	received(by_libc, MSG_CMSG_CLOEXEC);
	received(by_number, MSG_CMSG_CLOEXEC);
}

/* In a child: what is open, and which of it close-on-exec. */
static void show_open(void)
{
	printf("    open:");
	for (int fd = 3; fd < 300; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0)
			printf(" %d%s", fd, flags ? "c" : "");
	}
	printf("\n");
	fflush(stdout);
}

static void in_child(void (*act)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		closefrom(3);
		for (int fd = 200; fd < 210; fd += 3)
			dup2(1, fd);
		eventfd(1, 0);
		eventfd(1, EFD_CLOEXEC);
		dup2(3, 220);
		act();
		show_open();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void nothing(void)
{
}
static void a_range(void)
{
	SAY(close_range(4, 203, 0));
}
static void a_range_by_number(void)
{
	SAY(syscall(SYS_close_range, 4, 206, 0));
}
static void all(void)
{
	SAY(close_range(3, ~0U, 0));
}
static void marked(void)
{
	SAY(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
}
static void some_marked(void)
{
	SAY(close_range(201, 215, CLOSE_RANGE_CLOEXEC));
}
static void unshared(void)
{
	SAY(close_range(203, 215, CLOSE_RANGE_UNSHARE));
}
static void from_200(void)
{
	closefrom(200);
}

static void refused(void)
{
	SAY(close_range(5, 4, 0));
	SAY(close_range(3, 4, 0x100));
	SAY(syscall(SYS_close_range, 5, 4, 0));
}

/* Here with no fd left to read the list by. */
static void without_room(void)
{
	struct rlimit limit = {3, 3};

	setrlimit(RLIMIT_NOFILE, &limit);
	SAY(close_range(200, 203, CLOSE_RANGE_CLOEXEC));
}

static void *apart(void *arg)
{
	(void)arg;
	unshare(CLONE_FILES);
	dup2(1, 230);
	SAY(close_range(225, 235, 0));
	SAY(fcntl(230, F_GETFD));
	return NULL;
}

/* A thread whose fds are not those of the process. */
static void of_a_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, apart, NULL);
	pthread_join(thread, NULL);
}

static void ranges(void)
{
	in_child(nothing);
	in_child(a_range);
	in_child(a_range_by_number);
	in_child(all);
	in_child(marked);
	in_child(some_marked);
	in_child(unshared);
	in_child(from_200);
	in_child(refused);
	in_child(without_room);
	in_child(of_a_thread);
}

static void limits(void)
{
	struct rlimit limit, old, wrong = {2, 1};

	SAY(getrlimit(RLIMIT_CORE, &limit));
	limit.rlim_cur = 0;
	SAY(setrlimit(RLIMIT_CORE, &limit));
	SAY(prlimit(0, RLIMIT_CORE, NULL, &old));
	SAY((long)old.rlim_cur);
	SAY(prlimit(getpid(), RLIMIT_CORE, &old, &limit));
	SAY(getrlimit(-1, &limit));
	SAY(prlimit(0, -1, NULL, NULL));
	limit.rlim_cur = 4096;
	SAY(prlimit(0, RLIMIT_CORE, &limit, &limit));
	SAY((long)limit.rlim_cur);
	SAY(getrlimit(RLIMIT_CORE, &old));
	SAY((long)old.rlim_cur);
	limit.rlim_cur = 17;
	SAY(prlimit(0, RLIMIT_CORE, &wrong, &limit));
	SAY((long)limit.rlim_cur);
}

static void ask_shell(const char *command, const char *mode)
{
	char line[64] = "";
	FILE *stream = popen(command, mode);

	SAY(stream ? fcntl(fileno(stream), F_GETFD) : -1);
	if (stream) {
		printf("    %s\n", fgets(line, sizeof(line), stream) ? "a line" : "nothing");
		SAY(pclose(stream));
	}
}

static void shells(void)
{
	FILE *one = popen("exit 3", "r"), *other;

	SAY(fclose(one) >= 0);
	other = popen("exit 5", "r"); /* it may have the same address */
	SAY(pclose(other));
	ask_shell("echo a; exit 1", "r");
	ask_shell("echo b", "re");
	ask_shell("echo c", "er");
	ask_shell("echo d", "rw");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	eventfds();
	pipes();
	sets();
	copies();
	sockets();
	connections();
	messages();
	ranges();
	limits();
	shells();
	return 0;
}
