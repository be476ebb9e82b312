/* A reference outlives the fds: what is signalled is seen by whoever else has the eventfd. */
#define _GNU_SOURCE
#include "efdcheck.h"
#include "mate.h"
#include "signalkit.h"
#include "testkit.h"

#include <fcntl.h>
#include <unistd.h>

TestSuite(signal_life, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

Test(signal_life, a_dup_sees_what_comes_after_the_close)
{
	int fd = eventfd_at(0), copy = dup(fd);
	struct efd_file *file = signal_get(fd);
	close(fd);
	signal_add(file, 5);
	cr_assert_eq(poll_now(copy, POLLIN), POLLIN);
	cr_assert_eq(take_count(copy), 5);
	signal_put(file);
	close(copy);
}

Test(signal_life, a_reference_alone_goes_on_counting)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	add_count(fd, COUNT_LIMIT - 1);
	close(fd);
	cr_assert(is_closed(fd));
	signal_add(file, 1);
	signal_add(file, 1);
	cr_assert_eq(signal_try(file, 1), 0);
	signal_put(file);
}

/* The file is not closed while there is a reference, so its watch stays. */
Test(signal_life, the_watch_of_an_epoll_set_stays)
{
	static const uint32_t kinds[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, kinds[i], 77);
		struct efd_file *file = signal_get(fd);
		close(fd);
		cr_assert_eq(set_event(set), 0);
		signal_add(file, 1);
		cr_assert_eq(set_event(set), EPOLLIN);
		cr_assert_eq(set_event(set), kinds[i] == EPOLLIN ? EPOLLIN : 0);
		signal_put(file);
		cr_assert_eq(set_event(set), 0);
		close(set);
	}
}

Test(signal_life, the_watch_stays_that_was_added_after_the_reference)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	int set = set_watching(fd, EPOLLIN | EPOLLET, 7);
	close(fd);
	signal_add(file, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	signal_put(file);
	close(set);
}

Test(signal_life, the_last_put_ends_the_watch_under_a_level)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLIN, 7);
	struct efd_file *one = signal_get(fd), *two = signal_get(fd);
	close(fd);
	cr_assert_eq(set_event(set), EPOLLIN);
	signal_put(one);
	cr_assert_eq(set_event(set), EPOLLIN);
	signal_put(two);
	cr_assert_eq(set_event(set), 0);
	close(set);
}

Test(signal_life, a_put_before_the_close_leaves_the_eventfd_alone)
{
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN, 7);
	struct efd_file *file = signal_get(fd);
	signal_add(file, 3);
	signal_put(file);
	cr_assert_eq(set_event(set), EPOLLIN);
	cr_assert_eq(take_count(fd), 3);
	cr_assert_eq(set_event(set), 0);
	add_count(fd, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	close(fd);
	cr_assert_eq(set_event(set), 0);
	close(set);
}

/* Whatever has the number by now is not what the reference names. */
Test(signal_life, the_number_is_another_eventfds_by_now)
{
	int fd = eventfd_at(0), copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	struct efd_file *file = signal_get(fd);
	close(fd);
	int other = eventfd_at(0);
	if (other != fd) {
		cr_assert_eq(dup2(other, fd), fd);
		close(other);
	}
	signal_add(file, 4);
	cr_assert_eq(poll_now(fd, POLLIN), 0);
	cr_assert_eq(take_count(copy), 4);
	struct efd_file *second = signal_get(fd);
	signal_add(second, 9);
	cr_assert_eq(take_count(fd), 9);
	cr_assert_eq(poll_now(copy, POLLIN), 0);
	signal_put(second);
	signal_put(file);
	close(copy);
	close(fd);
}

Test(signal_life, the_number_is_a_pipes_by_now)
{
	int fd = eventfd_at(0), copy = dup(fd), ends[2];
	struct efd_file *file = signal_get(fd);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(dup2(ends[0], fd), fd);
	signal_add(file, 4);
	cr_assert_eq(poll_now(fd, POLLIN), 0);
	cr_assert_eq(take_count(copy), 4);
	signal_put(file);
	close(fd);
	close(copy);
	close(ends[0]);
	close(ends[1]);
}

Test(signal_life, a_child_that_was_forked_sees_it)
{
	for (int before = 0; before < 2; before++) {
		int fd = eventfd_at(0);
		struct efd_file *file = before ? signal_get(fd) : NULL;
		struct mate child = mate_start(MATE_FORKED);
		if (!before)
			file = signal_get(fd);
		close(fd);
		signal_add(file, 6);
		cr_assert_eq(mate_poll(&child, fd, POLLIN), POLLIN);
		signal_put(file);
		cr_assert_eq(mate_poll(&child, fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
		mate_end(&child);
	}
}

Test(signal_life, another_program_sees_it)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct mate other = mate_start(MATE_EXECED);
	struct efd_file *file = signal_get(fd);
	close(fd);
	mate_ask_asleep(&other,
		(struct mate_call){.op = MATE_POLL, .fd = fd, .events = POLLIN, .limit = -1});
	signal_add(file, 6);
	cr_assert_eq(mate_answer(&other).events, POLLIN);
	signal_put(file);
	mate_end(&other);
}

struct in_child {
	struct efd_file *file;
	int fd, go;
};

static int signals_when_told(void *arg)
{
	struct in_child *c = arg;
	uint64_t value;
	if (read(c->go, &value, sizeof(value)) != sizeof(value))
		return 1;
	if (eventfd_signal(c->file, 40) != 40 || eventfd_signal(c->file, 2) != 2)
		return 2;
	efd_fput(c->file);
	return 0;
}

Test(signal_life, a_childs_reference_works_when_the_parent_has_put_its_own)
{
	int fd = eventfd_at(0), go = eventfd(0, 0);
	struct in_child c = {signal_get(fd), fd, go};
	pid_t pid = child_start(signals_when_told, &c);
	signal_put(c.file);
	add_count(go, 1);
	cr_assert_eq(child_reap(pid), 0);
	cr_assert_eq(take_count(fd), 42);
	close(go);
	close(fd);
}

static int sees_its_own(void *arg)
{
	struct in_child *c = arg;
	uint64_t value;
	close(c->fd);
	int copy = fcntl(c->go, F_DUPFD, 0);
	if (eventfd_signal(c->file, 1) != 1 || read(copy, &value, 8) != 8 || value != 1)
		return 1;
	struct efd_file *own = eventfd_fget(copy);
	if (!own || eventfd_signal(own, 2) != 2 || eventfd_signal(c->file, 3) != 3)
		return 2;
	efd_fput(own);
	efd_fput(c->file);
	return read(copy, &value, 8) == 8 && value == 5 ? 0 : 3;
}

/* Here `go` is a dup of the eventfd itself. */
Test(signal_life, a_child_takes_and_puts_references_of_its_own)
{
	int fd = eventfd_at(0), copy = dup(fd);
	struct in_child c = {signal_get(fd), fd, copy};
	cr_assert_eq(child_reap(child_start(sees_its_own, &c)), 0);
	signal_add(c.file, 7);
	cr_assert_eq(take_count(fd), 7);
	signal_put(c.file);
	close(fd);
	close(copy);
}

static int dies(void *arg)
{
	(void)arg;
	raise(SIGKILL);
	return 0;
}

Test(signal_life, a_child_that_dies_with_its_reference_takes_nothing_away)
{
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN, 1);
	struct efd_file *file = signal_get(fd);
	cr_assert_eq(child_reap(child_start(dies, NULL)), -SIGKILL);
	close(fd);
	signal_add(file, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	signal_put(file);
	cr_assert_eq(set_event(set), 0);
	close(set);
}

Test(signal_life, a_new_image_has_no_reference)
{
	int fd = eventfd(0, EFD_NONBLOCK), set = set_watching(fd, EPOLLIN, 1);
	struct efd_file *file = signal_get(fd);
	struct mate other = mate_start(MATE_EXECED);
	signal_put(file);
	mate_close(&other, fd);
	add_count(fd, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	close(fd);
	cr_assert_eq(set_event(set), 0);
	mate_end(&other);
	close(set);
}
