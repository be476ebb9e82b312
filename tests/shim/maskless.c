/* A program that asks for EFD_MASK and is told whether it is there. Usage: maskless there|missing
 */
#include "prog.h"

#include <efdshim/eventfd.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void expect_missing(bool loaded)
{
	static const int flags[] = {0, EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, ~0};

	require(loaded == (efdshim_version != NULL), "efdshim_version");
	for (int i = 0; i < 5; i++) {
		errno = 0;
		require(eventfd(0, EFD_MASK | flags[i]) == -1 && errno == EINVAL, "EFD_MASK");
	}
	int fd = eventfd(3, EFD_CLOEXEC);
	require(fd >= 0, "an eventfd without it");
	require(prog_is_kernels(fd), "an eventfd that is not the kernel's");
	require(prog_take(fd) == 3 && !close(fd), "its count");
}

static void expect_there(void)
{
	struct efd_mask mask = {POLLPRI | POLLHUP, UINT64_MAX}, got = {0, 0};
	struct pollfd p = {.events = POLLIN | POLLPRI};

	require(efdshim_version && efdshim_version()[0] >= '0' && efdshim_version()[0] <= '9',
		"efdshim_version");
	require(efdshim_version() == efdshim_version(), "the version is one string");
	require(sizeof(mask) == 12 && EFD_MASK == 2, "the names");
	int fd = eventfd(7, EFD_MASK | EFD_CLOEXEC);
	require(fd >= 0, "EFD_MASK");
	require(read(fd, &got, sizeof(got)) == 12 && !got.events && !got.data, "the first pair");
	require(write(fd, &mask, sizeof(mask)) == 12, "write");
	require(read(fd, &got, sizeof(got)) == 12 && !memcmp(&got, &mask, 12), "the pair");
	p.fd = fd;
	require(poll(&p, 1, 0) == 1 && p.revents == (POLLPRI | POLLHUP), "poll");
	require(!close(fd), "close");
}

int main(int argc, char **argv)
{
	const char *how = argc == 2 ? argv[1] : "";

	if (!strcmp(how, "there"))
		expect_there();
	else if (!strcmp(how, "missing") || !strcmp(how, "refused"))
		expect_missing(how[0] == 'r');
	else
		prog_fail("usage: maskless there|missing|refused");
	return 0;
}
