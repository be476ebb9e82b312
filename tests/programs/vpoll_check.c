/* libvpoll on EFD_VPOLL, case by case: one line 'ok ...' or 'not ok ...' each. The wanted answers
 * are those of the kernel patch that libvpoll was written for.
 * Usage: vpoll_check patch | transcript | mask | both | add FD EVENTS */
#include "vpoll_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "efdshim/eventfd.h"

const uint32_t bits[BITS] = {
	EPOLLIN,
	EPOLLPRI,
	EPOLLOUT,
	EPOLLERR,
	EPOLLHUP,
	EPOLLRDHUP,
	EPOLLRDNORM,
	EPOLLWRNORM,
	EPOLLRDBAND,
	EPOLLWRBAND,
};

static int failed;
static const char *self;

void check(bool good, const char *format, ...)
{
	va_list list;

	failed |= !good;
	printf(good ? "ok " : "not ok ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	fflush(stdout);
}

uint64_t pending(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : UINT64_MAX;
}

int make_fd(uint32_t events)
{
	int fd = vpoll_create(0, 0);

	if (fd < 0 || vpoll_ctl(fd, VPOLL_CTL_SETEVENTS, events)) {
		perror("vpoll_create");
		exit(2);
	}
	return fd;
}

uint32_t polled(int fd, uint32_t interest)
{
	struct pollfd entry = {.fd = fd, .events = (short)interest};
	int n = poll(&entry, 1, 0);

	return n == !!entry.revents ? (uint16_t)entry.revents : UINT32_MAX;
}

int select_model(uint32_t state, int sets)
{
	return sets &
	       ((state & SELECT_READ ? SEES_READ : 0) | (state & SELECT_WRITE ? SEES_WRITE : 0) |
		       (state & SELECT_EXCEPT ? SEES_EXCEPT : 0));
}

int selected(int fd, int sets)
{
	struct timeval none = {0, 0};
	fd_set seen[3];
	int found = 0, n;

	for (int i = 0; i < 3; i++) {
		FD_ZERO(&seen[i]);
		if (sets & 1 << i)
			FD_SET(fd, &seen[i]);
	}
	n = select(fd + 1, &seen[0], &seen[1], &seen[2], &none);
	for (int i = 0; i < 3; i++)
		found |= FD_ISSET(fd, &seen[i]) ? 1 << i : 0;
	return n == __builtin_popcount((unsigned)found) ? found : -1;
}

static void create_cases(void)
{
	static const int no_flags[] = {1 << 2, 1 << 3, 1 << 12, 1 << 30};
	int fd = vpoll_create(EPOLLIN | EPOLLOUT, FD_CLOEXEC);

	/* The library hands 0 to a kernel that has EFD_VPOLL, whatever it was asked for. */
	check(fd >= 0 && pending(fd) == 0, "vpoll_create: no events at first");
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC, "vpoll_create: FD_CLOEXEC");
	check(vpoll_close(fd) == 0 && fcntl(fd, F_GETFD) < 0 && errno == EBADF,
		"vpoll_close: the fd is gone");
	check(vpoll_close(fd) < 0 && errno == EBADF, "vpoll_close: once");
	fd = vpoll_create(0, 0);
	check(fcntl(fd, F_GETFD) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK),
		"vpoll_create: no flags");
	vpoll_close(fd);

	for (int i = 0; i < BITS; i++) {
		fd = eventfd(bits[i], EFD_VPOLL);
		check(pending(fd) == bits[i] && polled(fd, bits[i]) == bits[i],
			"eventfd: first events %x", bits[i]);
		close(fd);
	}
	fd = eventfd(UINT32_MAX, EFD_VPOLL | EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
	check(pending(fd) == ALL_EVENTS, "eventfd: the bits that are flags of epoll are dropped");
	check(pending(fd) == ALL_EVENTS, "eventfd: nothing is taken away, with EFD_SEMAPHORE too");
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK,
		"eventfd: EFD_CLOEXEC, EFD_NONBLOCK");
	close(fd);
	for (size_t i = 0; i < sizeof(no_flags) / sizeof(no_flags[0]); i++)
		check(eventfd(0, EFD_VPOLL | no_flags[i]) < 0 && errno == EINVAL,
			"eventfd: no flag %x", no_flags[i]);
}

static void command_cases(void)
{
	for (int i = 0; i < BITS; i++) {
		uint32_t bit = bits[i], others = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLWRBAND;
		int fd = make_fd(others), done;

		done = vpoll_ctl(fd, VPOLL_CTL_ADDEVENTS, bit);
		check(done == 0 && pending(fd) == (others | bit), "add %x", bit);
		done = vpoll_ctl(fd, VPOLL_CTL_DELEVENTS, bit);
		check(done == 0 && pending(fd) == (others & ~bit), "delete %x", bit);
		done = vpoll_ctl(fd, VPOLL_CTL_SETEVENTS, bit);
		check(done == 0 && pending(fd) == bit, "set %x", bit);
		vpoll_close(fd);
	}
	check(vpoll_ctl(-1, VPOLL_CTL_ADDEVENTS, EPOLLIN) < 0 && errno == EBADF, "no fd");
}

/* An edge-triggered watch that has told its state: what follows shows whether there was an edge. */
static int watch_edges(int fd, uint32_t interest)
{
	struct epoll_event event = {.events = interest | EPOLLET};
	int epfd = epoll_create1(0);

	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	epoll_wait(epfd, &event, 1, 0);
	return epfd;
}

static uint32_t edge(int epfd)
{
	struct epoll_event event;

	return epoll_wait(epfd, &event, 1, 0) == 1 ? event.events : 0;
}

static void refused_cases(void)
{
	static const uint64_t words[] = {
		0,
		EPOLLIN,
		VPOLL_COMMAND(0, EPOLLOUT),
		VPOLL_COMMAND(4, EPOLLOUT),
		VPOLL_COMMAND(5, EPOLLOUT),
		VPOLL_COMMAND(0x80000001, EPOLLOUT),
		VPOLL_COMMAND(VPOLL_CTL_ADDEVENTS, EPOLLOUT | EPOLLET),
		VPOLL_COMMAND(VPOLL_CTL_ADDEVENTS, EPOLLOUT | EPOLLONESHOT),
		VPOLL_COMMAND(VPOLL_CTL_DELEVENTS, EPOLLIN | EPOLLEXCLUSIVE),
		VPOLL_COMMAND(VPOLL_CTL_SETEVENTS, EPOLLWAKEUP),
		UINT64_MAX,
	};
	int fd = make_fd(EPOLLIN), epfd = watch_edges(fd, EPOLLIN | EPOLLOUT);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		bool refused = write(fd, &words[i], sizeof(words[i])) == -1 && errno == EINVAL;
		check(refused && pending(fd) == EPOLLIN && !edge(epfd), "no command %llx",
			(unsigned long long)words[i]);
	}
	check(vpoll_ctl(fd, 7, EPOLLOUT) == -1 && errno == EINVAL, "vpoll_ctl: no operation 7");
	check(!edge(epfd), "a refused write is no edge");
	close(epfd);
	vpoll_close(fd);
}

static void *volatile nowhere = (void *)8;

static void raw_cases(void)
{
	uint64_t words[2] = {VPOLL_COMMAND(VPOLL_CTL_ADDEVENTS, EPOLLOUT),
		VPOLL_COMMAND(VPOLL_CTL_ADDEVENTS, EPOLLPRI)};
	struct iovec two[2] = {{&words[0], 8}, {&words[1], 8}}, half[2] = {{words, 4}, {words, 4}};
	int fd = make_fd(0), epfd = watch_edges(fd, EPOLLIN | EPOLLOUT);

	check(pending(fd) == 0, "read: no events, and it does not block");
	check(write(fd, words, 7) == -1 && errno == EINVAL, "write: 7 bytes");
	check(write(fd, words, 0) == -1 && errno == EINVAL, "write: 0 bytes");
	check(pending(fd) == 0 && !edge(epfd), "write: too few bytes change nothing");
	check(write(fd, words, sizeof(words)) == 8 && pending(fd) == EPOLLOUT,
		"write: 16 bytes are one command");
	check(edge(epfd) == EPOLLOUT && !edge(epfd), "write: one edge");
	check(write(fd, words, 8) == 8 && edge(epfd) == EPOLLOUT, "write: the same is an edge");
	check(pending(fd) == EPOLLOUT && !edge(epfd), "read: no edge");
	check(read(fd, words, 7) == -1 && errno == EINVAL, "read: 7 bytes");
	words[1] = 42;
	check(read(fd, words, sizeof(words)) == 8 && words[0] == EPOLLOUT && words[1] == 42,
		"read: 8 of 16 bytes");
	/* The kernel loops over the parts, as it does for all files without read_iter. */
	words[0] = VPOLL_COMMAND(VPOLL_CTL_DELEVENTS, EPOLLOUT);
	words[1] = VPOLL_COMMAND(VPOLL_CTL_ADDEVENTS, EPOLLPRI);
	check(writev(fd, two, 2) == 16 && pending(fd) == EPOLLPRI, "writev: two commands");
	check(readv(fd, two, 2) == 16 && words[0] == EPOLLPRI && words[1] == EPOLLPRI,
		"readv: twice the events");
	check(readv(fd, half, 2) == -1 && errno == EINVAL, "readv: 4 and 4 bytes");
	check(writev(fd, half, 2) == -1 && errno == EINVAL, "writev: 4 and 4 bytes");
	check(read(fd, nowhere, 8) == -1 && errno == EFAULT, "read: a bad address");
	check(write(fd, nowhere, 8) == -1 && errno == EFAULT, "write: a bad address");
	check(pread(fd, words, 8, 0) == -1 && errno == ESPIPE, "pread");
	close(epfd);
	vpoll_close(fd);
}

static bool fdinfo_has(int fd, const char *wanted)
{
	char name[64], text[1024] = "";
	int info;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = open(name, O_RDONLY);
	if (info < 0 || read(info, text, sizeof(text) - 1) < 0)
		return false;
	close(info);
	return strstr(text, wanted);
}

/* An image with a libvpoll of its own. */
static void exec_case(void)
{
	char number[16], events[16];
	struct epoll_event event = {.events = EPOLLRDHUP};
	int fd = make_fd(EPOLLOUT), epfd = epoll_create1(EPOLL_CLOEXEC), status = -1;

	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(events, sizeof(events), "%x", EPOLLRDHUP);
	pid_t child = fork();
	if (child == 0) {
		execl(self, self, "add", number, events, NULL);
		_exit(127);
	}
	check(epoll_wait(epfd, &event, 1, 10000) == 1 && event.events == EPOLLRDHUP,
		"exec: an event from the new image");
	check(waitpid(child, &status, 0) == child && status == 0, "exec: whose vpoll_ctl works");
	check(pending(fd) == (EPOLLOUT | EPOLLRDHUP), "exec: both events");
	close(epfd);
	vpoll_close(fd);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 2048; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void life_cases(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int before = open_fds(), fd = make_fd(EPOLLIN), epfd = epoll_create1(0);

	check(fdinfo_has(fd, "eventfd-count:                1\n"), "fdinfo: the events");
	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	vpoll_close(fd);
	check(epoll_wait(epfd, &event, 1, 0) == 0, "a closed fd has left its set");
	for (int i = 0; i < 300; i++) {
		fd = make_fd(EPOLLIN | EPOLLRDHUP);
		event.events = i % 2 ? EPOLLIN : EPOLLWRBAND | EPOLLET;
		epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
		selected(fd, SEES_READ);
		vpoll_close(fd);
	}
	check(epoll_wait(epfd, &event, 1, 0) == 0, "300 closed fds have left their set");
	close(epfd);
	check(open_fds() == before, "no fd is left over");
	exec_case();
}

/* EFDSHIM_MASK=mask: libvpoll finds its flag, and a mask behind it. */
static void mask_cases(void)
{
	struct efd_mask mask = {.events = EPOLLIN, .data = 42};
	int fd = vpoll_create(0, 0);

	check(fd >= 0, "vpoll_create");
	check(vpoll_ctl(fd, VPOLL_CTL_ADDEVENTS, EPOLLOUT) == -1 && errno == EINVAL,
		"vpoll_ctl: 8 bytes are no mask");
	check(write(fd, &mask, sizeof(mask)) == sizeof(mask) && polled(fd, EPOLLIN) == EPOLLIN,
		"12 bytes are");
	vpoll_close(fd);
}

/* The program's own masks beside a libvpoll that emulates. */
static void both_cases(void)
{
	struct efd_mask mask = {.events = EPOLLPRI | EPOLLHUP, .data = 42}, got = {0, 0};
	int fd = vpoll_create(EPOLLIN, 0), own = eventfd(0, EFD_MASK);

	check(polled(fd, EPOLLIN | EPOLLRDNORM) == (EPOLLIN | EPOLLRDNORM),
		"libvpoll shows a socket");
	check(write(own, &mask, sizeof(mask)) == sizeof(mask), "a mask is written");
	check(read(own, &got, sizeof(got)) == sizeof(got) && !memcmp(&got, &mask, sizeof(got)),
		"and read");
	check(polled(own, EPOLLPRI) == (EPOLLPRI | EPOLLHUP), "and polled");
	check(vpoll_ctl(fd, VPOLL_CTL_DELEVENTS, EPOLLIN) == 0 && !polled(fd, EPOLLIN),
		"libvpoll takes its event away");
	vpoll_close(fd);
	close(own);
}

static void patch_cases(void)
{
	create_cases();
	command_cases();
	refused_cases();
	raw_cases();
	for (uint64_t seed = 1; seed <= 8; seed++)
		walk(seed);
	wait_cases();
	life_cases();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	self = argv[0];
	if (argc == 4 && !strcmp(what, "add"))
		return vpoll_ctl(
			atoi(argv[2]), VPOLL_CTL_ADDEVENTS, (uint32_t)strtoul(argv[3], NULL, 16));
	if (!strcmp(what, "transcript"))
		return transcript();
	if (!strcmp(what, "patch"))
		patch_cases();
	else if (!strcmp(what, "mask"))
		mask_cases();
	else if (!strcmp(what, "both"))
		both_cases();
	else
		return 2;
	return failed;
}
