/* What makes fds otherwise: a number they return is no longer what it was. */
#include <stdarg.h>

#include "interpose/interpose.h"

#include "core/adopt.h"
#include "core/behind.h"
#include "sys/older.h"

static int two_new_files(int ret, const int fds[2])
{
	if (ret)
		return ret;
	object_new_file(fds[0]);
	object_new_file(fds[1]);
	return 0;
}

int socket(int domain, int type, int protocol)
{
	int saved = errno;
	int fd = real()->socket(domain, type, protocol);

	if (fd < 0 && errno == EINVAL)
		fd = (int)older_return(saved, older_socket(domain, type, protocol));
	return object_new_file(fd);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	int saved = errno;
	int ret = real()->socketpair(domain, type, protocol, fds);

	if (ret && errno == EINVAL)
		ret = (int)older_return(saved, older_socketpair(domain, type, protocol, fds));
	return two_new_files(ret, fds);
}

int accept(int fd, struct sockaddr *address, socklen_t *n)
{
	return object_new_file(real()->accept(fd, address, n));
}

/* Without accept4 (2.6.28); it sleeps in accept, which is a cancellation point as well. */
static SHIM_LONG_WAY int older_accept4(
	int fd, struct sockaddr *address, socklen_t *n, int flags, int saved)
{
	if (!older_accept_knows(flags))
		return (int)older_return(saved, -EINVAL);
	errno = saved;
	return older_flagged(real()->accept(fd, address, n), flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *n, int flags)
{
	int saved = errno;
	int made = real()->accept4(fd, address, n, flags);

	if (made < 0 && errno == ENOSYS)
		made = older_accept4(fd, address, n, flags, saved);
	return object_new_file(made);
}

int pipe(int fds[2])
{
	int saved = errno;
	int ret = real()->pipe(fds); /* libc's may be a pipe2 */

	if (ret && errno == ENOSYS)
		ret = (int)older_return(saved, older_pipe2(fds, 0));
	return two_new_files(ret, fds);
}

int pipe2(int fds[2], int flags)
{
	int saved = errno;
	int ret = real()->pipe2(fds, flags);

	if (ret && errno == ENOSYS)
		ret = (int)older_return(saved, older_pipe2(fds, flags));
	return two_new_files(ret, fds);
}

int memfd_create(const char *name, unsigned flags)
{
	return object_new_file(real()->memfd_create(name, flags));
}

int inotify_init(void)
{
	int saved = errno;
	int fd = real()->inotify_init();

	if (fd < 0 && errno == ENOSYS)
		fd = (int)older_return(saved, older_inotify_init1(0));
	return object_new_file(fd);
}

int inotify_init1(int flags)
{
	int saved = errno;
	int fd = real()->inotify_init1(flags);

	if (fd < 0 && errno == ENOSYS)
		fd = (int)older_return(saved, older_inotify_init1(flags));
	return object_new_file(fd);
}

int fanotify_init(unsigned flags, unsigned event_flags)
{
	return object_new_file(real()->fanotify_init(flags, event_flags));
}

int open_by_handle_at(int mount, struct file_handle *handle, int flags)
{
	return object_new_file(real()->open_by_handle_at(mount, handle, flags));
}

int pidfd_open(pid_t pid, unsigned flags)
{
	return object_new_file(real()->pidfd_open(pid, flags));
}

int pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return adopt_number(real()->pidfd_getfd(pidfd, fd, flags));
}

int mq_open(const char *name, int flags, ...)
{
	unsigned mode = 0;
	void *attributes = NULL;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT) {
		mode = va_arg(args, unsigned);
		attributes = va_arg(args, void *);
	}
	va_end(args);
	return object_new_file(real()->mq_open(name, flags, mode, attributes));
}

int fsopen(const char *name, unsigned flags)
{
	return object_new_file(real()->fsopen(name, flags));
}

int fsmount(int fd, unsigned flags, unsigned attributes)
{
	return object_new_file(real()->fsmount(fd, flags, attributes));
}

int fspick(int dir, const char *path, unsigned flags)
{
	return object_new_file(real()->fspick(dir, path, flags));
}

int open_tree(int dir, const char *path, unsigned flags)
{
	return object_new_file(real()->open_tree(dir, path, flags));
}

static void received(const struct msghdr *message, int flags)
{
	if (flags & MSG_CMSG_CLOEXEC)
		older_received(message);
	behind_received(message);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = real()->recvmsg(fd, message, flags);

	if (n >= 0)
		received(message, flags);
	return n;
}

int recvmmsg(
	int fd, struct mmsghdr *messages, unsigned n, mmsg_flags flags, struct timespec *timeout)
{
	int got = real()->recvmmsg(fd, messages, n, flags, timeout);

	for (int i = 0; i < got; i++)
		received(&messages[i].msg_hdr, (int)flags);
	return got;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t n = real()->sendmsg(fd, message, flags);

	if (n >= 0)
		behind_sent(message);
	return n;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, mmsg_flags flags)
{
	int sent = real()->sendmmsg(fd, messages, n, flags);

	for (int i = 0; i < sent; i++)
		behind_sent(&messages[i].msg_hdr);
	return sent;
}

SYMBOLS_MAKE(SHIM_NO_ALIAS, SHIM_ALIAS)
