/* Each signal is an edge as a write is: the same steps on an eventfd of the kernel, where they are
 * writes, and on the library's, where they are signals. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "signalkit.h"
#include "testkit.h"

#include <sys/syscall.h>
#include <unistd.h>

TestSuite(signal_edge, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, ET = EPOLLET };

/* The same count, here by a write of the kernel's, there by a signal. */
static void add_both(struct pair p, struct efd_file *file, int n)
{
	uint64_t value = (uint64_t)n;
	cr_assert_eq(tk_raw_syscall(SYS_write, p.kernel, (long)&value, 8, 0, 0, 0), 8);
	signal_add(file, n);
}

static void edges(uint32_t events, const char *steps)
{
	struct watched w = watch_pair(0, 0, events);
	struct efd_file *file = signal_get(w.fd.libc);
	for (const char *step = steps; *step; step++) {
		if (*step == 'r')
			pair_read(w.fd, NULL);
		else if (*step == 'w')
			pair_event(w.set);
		else
			add_both(w.fd, file, *step - '0');
	}
	pair_event(w.set);
	signal_put(file);
	unwatch_pair(w);
}

static void edges_of_all(const char *steps)
{
	static const uint32_t interests[] = {0, IN, OUT, BOTH, EPOLLPRI, EPOLLRDHUP | IN};
	static const uint32_t kinds[] = {0, ET, EPOLLONESHOT, EPOLLONESHOT | ET};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++)
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			edges(interests[i] | kinds[k], steps);
}

Test(signal_edge, every_signal_is_one)
{
	edges_of_all("w1w1w2ww");
	edges_of_all("1w1wrww1w");
}

Test(signal_edge, signals_before_the_wait_are_one_event)
{
	edges_of_all("w111ww");
	edges_of_all("w11r1w");
}

Test(signal_edge, what_was_read_before_the_wait_is_none)
{
	edges_of_all("w1rww");
	edges_of_all("w1r1rw");
}

Test(signal_edge, a_signal_of_nothing)
{
	edges_of_all("w0w0w");
	edges_of_all("w1w0w0wr0w");
}

Test(signal_edge, a_semaphore)
{
	struct watched w = watch_pair(0, EFD_SEMAPHORE, BOTH | ET);
	struct efd_file *file = signal_get(w.fd.libc);
	add_both(w.fd, file, 3);
	for (int i = 0; i < 5; i++) {
		pair_read(w.fd, NULL);
		pair_event(w.set);
	}
	signal_put(file);
	unwatch_pair(w);
}

/* Signals and writes, reads and waits, in any order, through two sets. */
Test(signal_edge, random_steps)
{
	enum { STEPS = 4000 };
	uint64_t seed = 20070501;
	for (int flags = 0; flags < 2; flags++) {
		struct watched w = watch_pair(0, flags ? EFD_SEMAPHORE : 0, BOTH | ET);
		struct pair second = pair_epoll();
		cr_assert_eq(pair_ctl(second, EPOLL_CTL_ADD, w.fd, IN | ET, 2), 0);
		struct efd_file *file = signal_get(w.fd.libc);
		for (int i = 0; i < STEPS; i++) {
			switch (mask_below(&seed, 8)) {
			case 0:
			case 1:
				add_both(w.fd, file, (int)mask_below(&seed, 5));
				break;
			case 2:
				pair_write(w.fd, mask_below(&seed, 5));
				break;
			case 3:
			case 4:
				pair_read(w.fd, NULL);
				break;
			case 5:
				pair_ctl(second, EPOLL_CTL_MOD, w.fd, mask_below(&seed, 8) | ET, 2);
				break;
			case 6:
				pair_event(second);
				break;
			default:
				pair_event(w.set);
			}
			pair_poll(w.fd, POLLIN | POLLOUT);
		}
		signal_put(file);
		pair_close(second);
		unwatch_pair(w);
	}
}

/* Where no write reaches: full, and signalled again. */
Test(signal_edge, a_signal_to_a_full_counter_is_one_too)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN | ET, 1);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(set_event(set), IN | EPOLLERR);
	cr_assert_eq(set_event(set), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(signal_try(file, 1), 0);
		cr_assert_eq(set_event(set), IN | EPOLLERR);
		cr_assert_eq(set_event(set), 0);
	}
	take_count(fd);
	cr_assert_eq(set_event(set), 0);
	signal_put(file);
	close(set);
	close(fd);
}

/* The read that clears a full counter is an edge of OUT. */
Test(signal_edge, a_read_of_a_full_counter)
{
	int fd = eventfd_at(0), set = set_watching(fd, OUT | ET, 1);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(set_event(set), EPOLLERR);
	take_count(fd);
	cr_assert_eq(set_event(set), OUT);
	cr_assert_eq(set_event(set), 0);
	signal_put(file);
	close(set);
	close(fd);
}

/* Full and read before anybody looked. */
Test(signal_edge, an_error_that_was_over_before_the_wait)
{
	int fd = eventfd_at(0), none = set_watching(fd, ET, 1), in = set_watching(fd, IN | ET, 1);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	take_count(fd);
	cr_assert_eq(set_event(none), 0);
	cr_assert_eq(set_event(in), 0);
	signal_put(file);
	close(in);
	close(none);
	close(fd);
}
