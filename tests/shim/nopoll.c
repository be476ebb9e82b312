/* Runs a command without ppoll and pselect6, as on x86-64 before Linux 2.6.19. */
#include "deny.h"
#include "prog.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const struct deny denied[] = {{SYS_ppoll, 0, 0}, {SYS_pselect6, 0, 0}};

	require(argc > 1 && deny_all(denied, 2, ENOSYS), "seccomp");
	execvp(argv[1], argv + 1);
	prog_fail("cannot run it");
}
