/* The tests of the message sockets: one line 'ok ...' or 'not ok ...' each. Exits with 77 where
 * there is no EFD_MASK. */
#include "msgsock_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

#include <efdshim/eventfd.h>

enum { NUMBERS = 500 }; /* fds below that are the program's */

static _Atomic(const char *) first_fault;

bool want(bool fine, const char *what)
{
	const char *none = NULL;

	if (!fine)
		atomic_compare_exchange_strong(&first_fault, &none, what);
	return fine;
}

bool fine_so_far(void)
{
	return !first_fault;
}

static short poll_once(int fd, short interest, int timeout)
{
	struct pollfd one = {fd, interest, 0};

	return poll(&one, 1, timeout) < 0 ? -1 : one.revents;
}

short shows(int fd, short interest)
{
	return poll_once(fd, interest, 0);
}

short await(int fd, short interest)
{
	return poll_once(fd, interest, LIMIT);
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < NUMBERS; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Gives 0, or 1 for a failure. */
static int run(const struct test *test)
{
	int before = open_fds();

	first_fault = NULL;
	test->run();
	want(open_fds() == before, "as many fds as before");
	if (first_fault)
		printf("not ok %s - not so: %s\n", test->name, first_fault);
	else
		printf("ok %s\n", test->name);
	fflush(stdout);
	return !fine_so_far();
}

int main(void)
{
	int failed = 0, fds[2];

	if (msgsock_pair(fds) && errno == EINVAL) {
		printf("msgsock_check: needs EFD_MASK, which %s\n",
			efdshim_version ? "efdshim cannot give here" : "only efdshim has");
		return 77;
	}
	msgsock_close(fds[0]);
	msgsock_close(fds[1]);
	for (const struct test *test = behaviour; test->name; test++)
		failed |= run(test);
	for (const struct test *test = threads; test->name; test++)
		failed |= run(test);
	return failed;
}
