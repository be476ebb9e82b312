/* A program that is linked with the library, as its users' are; C and C++. It says nothing where
 * all is well. */
#include <efdshim/asyncfd.h>
#include <efdshim/eventfd.h>
#include <efdshim/eventpoll.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void expect(int right, const char *what)
{
	if (right)
		return;
	perror(what);
	exit(1);
}

static void signals(void)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	struct efd_file *file = eventfd_fget(fd);
	uint64_t count;

	expect(file != NULL, "eventfd_fget");
	expect(eventfd_signal(file, 2) == 2, "eventfd_signal");
	expect(read(fd, &count, sizeof(count)) == sizeof(count) && count == 3, "read");
	efd_fput(file);
	close(fd);
}

static void completions(void)
{
	static struct asyncfd_result places[4],
		result = {.cookie = 1, .obj = 2, .res = 3, .res2 = 4};
	static struct asyncfd_uring ring;
	struct efd_file *file;
	struct pollfd ask;

	ring.ptr = (uintptr_t)places;
	ring.size = 4;
	ask.fd = asyncfd(-1, &ring);
	ask.events = POLLIN;
	expect(ask.fd >= 0, "asyncfd");
	file = asyncfd_fget(ask.fd);
	expect(asyncfd_add_results(file, &result, 1) == 1, "asyncfd_add_results");
	expect(poll(&ask, 1, -1) == 1 && ask.revents == POLLIN, "poll");
	expect(asyncfd_take_result(&ring, &result) && result.obj == 2, "asyncfd_take_result");
	expect(poll(&ask, 1, 0) == 0, "poll of an empty ring");
	efd_fput(file);
	close(ask.fd);
}

static void events(void)
{
	int set = eventpoll_create(2), fd = eventfd(0, EFD_MASK);
	struct efd_mask mask = {.events = POLLPRI, .data = 0};
	const struct pollfd *event;

	expect(set >= 0, "eventpoll_create");
	expect(fd >= 0, "EFD_MASK");
	expect(!eventpoll_ctl(set, EPOLL_CTL_ADD, fd, POLLPRI), "eventpoll_ctl");
	expect(write(fd, &mask, sizeof(mask)) == sizeof(mask), "write");
	expect(eventpoll_wait(set, &event, -1) == 1, "eventpoll_wait");
	expect(event->fd == fd && event->revents == POLLPRI, "its event");
	close(fd);
	close(set);
}

int main(void)
{
	signals();
	completions();
	events();
	return 0;
}
