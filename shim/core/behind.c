#include "core/behind.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "core/adopt.h"
#include "core/demote.h"
#include "core/eventpoll.h"
#include "core/handover.h"
#include "core/internal.h"
#include "core/object.h"
#include "sys/control.h"
#include "sys/raw.h"

#define SCM_PIDFD_TYPE 0x04

void behind_closing(struct behind_close *close, int fd)
{
	int number = fd;

	*close = (struct behind_close){.fd = fd};
	if (fdtable_foreign(fd))
		return;
	internal_move_away(fd);
	if (object_is(&number, &close->ref))
		demote_number(&close->ref);
	number = fd;
	fdtable_begin_replace(fd);
	close->fake = object_is(&number, &close->ref);
	close->entry = fdtable_entry(fd);
	close->set = fdtable_epoll_id(fd);
	fdtable_replace_over();
}

/* Until here the number has been the old object's: nothing goes to its bare FIFO. */
void behind_closed(const struct behind_close *close)
{
	if (close->entry)
		fdtable_drop_stale(close->fd, close->entry);
	eventpoll_number_gone(close->set);
	if (close->fake)
		object_replaced(&close->ref);
}

static void each_fd(const struct cmsghdr *part, int (*act)(int fd))
{
	const unsigned char *data = CMSG_DATA(part);
	size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		act(fd);
	}
}

static void each_passed(const struct msghdr *message, int (*act)(int fd))
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
		part = control_next(message, part)) {
		if (part->cmsg_level == SOL_SOCKET &&
			(part->cmsg_type == SCM_RIGHTS || part->cmsg_type == SCM_PIDFD_TYPE))
			each_fd(part, act);
	}
}

void behind_received(const struct msghdr *message)
{
	if (message->msg_control)
		each_passed(message, adopt_number);
}

static int hand_over(int fd)
{
	handover_number(fd);
	return fd;
}

void behind_sent(const struct msghdr *message)
{
	if (fdtable_used() && message->msg_control)
		each_passed(message, hand_over);
}

void behind_maybe_made(long fd)
{
	struct stat st;
	struct fdref ref;
	int number = (int)fd;

	if (fd < 0 || fd > INT_MAX || fdtable_foreign(number) || !object_is(&number, &ref))
		return;
	if (raw_syscall3(SYS_fstat, number, (long)&st, 0) ||
		st.st_ino != atomic_load(&ref.object->inode) || !S_ISFIFO(st.st_mode))
		fdtable_drop_stale(number, ref.entry);
}
