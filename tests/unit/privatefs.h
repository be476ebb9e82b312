/* A file system of the test's own, where the test may mount one: it sees its own mounts only. */
#ifndef PRIVATEFS_H
#define PRIVATEFS_H

#include <criterion/criterion.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

/* Mounts a tmpfs of so many bytes; false, with a line in the log, where that is not allowed. */
static inline bool privatefs_mount(const char *where, const char *options)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0 &&
		mount("tmpfs", where, "tmpfs", 0, options) == 0)
		return true;
	cr_log_info("no file system of one's own here: left out");
	return false;
}

#endif
