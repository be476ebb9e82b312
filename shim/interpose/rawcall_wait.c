/* poll, select and epoll by number. The kernel's own calls store what is left of a timeout, where
 * libc's functions do not. */
#include "interpose/interpose.h"

#include "core/pollset.h"
#include "core/selectset.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "interpose/rawcall.h"

enum { NS = 1000000000, NS_IN_US = 1000, SIGSET_BYTES = 8 };

/* Where arguments are bad the kernel is left to say so: it looks at these before it looks at any
 * fd. */
/* What a kernel says of these: 0 or an errno value. */
static int wrong_timeout(const struct timespec *timeout)
{
	if (!timeout)
		return 0;
	if (!usermem_loadable(timeout, sizeof(*timeout)))
		return EFAULT;
	return timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS ? EINVAL : 0;
}

static int wrong_mask(const sigset_t *mask, long size)
{
	if (!mask)
		return 0;
	if (size != SIGSET_BYTES)
		return EINVAL;
	return usermem_loadable(mask, SIGSET_BYTES) ? 0 : EFAULT;
}

static int wrong_either(int first, int second)
{
	return first ? first : second;
}

static void store_left(const struct timeout *running, struct timespec *timeout)
{
	struct timespec left;

	if (running->infinite || running->zero)
		return;
	timeout_over(running, &left);
	usermem_store(timeout, &left, sizeof(left));
}

long rawcall_poll(const struct rawcall *call)
{
	struct pollfd *fds = (struct pollfd *)call->a[0];
	nfds_t n = (unsigned)call->a[1];

	if (!pollset_concerned(fds, n))
		return rawcall_through(call);
	return poll(fds, n, (int)call->a[2]);
}

/* False with the kernel's answer, where it knows the call. */
static bool lacks(const struct rawcall *call, long *answer)
{
	int saved = errno;

	*answer = rawcall_through(call);
	if (*answer >= 0 || errno != ENOSYS)
		return false;
	errno = saved;
	return true;
}

/* The kernel says why, where it knows the call. */
static long refused(const struct rawcall *call, int err)
{
	long ret = rawcall_through(call);

	if (ret < 0 && errno == ENOSYS)
		errno = err;
	return ret;
}

long rawcall_ppoll(const struct rawcall *call)
{
	struct pollfd *fds = (struct pollfd *)call->a[0];
	nfds_t n = (unsigned)call->a[1];
	struct timespec *timeout = (struct timespec *)call->a[2];
	const sigset_t *mask = (const sigset_t *)call->a[3];
	struct timeout running;
	struct outcome outcome;
	long ret;
	int err = wrong_either(wrong_timeout(timeout), wrong_mask(mask, call->a[4]));

	if (err)
		return refused(call, err);
	if (!pollset_concerned(fds, n))
		return lacks(call, &ret) ? ppoll(fds, n, timeout, mask) : ret;
	running = timeout_start(timeout);
	outcome = pollset_wait(fds, n, timeout, mask, POLLSET_UNASKED);
	store_left(&running, timeout);
	return outcome_return(outcome);
}

static struct selectset selectset_of(const struct rawcall *call)
{
	return (struct selectset){
		.n = (int)call->a[0],
		.in = (fd_set *)call->a[1],
		.out = (fd_set *)call->a[2],
		.except = (fd_set *)call->a[3],
	};
}

long rawcall_select(const struct rawcall *call)
{
	struct selectset set = selectset_of(call);
	struct timeval *timeout = (struct timeval *)call->a[4];
	struct timespec limit, left;
	struct timeout running;
	struct outcome outcome;
	struct timeval rest;

	if (!selectset_concerned(&set) || (timeout && !timeout_from_timeval(timeout, &limit)))
		return rawcall_through(call);
	running = timeout_start(timeout ? &limit : NULL);
	outcome = selectset_wait(&set, timeout ? &limit : NULL, NULL);
	if (!running.infinite && !running.zero) {
		timeout_over(&running, &left);
		rest = (struct timeval){left.tv_sec, left.tv_nsec / NS_IN_US};
		usermem_store(timeout, &rest, sizeof(rest));
	}
	return outcome_return(outcome);
}

/* The sixth argument of pselect6 points to a mask and its size. */
struct mask_argument {
	const sigset_t *mask;
	long size;
};

static int wrong_mask_argument(const struct mask_argument *arg)
{
	if (!arg)
		return 0;
	return usermem_loadable(arg, sizeof(*arg)) ? wrong_mask(arg->mask, arg->size) : EFAULT;
}

static long older_pselect6(const struct selectset *set, const struct timespec *timeout,
	const struct mask_argument *arg)
{
	return pselect(set->n, set->in, set->out, set->except, timeout, arg ? arg->mask : NULL);
}

long rawcall_pselect6(const struct rawcall *call)
{
	struct selectset set = selectset_of(call);
	struct timespec *timeout = (struct timespec *)call->a[4];
	const struct mask_argument *arg = (const struct mask_argument *)call->a[5];
	struct timeout running;
	struct outcome outcome;
	long ret;
	int err = wrong_either(wrong_mask_argument(arg), wrong_timeout(timeout));

	if (err)
		return refused(call, err);
	if (!selectset_concerned(&set))
		return lacks(call, &ret) ? older_pselect6(&set, timeout, arg) : ret;
	running = timeout_start(timeout);
	outcome = selectset_wait(&set, timeout, arg ? arg->mask : NULL);
	store_left(&running, timeout);
	return outcome_return(outcome);
}

long rawcall_epoll_create(const struct rawcall *call)
{
	return (int)call->a[0] > 0 ? epoll_create((int)call->a[0]) : rawcall_through(call);
}

long rawcall_epoll_create1(const struct rawcall *call)
{
	return epoll_create1((int)call->a[0]);
}

long rawcall_epoll_ctl(const struct rawcall *call)
{
	return epoll_ctl((int)call->a[0], (int)call->a[1], (int)call->a[2],
		(struct epoll_event *)call->a[3]);
}

long rawcall_epoll_wait(const struct rawcall *call)
{
	return epoll_wait((int)call->a[0], (struct epoll_event *)call->a[1], (int)call->a[2],
		(int)call->a[3]);
}

long rawcall_epoll_pwait(const struct rawcall *call)
{
	const sigset_t *mask = (const sigset_t *)call->a[4];

	if (wrong_mask(mask, call->a[5]))
		return refused(call, call->a[5] == SIGSET_BYTES ? EFAULT : EINVAL);
	return epoll_pwait((int)call->a[0], (struct epoll_event *)call->a[1], (int)call->a[2],
		(int)call->a[3], mask);
}

long rawcall_epoll_pwait2(const struct rawcall *call)
{
	const struct timespec *timeout = (const struct timespec *)call->a[3];
	const sigset_t *mask = (const sigset_t *)call->a[4];

	if (timeout && !usermem_loadable(timeout, sizeof(*timeout)))
		return refused(call, EFAULT);
	if (wrong_timeout(timeout) || (mask && call->a[5] != SIGSET_BYTES))
		return refused(call, EINVAL);
	if (wrong_mask(mask, call->a[5]))
		return refused(call, EFAULT);
	return epoll_pwait2(
		(int)call->a[0], (struct epoll_event *)call->a[1], (int)call->a[2], timeout, mask);
}
