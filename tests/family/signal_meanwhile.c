/* eventfd_signal: a first reference that is taken in the middle of an epoll_ctl, at each of its
 * instructions. The watch shows POLLERR, whoever was first. */
#include "signalkit.h"
#include "testkit.h"

#include "../unit/step.h"

#include <sys/epoll.h>

TestSuite(signal_meanwhile, .init = tk_setup, .fini = tk_teardown, .timeout = 100);

enum { COOKIE = 7 };

static int fd, set, others[2];
static uint32_t asked;
static struct efd_file *file;

static void watch(int epfd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = COOKIE};
	cr_assert_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0, "errno %d", errno);
}

/* Others watch it already, so that the watch is the kernel's from its beginning. */
static void prepare(void *arg)
{
	(void)arg;
	fd = eventfd(0, EFD_NONBLOCK);
	file = NULL;
	set = epoll_create1(0);
	for (int i = 0; i < 2; i++)
		others[i] = epoll_create1(0);
	watch(others[0], EPOLLOUT | EPOLLET);
	watch(others[1], EPOLLIN | EPOLLET);
}

static void run(void *arg)
{
	(void)arg;
	watch(set, asked);
}

static void intrude(void *arg)
{
	(void)arg;
	file = eventfd_fget(fd);
}

static void check(void *arg)
{
	struct epoll_event event = {0};

	(void)arg;
	if (!file)
		file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 1, "after %ld", step_running->at);
	cr_assert_eq(event.events, EPOLLERR | (asked & EPOLLIN), "%#x after %ld", event.events,
		step_running->at);
	cr_assert_eq(event.data.u64, COOKIE);
	signal_put(file);
	close(fd);
	close(set);
	close(others[0]);
	close(others[1]);
}

static void step_through(uint32_t events)
{
	struct step step = {.run = run, .intrude = intrude};

	asked = events;
	step_each(&step, prepare, check);
}

Test(signal_meanwhile, of_in)
{
	step_through(EPOLLIN);
}

Test(signal_meanwhile, of_out)
{
	step_through(EPOLLOUT);
}

Test(signal_meanwhile, of_edges)
{
	step_through(EPOLLIN | EPOLLET);
}

Test(signal_meanwhile, of_nothing)
{
	step_through(0);
}
