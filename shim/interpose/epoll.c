/* epoll. */
#include "interpose/interpose.h"

#include "core/epollset.h"
#include "core/plainset.h"
#include "core/eventpoll.h"
#include "core/exclusive.h"
#include "core/front.h"
#include "core/setid.h"
#include "core/timeout.h"
#include "core/signalset.h"
#include "core/usermem.h"
#include "interpose/epollolder.h"
#include "sys/older.h"

static int new_set(int epfd)
{
	if (epfd < 0)
		return epfd;
	object_new_file(epfd);
	setid_made(epfd);
	front_made(epfd);
	return epfd;
}

int epoll_create(int size)
{
	int saved = errno;
	int epfd = real()->epoll_create(size);

	if (epfd < 0 && errno == ENOSYS && size > 0)
		epfd = (int)older_return(saved, older_epoll_create1(0));
	return new_set(epfd);
}

int epoll_create1(int flags)
{
	int saved = errno;
	int epfd = real()->epoll_create1(flags);

	if (epfd < 0 && errno == ENOSYS)
		epfd = (int)older_return(saved, older_epoll_create1(flags));
	return new_set(epfd);
}

/* What is in an eventpoll is for its own calls. */
static int refuse(void)
{
	return (int)outcome_return(outcome_err(EINVAL));
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct fdref ref;
	int ret;

	if (eventpoll_is(epfd))
		return refuse();
	if (object_is(&fd, &ref))
		return (int)outcome_return(epollset_ctl(epfd, op, &ref, event));
	if (op == EPOLL_CTL_MOD && atomic_load(&exclusive_kept) && exclusive_is(epfd, fd))
		return refuse();
	ret = real()->epoll_ctl(epfd, op, fd, event);
	if (!ret && op != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE) &&
		exclusive_done(epfd, op, fd, event->events))
		return refuse();
	if (!ret && op == EPOLL_CTL_ADD)
		front_note_foreign(epfd);
	if (!ret && fdtable_kind(fd) == FD_SET)
		signalset_nested(op, epfd, fd, event);
	if (!ret && op != EPOLL_CTL_DEL && fdtable_kind(fd) == FD_SET)
		epollset_nested(epfd, fd, event->events);
	return ret;
}

static struct outcome answer(int ret)
{
	return ret < 0 ? outcome_err(errno) : outcome_ok(ret);
}

static struct outcome attempt_wait(const struct epoll_call *call)
{
	return answer(real()->epoll_wait(
		call->epfd, call->events, call->max, timeout_to_ms(call->timeout)));
}

static struct outcome attempt_pwait(const struct epoll_call *call)
{
	return answer(epollolder_pwait(
		call->epfd, call->events, call->max, timeout_to_ms(call->timeout), call->mask));
}

static struct outcome attempt_pwait2(const struct epoll_call *call)
{
	return answer(
		epollolder_pwait2(call->epfd, call->events, call->max, call->timeout, call->mask));
}

static int wait_by(struct epoll_call *call)
{
	if (eventpoll_is(call->epfd))
		return refuse();
	return (int)outcome_return(epollset_wait(call));
}

static SHIM_LONG_WAY int any_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	struct timespec space;
	struct epoll_call call = {
		.epfd = epfd, .events = events, .max = max, .attempt = attempt_wait};

	call.timeout = timeout_from_ms(timeout, &space);
	return wait_by(&call);
}

int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	if (plainset_is(epfd))
		return real()->epoll_wait(epfd, events, max, timeout);
	return any_epoll_wait(epfd, events, max, timeout);
}

static SHIM_LONG_WAY int any_epoll_pwait(
	int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
	struct timespec space;
	struct epoll_call call = {
		.epfd = epfd, .events = events, .max = max, .mask = mask, .attempt = attempt_pwait};

	call.timeout = timeout_from_ms(timeout, &space);
	return wait_by(&call);
}

int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
	if (plainset_is(epfd))
		return epollolder_pwait(epfd, events, max, timeout, mask);
	return any_epoll_pwait(epfd, events, max, timeout, mask);
}

static SHIM_LONG_WAY int any_epoll_pwait2(int epfd, struct epoll_event *events, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	struct epoll_call call = {.epfd = epfd,
		.events = events,
		.max = max,
		.timeout = timeout,
		.mask = mask,
		.attempt = attempt_pwait2};

	if (timeout && !usermem_loadable(timeout, sizeof(*timeout)))
		return epollolder_pwait2(epfd, events, max, timeout, mask);
	return wait_by(&call);
}

int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
	const sigset_t *mask)
{
	if (plainset_is(epfd))
		return epollolder_pwait2(epfd, events, max, timeout, mask);
	return any_epoll_pwait2(epfd, events, max, timeout, mask);
}

SYMBOLS_EPOLL(SHIM_NO_ALIAS, SHIM_ALIAS)
