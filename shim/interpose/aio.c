/* libaio's io_submit, and what takes completions. */
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "core/aiocall.h"
#include "core/usermem.h"
#include "interpose/rawcall.h"
#include "sys/raw.h"

enum { SIGSET_BYTES = 8 };

/* As libaio has them: an error is the return value, and errno is left alone. */
SHIM_EXPORT int io_submit(void *context, long n, struct iocb **iocbs);
SHIM_EXPORT int io_getevents(
	void *context, long least, long n, struct io_event *events, struct timespec *timeout);
SHIM_EXPORT int io_pgetevents(void *context, long least, long n, struct io_event *events,
	struct timespec *timeout, sigset_t *mask);

int io_submit(void *context, long n, struct iocb **iocbs)
{
	return (int)aiocall_submit((unsigned long)context, n, iocbs);
}

/* What the kernel has at a context's address. */
struct ring {
	uint32_t id, size, head, tail, magic;
};
#define RING_MAGIC 0xa10a10a1

/* libaio, too, asks nobody where nothing can be there. */
static bool nothing_yet(const struct ring *ring, const struct timespec *timeout)
{
	if (!timeout || !usermem_loadable(timeout, sizeof(*timeout)) || timeout->tv_sec ||
		timeout->tv_nsec || !ring || !usermem_loadable(ring, sizeof(*ring)))
		return false;
	return ring->magic == RING_MAGIC &&
	       *(const volatile uint32_t *)&ring->head == *(const volatile uint32_t *)&ring->tail;
}

int io_getevents(
	void *context, long least, long n, struct io_event *events, struct timespec *timeout)
{
	if (nothing_yet(context, timeout))
		return 0;
	return (int)aiocall_completed(raw_syscall6(
		SYS_io_getevents, (long)context, least, n, (long)events, (long)timeout, 0));
}

int io_pgetevents(void *context, long least, long n, struct io_event *events,
	struct timespec *timeout, sigset_t *mask)
{
	const struct {
		sigset_t *mask;
		size_t size;
	} given = {mask, SIGSET_BYTES};

	if (nothing_yet(context, timeout))
		return 0;
	return (int)aiocall_completed(raw_syscall6(SYS_io_pgetevents, (long)context, least, n,
		(long)events, (long)timeout, (long)&given));
}

long rawcall_io_getevents(const struct rawcall *call)
{
	return aiocall_completed(rawcall_through(call));
}

long rawcall_io_submit(const struct rawcall *call)
{
	return outcome_return(outcome_raw(
		aiocall_submit((unsigned long)call->a[0], call->a[1], (struct iocb **)call->a[2])));
}
