/* eventpoll. */
#include <unistd.h>

#include "efdshim/eventpoll.h"
#include "interpose/interpose.h"

#include "core/eventpoll.h"
#include "core/eventpollctl.h"
#include "core/eventpollwait.h"
#include "core/timeout.h"

SHIM_EXPORT int eventpoll_create(int maxfds);
SHIM_EXPORT int eventpoll_ctl(int epfd, int op, int fd, unsigned events);
SHIM_EXPORT int eventpoll_wait(int epfd, const struct pollfd **events, int timeout);

int eventpoll_create(int maxfds)
{
	int epfd, err;

	if (maxfds < 1)
		return (int)outcome_return(outcome_err(EINVAL));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		return epfd;
	err = eventpoll_begin(epfd, maxfds);
	if (!err)
		return epfd;
	close(epfd);
	return (int)outcome_return(outcome_err(err));
}

int eventpoll_ctl(int epfd, int op, int fd, unsigned events)
{
	int err = eventpollctl(epfd, op, fd, events);

	return (int)outcome_return(err ? outcome_err(err) : outcome_ok(0));
}

static struct outcome attempt(const struct epoll_call *call)
{
	int ret = real()->epoll_wait(
		call->epfd, call->events, call->max, timeout_to_ms(call->timeout));

	return ret < 0 ? outcome_err(errno) : outcome_ok(ret);
}

int eventpoll_wait(int epfd, const struct pollfd **events, int timeout)
{
	const struct eventpoll_call call = {
		.epfd = epfd, .events = events, .timeout = timeout, .attempt = attempt};
	return (int)outcome_return(eventpollwait(&call));
}
