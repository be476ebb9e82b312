/* Message sockets, case by case, in one thread. */
#include "msgsock_check.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include <efdshim/eventfd.h>

static bool sends(int fd, const char *text, int flags)
{
	return msgsock_send(fd, text, strlen(text), flags) == (ssize_t)strlen(text);
}

static bool gets(int fd, const char *text, int flags)
{
	char bytes[MSGSOCK_MOST];
	int got = -1;
	ssize_t n = msgsock_recv(fd, bytes, sizeof(bytes), &got);

	return n == (ssize_t)strlen(text) && !memcmp(bytes, text, strlen(text)) && got == flags;
}

static bool gets_error(int fd, int err)
{
	char byte;
	ssize_t n = msgsock_recv(fd, &byte, 1, NULL);

	return err ? n == -1 && errno == err : n == 0;
}

static bool closes(int fd)
{
	return want(msgsock_close(fd) == 0, "close");
}

static void fill(int fd)
{
	for (int i = 0; i < MSGSOCK_ROOM; i++)
		want(sends(fd, "x", 0), "a message that there is room for");
}

static bool open_pair(int fds[2])
{
	return want(msgsock_pair(fds) == 0, "a pair");
}

static void close_pair(int fds[2])
{
	closes(fds[0]);
	closes(fds[1]);
}

static void a_new_pair_shows_out(void)
{
	int fds[2];

	open_pair(fds);
	want(shows(fds[0], ALL) == POLLOUT && shows(fds[1], ALL) == POLLOUT, "OUT on both");
	want(shows(fds[0], POLLIN | POLLPRI) == 0, "nothing to who does not ask for OUT");
	want(gets_error(fds[0], EAGAIN), "EAGAIN where nothing waits");
	close_pair(fds);
}

static void in_while_messages_wait(void)
{
	int fds[2];

	open_pair(fds);
	want(sends(fds[0], "one", 0) && sends(fds[0], "two", 0), "two messages");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "IN at the receiver");
	want(shows(fds[0], ALL) == POLLOUT, "no IN at the sender");
	want(gets(fds[1], "one", 0), "the first");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "IN with one left");
	want(gets(fds[1], "two", 0), "the second");
	want(shows(fds[1], ALL) == POLLOUT, "no IN after the last");
	close_pair(fds);
}

static void out_while_there_is_room(void)
{
	int fds[2];

	open_pair(fds);
	fill(fds[0]);
	want(shows(fds[0], ALL) == 0, "nothing at a sender without room");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "the other way has room");
	want(msgsock_send(fds[0], "x", 1, 0) == -1 && errno == EAGAIN, "EAGAIN");
	want(msgsock_send(fds[0], "x", 1, MSGSOCK_URGENT) == -1 && errno == EAGAIN,
		"EAGAIN for an urgent one");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "no PRI for what was not sent");
	want(gets(fds[1], "x", 0), "one is taken");
	want(shows(fds[0], ALL) == POLLOUT, "OUT again");
	want(sends(fds[0], "y", 0) && shows(fds[0], ALL) == 0, "room for one");
	for (int i = 1; i < MSGSOCK_ROOM; i++)
		want(gets(fds[1], "x", 0), "the rest");
	want(gets(fds[1], "y", 0) && gets_error(fds[1], EAGAIN), "the last, and no more");
	close_pair(fds);
}

static void urgent_ones_overtake(void)
{
	int fds[2];

	open_pair(fds);
	want(sends(fds[0], "a", 0) && sends(fds[0], "b", 0), "two ordinary ones");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "no PRI");
	want(sends(fds[0], "1", MSGSOCK_URGENT) && sends(fds[0], "2", MSGSOCK_URGENT), "two more");
	want(shows(fds[1], ALL) == (POLLIN | POLLPRI | POLLOUT), "PRI");
	want(shows(fds[1], POLLPRI) == POLLPRI, "PRI alone");
	want(gets(fds[1], "1", MSGSOCK_URGENT), "an urgent one first");
	want(sends(fds[0], "3", MSGSOCK_URGENT), "a third");
	want(gets(fds[1], "2", MSGSOCK_URGENT), "urgent ones in order");
	want(shows(fds[1], ALL) == (POLLIN | POLLPRI | POLLOUT), "PRI while one is left");
	want(gets(fds[1], "3", MSGSOCK_URGENT), "the last urgent one");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "no PRI after it");
	want(gets(fds[1], "a", 0) && gets(fds[1], "b", 0), "ordinary ones in order");
	close_pair(fds);
}

static void hup_when_the_other_end_left(void)
{
	int fds[2];

	open_pair(fds);
	want(sends(fds[0], "a", 0) && sends(fds[0], "b", MSGSOCK_URGENT), "two messages");
	want(sends(fds[1], "lost", 0), "one that nobody will receive");
	closes(fds[0]);
	want(shows(fds[1], ALL) == (POLLIN | POLLPRI | POLLHUP), "IN, PRI and HUP, no OUT");
	want(shows(fds[1], 0) == POLLHUP, "HUP to who asked for nothing");
	want(gets(fds[1], "b", MSGSOCK_URGENT) && gets(fds[1], "a", 0), "what was sent before");
	want(shows(fds[1], ALL) == POLLHUP, "HUP alone");
	want(gets_error(fds[1], 0), "the end of all");
	want(msgsock_send(fds[1], "x", 1, 0) == -1 && errno == EPIPE, "EPIPE");
	closes(fds[1]);
}

static void hup_for_one_without_room(void)
{
	int fds[2];

	open_pair(fds);
	fill(fds[0]);
	closes(fds[1]);
	want(shows(fds[0], ALL) == POLLHUP, "HUP, though the queue was full");
	closes(fds[0]);
}

static void sizes_have_limits(void)
{
	static char large[MSGSOCK_MOST + 1];
	int fds[2];

	open_pair(fds);
	want(msgsock_send(fds[0], large, 0, 0) == -1 && errno == EINVAL, "no empty messages");
	want(msgsock_send(fds[0], large, 1, 2) == -1 && errno == EINVAL, "no other flags");
	want(msgsock_send(fds[0], large, sizeof(large), 0) == -1 && errno == EMSGSIZE, "too large");
	want(shows(fds[1], ALL) == POLLOUT, "nothing was sent");
	want(msgsock_send(fds[0], large, MSGSOCK_MOST, 0) == MSGSOCK_MOST, "the largest");
	want(gets_error(fds[1], EMSGSIZE), "a buffer that is too small");
	want(shows(fds[1], ALL) == (POLLIN | POLLOUT), "the message still waits");
	want(msgsock_recv(fds[1], large, MSGSOCK_MOST, NULL) == MSGSOCK_MOST, "the whole message");
	close_pair(fds);
}

static void a_listener_shows_who_waits(void)
{
	int listener = msgsock_listen("here"), ends[2], accepted[2];

	want(listener >= 0 && shows(listener, ALL) == 0, "a listener that shows nothing");
	want(msgsock_listen("here") == -1 && errno == EADDRINUSE, "one for a name");
	want(msgsock_connect("there") == -1 && errno == ECONNREFUSED, "nobody listens there");
	want(msgsock_accept(listener) == -1 && errno == EAGAIN, "EAGAIN");
	ends[0] = msgsock_connect("here");
	ends[1] = msgsock_connect("here");
	want(shows(listener, ALL) == POLLIN, "IN");
	want(sends(ends[1], "early", 0), "a message before it is accepted");
	accepted[0] = msgsock_accept(listener);
	want(shows(listener, ALL) == POLLIN, "IN with one left");
	accepted[1] = msgsock_accept(listener);
	want(shows(listener, ALL) == 0, "nothing after the last");
	want(gets(accepted[1], "early", 0) && shows(accepted[0], ALL) == POLLOUT, "in order");
	want(msgsock_accept(ends[0]) == -1 && errno == EINVAL, "an end accepts nobody");
	want(msgsock_send(listener, "x", 1, 0) == -1 && errno == EINVAL,
		"a listener sends nothing");
	for (int i = 0; i < 2; i++) {
		closes(ends[i]);
		closes(accepted[i]);
	}
	closes(listener);
}

static void a_closed_listener_hangs_up(void)
{
	int listener = msgsock_listen("here"), again = -1;
	int ends[2] = {msgsock_connect("here"), msgsock_connect("here")};

	closes(ends[0]);
	closes(listener);
	want(shows(ends[1], ALL) == POLLHUP, "HUP for one who waited");
	want(msgsock_connect("here") == -1 && errno == ECONNREFUSED, "nobody listens");
	closes(ends[1]);
	again = msgsock_listen("here");
	want(again >= 0 && shows(again, ALL) == 0, "the name is free");
	closes(again);
}

static int watch(int fd, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.fd = fd};
	int set = epoll_create1(EPOLL_CLOEXEC);

	want(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
	return set;
}

static uint32_t reported(int set)
{
	struct epoll_event event = {0};
	int n = epoll_wait(set, &event, 1, 0);

	return n == 1 ? event.events : 0;
}

static void level_triggered_watches(void)
{
	int fds[2], receiver, sender;

	open_pair(fds);
	receiver = watch(fds[1], EPOLLIN | EPOLLPRI);
	sender = watch(fds[0], EPOLLOUT);
	want(reported(receiver) == 0 && reported(sender) == EPOLLOUT, "before");
	sends(fds[0], "a", 0);
	want(reported(receiver) == EPOLLIN && reported(receiver) == EPOLLIN, "IN, again and again");
	sends(fds[0], "b", MSGSOCK_URGENT);
	want(reported(receiver) == (EPOLLIN | EPOLLPRI), "PRI");
	want(gets(fds[1], "b", 1) && gets(fds[1], "a", 0) && reported(receiver) == 0, "nothing");
	fill(fds[0]);
	want(reported(sender) == 0, "no OUT");
	want(gets(fds[1], "x", 0), "one is taken");
	want(reported(sender) == EPOLLOUT && reported(sender) == EPOLLOUT, "OUT");
	closes(fds[0]);
	want(reported(sender) == 0, "nothing of an end that is closed");
	want(reported(receiver) == (EPOLLIN | EPOLLHUP), "HUP");
	closes(fds[1]);
	want(reported(receiver) == 0, "nothing after it");
	close(receiver);
	close(sender);
}

static void edge_triggered_watches(void)
{
	int fds[2], receiver, sender;

	open_pair(fds);
	receiver = watch(fds[1], EPOLLIN | EPOLLPRI | EPOLLET);
	sender = watch(fds[0], EPOLLOUT | EPOLLET);
	want(reported(receiver) == 0, "no edge before");
	want(reported(sender) == EPOLLOUT && reported(sender) == 0, "OUT once");
	sends(fds[0], "a", 0);
	want(reported(receiver) == EPOLLIN && reported(receiver) == 0, "one edge");
	sends(fds[0], "b", 0);
	want(reported(receiver) == EPOLLIN && reported(receiver) == 0,
		"one for the second, unread");
	sends(fds[0], "c", MSGSOCK_URGENT);
	want(reported(receiver) == (EPOLLIN | EPOLLPRI), "one for an urgent one");
	want(reported(sender) == 0, "no edges for who sends");
	want(gets(fds[1], "c", 1) && gets(fds[1], "a", 0) && gets(fds[1], "b", 0), "all are taken");
	fill(fds[0]);
	want(reported(sender) == 0, "no OUT without room");
	want(gets(fds[1], "x", 0) && reported(sender) == EPOLLOUT, "an edge with room");
	want(gets(fds[1], "x", 0) && reported(sender) == 0, "none with more room");
	reported(receiver);
	closes(fds[0]);
	want(reported(receiver) == (EPOLLIN | EPOLLHUP) && reported(receiver) == 0, "HUP once");
	closes(fds[1]);
	close(receiver);
	close(sender);
}

/* Of the sets of read, write and except fds: 1, 2 and 4. */
static int selected(int fd)
{
	struct timeval at_once = {0};
	fd_set sets[3];

	for (int i = 0; i < 3; i++) {
		FD_ZERO(&sets[i]);
		FD_SET(fd, &sets[i]);
	}
	if (select(fd + 1, &sets[0], &sets[1], &sets[2], &at_once) < 0)
		return -1;
	return FD_ISSET(fd, &sets[0]) | FD_ISSET(fd, &sets[1]) << 1 | FD_ISSET(fd, &sets[2]) << 2;
}

static void select_tells_the_three_apart(void)
{
	int fds[2];

	open_pair(fds);
	want(selected(fds[1]) == 2, "room only");
	sends(fds[0], "a", 0);
	want(selected(fds[1]) == 3, "a message");
	sends(fds[0], "b", MSGSOCK_URGENT);
	want(selected(fds[1]) == 7, "an urgent one");
	for (int i = 2; i < MSGSOCK_ROOM; i++)
		sends(fds[0], "x", 0);
	want(selected(fds[0]) == 0, "neither");
	closes(fds[1]);
	want(selected(fds[0]) == 1, "the other end has left");
	closes(fds[0]);
}

static void duplicates_are_the_same_end(void)
{
	int fds[2], duplicate;

	open_pair(fds);
	duplicate = dup(fds[0]);
	want(sends(duplicate, "a", 0) && gets(fds[1], "a", 0), "a message by it");
	want(sends(fds[1], "b", 0) && shows(duplicate, ALL) == (POLLIN | POLLOUT),
		"a message for it");
	want(gets(duplicate, "b", 0) && shows(fds[0], ALL) == POLLOUT, "taken by it");
	close(duplicate);
	close_pair(fds);
}

static void others_are_not_taken(void)
{
	int mask = eventfd(0, EFD_MASK | EFD_NONBLOCK), fds[2], closed;

	open_pair(fds);
	closed = fds[0];
	close_pair(fds);
	want(msgsock_send(mask, "x", 1, 0) == -1 && errno == EINVAL, "a mask of somebody else");
	want(msgsock_send(closed, "x", 1, 0) == -1 && errno == EBADF, "a closed one");
	want(msgsock_close(closed) == -1 && errno == EBADF, "a closed one, closed again");
	close(mask);
}

const struct test behaviour[] = {
	{"a new pair shows OUT", a_new_pair_shows_out},
	{"IN while messages wait", in_while_messages_wait},
	{"OUT while there is room", out_while_there_is_room},
	{"urgent ones overtake, and show PRI", urgent_ones_overtake},
	{"HUP when the other end left", hup_when_the_other_end_left},
	{"HUP for one without room", hup_for_one_without_room},
	{"sizes have limits", sizes_have_limits},
	{"a listener shows who waits", a_listener_shows_who_waits},
	{"a closed listener hangs up", a_closed_listener_hangs_up},
	{"level-triggered watches", level_triggered_watches},
	{"edge-triggered watches", edge_triggered_watches},
	{"select tells the three apart", select_tells_the_three_apart},
	{"duplicates are the same end", duplicates_are_the_same_end},
	{"others are not taken", others_are_not_taken},
	{0},
};
