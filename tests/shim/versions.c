/* An interposer whose symbols have versions: read has a default one and an old one, write has an
 * old one only, close has none, and poll is an indirect function. */
#include <poll.h>
#include <sys/types.h>

ssize_t new_read(int fd, void *buf, size_t n);
ssize_t old_read(int fd, void *buf, size_t n);
ssize_t old_write(int fd, const void *buf, size_t n);

ssize_t new_read(int fd, void *buf, size_t n)
{
	return (ssize_t)n + (buf ? fd : 0);
}

ssize_t old_read(int fd, void *buf, size_t n)
{
	return (ssize_t)n - (buf ? fd : 0);
}

ssize_t old_write(int fd, const void *buf, size_t n)
{
	return (ssize_t)n - (buf ? fd : 0);
}

__asm__(".symver new_read, read@@SECOND");
__asm__(".symver old_read, read@FIRST");
__asm__(".symver old_write, write@FIRST");

int close(int fd)
{
	return fd;
}

static int any_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return fds ? (int)n : timeout;
}

static int (*choose(void))(struct pollfd *, nfds_t, int)
{
	return any_poll;
}

int poll(struct pollfd *fds, nfds_t n, int timeout) __attribute__((ifunc("choose")));
