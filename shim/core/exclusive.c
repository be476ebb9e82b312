#include "core/exclusive.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>

#include "core/fdtable.h"
#include "core/setinfo.h"
#include "sys/probe.h"
#include "sys/raw.h"

_Atomic bool exclusive_kept;

bool exclusive_forbids(int op, uint32_t events, bool set)
{
	if (!(events & EPOLLEXCLUSIVE) || op == EPOLL_CTL_DEL)
		return false;
	return op == EPOLL_CTL_MOD || set || (events & ~EXCLUSIVE_BITS);
}

int exclusive_done(int epfd, int op, int fd, uint32_t events)
{
	if (!(events & EPOLLEXCLUSIVE) || op == EPOLL_CTL_DEL || probe_exclusive())
		return 0;
	if (!exclusive_forbids(op, events, fdtable_kind(fd) == FD_SET)) {
		atomic_store(&exclusive_kept, true);
		return 0;
	}
	if (op == EPOLL_CTL_ADD)
		raw_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
	return EINVAL;
}

bool exclusive_is(int epfd, int fd)
{
	struct epoll_event event;
	struct stat st;

	return !raw_syscall3(SYS_fstat, fd, (long)&st, 0) &&
	       setinfo_find(epfd, fd, st.st_ino, &event) && (event.events & EPOLLEXCLUSIVE);
}
