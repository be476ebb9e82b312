/* Below the library: waits that end up to a clock tick early, as those of kernels do that count
 * ticks. */
#include <dlfcn.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>

enum { TICK_NS = 1000000 };

int epoll_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	int (*real)(int, struct epoll_event *, int, int) =
		(int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");

	return real(epfd, events, max, ms > 0 ? ms - 1 : ms);
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *) =
		(int (*)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))dlsym(
			RTLD_NEXT, "ppoll");
	struct timespec less = {0, 0};

	if (!timeout)
		return real(fds, n, NULL, mask);
	if (timeout->tv_sec || timeout->tv_nsec > TICK_NS)
		less = (struct timespec){timeout->tv_sec, timeout->tv_nsec / 2};
	return real(fds, n, &less, mask);
}
