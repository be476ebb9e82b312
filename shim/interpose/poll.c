/* poll and select. */
#include "interpose/interpose.h"

#include "core/pollset.h"
#include "core/selectset.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "sys/oldpoll.h"

static SHIM_LONG_WAY int long_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec space;

	return (int)outcome_return(
		pollset_wait(fds, n, timeout_from_ms(timeout, &space), NULL, POLLSET_UNASKED));
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (!pollset_concerned(fds, n))
		return real()->poll(fds, n, timeout);
	return long_poll(fds, n, timeout);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*fds) < n)
		return real()->__poll_chk(fds, n, timeout, size);
	return poll(fds, n, timeout);
}

static bool good(const struct timespec *timeout, const sigset_t *mask)
{
	return (!timeout || usermem_loadable(timeout, sizeof(*timeout))) &&
	       (!mask || usermem_loadable(mask, 8));
}

static int fail(int err)
{
	return (int)outcome_return(outcome_err(err));
}

/* What the kernel would say of these arguments. */
static int refused(int n, const fd_set *in, const fd_set *out, const fd_set *except)
{
	const fd_set *sets[] = {in, out, except};
	size_t bytes = ((size_t)n + NFDBITS - 1) / NFDBITS * sizeof(fd_mask);

	if (n < 0)
		return EINVAL;
	for (int i = 0; i < 3; i++) {
		if (sets[i] && n && !usermem_loadable(sets[i], bytes))
			return EFAULT;
	}
	return 0;
}

static int foreign_ppoll(
	struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int saved = errno, ready = real()->ppoll(fds, n, timeout, mask);

	if (ready >= 0 || errno != ENOSYS)
		return ready;
	errno = saved;
	return good(timeout, mask) ? oldpoll_ppoll(fds, n, timeout, mask) : fail(EFAULT);
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (!pollset_concerned(fds, n) || !good(timeout, mask))
		return foreign_ppoll(fds, n, timeout, mask);
	return (int)outcome_return(pollset_wait(fds, n, timeout, mask, POLLSET_UNASKED));
}

int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
	size_t size)
{
	if (size / sizeof(*fds) < n)
		return real()->__ppoll_chk(fds, n, timeout, mask, size);
	return ppoll(fds, n, timeout, mask);
}

static SHIM_LONG_WAY bool concerned(int n, fd_set *in, fd_set *out, fd_set *except)
{
	struct selectset set = {.n = n, .in = in, .out = out, .except = except};

	return selectset_concerned(&set);
}

static SHIM_LONG_WAY int long_select(
	int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	struct selectset set = {.n = n, .in = in, .out = out, .except = except};
	struct outcome outcome;
	struct timespec limit, left;
	struct timeout running;

	if (timeout && !timeout_from_timeval(timeout, &limit))
		return real()->select(n, in, out, except, timeout);
	running = timeout_start(timeout ? &limit : NULL);
	outcome = selectset_wait(&set, timeout ? &limit : NULL, NULL);
	if (timeout) {
		timeout_over(&running, &left);
		timeout->tv_sec = left.tv_sec;
		timeout->tv_usec = left.tv_nsec / 1000;
	}
	return (int)outcome_return(outcome);
}

int select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	int saved = errno, ready, err;

	if (concerned(n, in, out, except))
		return long_select(n, in, out, except, timeout);
	ready = real()->select(n, in, out, except, timeout); /* libc's may be a pselect6 */
	if (ready >= 0 || errno != ENOSYS)
		return ready;
	errno = saved;
	err = refused(n, in, out, except);
	if (!err && timeout && !usermem_loadable(timeout, sizeof(*timeout)))
		err = EFAULT;
	if (!err && timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
		err = EINVAL;
	return err ? fail(err) : long_select(n, in, out, except, timeout);
}

int pselect(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
	const sigset_t *mask)
{
	struct selectset set = {.n = n, .in = in, .out = out, .except = except};
	int saved = errno, ready, err;

	if (selectset_concerned(&set) && good(timeout, mask))
		return (int)outcome_return(selectset_wait(&set, timeout, mask));
	ready = real()->pselect(n, in, out, except, timeout, mask);
	if (ready >= 0 || errno != ENOSYS)
		return ready;
	errno = saved;
	err = good(timeout, mask) ? refused(n, in, out, except) : EFAULT;
	return err ? fail(err) : (int)outcome_return(selectset_wait(&set, timeout, mask));
}

SYMBOLS_POLL(SHIM_NO_ALIAS, SHIM_ALIAS)
