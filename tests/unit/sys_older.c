/* Kernels that ignore close-on-exec in open and recvmsg: what came of such a call is marked. */
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/older.h"
#include "sys/raw.h"

static int open_null(int flags)
{
	return raw_openat(AT_FDCWD, "/dev/null", O_RDONLY | flags, 0);
}

static bool marked(int fd)
{
	return raw_fcntl(fd, F_GETFD, 0) == FD_CLOEXEC;
}

Test(sys_older, a_kernel_that_ignores_the_flag_is_helped)
{
	for (int i = 0; i < 3; i++) {
		int fd = open_null(0); /* as if the flag had been there */

		older_opened(fd);
		cr_assert(marked(fd));
		close(fd);
	}
}

Test(sys_older, one_that_heeds_it_is_asked_once)
{
	int fd = open_null(O_CLOEXEC);

	older_opened(fd);
	cr_assert(marked(fd));
	raw_fcntl(fd, F_SETFD, 0);
	older_opened(fd); /* touches it no more */
	cr_assert_not(marked(fd));
	close(fd);
}

Test(sys_older, what_comes_in_messages)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(3 * sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = open_null(0);
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	older_received(&message);
	for (int i = 0; i < 3; i++) {
		cr_assert(marked(fds[i]));
		close(fds[i]);
	}
	message.msg_controllen = 0;
	older_received(&message);
}
