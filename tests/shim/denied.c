/* Runs a program without some of the system calls: denied WHAT ERRNO COMMAND ARGS... */
#include "deny.h"
#include "prog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The loader needs openat and mmap, too: those for writing and sharing are the library's. */
static const struct {
	const char *name;
	struct deny deny;
} all[] = {
	{"mknodat", {SYS_mknodat, 0, 0}},
	{"mkdirat", {SYS_mkdirat, 0, 0}},
	{"openat", {SYS_openat, 2, O_RDWR | O_PATH}},
	{"fallocate", {SYS_fallocate, 0, 0}},
	{"linkat", {SYS_linkat, 0, 0}},
	{"mmap", {SYS_mmap, 3, MAP_SHARED}},
	{"fstat", {SYS_fstat, 0, 0}},
	{"prlimit", {SYS_prlimit64, 0, 0}},
	{"fcntl", {SYS_fcntl, 0, 0}},
};

int main(int argc, char **argv)
{
	require(argc >= 4, "usage: denied WHAT ERRNO COMMAND ARGS...");
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (strcmp(argv[1], all[i].name))
			continue;
		require(deny_all(&all[i].deny, 1, atoi(argv[2])), "seccomp");
		execvp(argv[3], argv + 3);
	}
	prog_fail("cannot run it");
}
