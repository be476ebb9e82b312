/* Limits: the C library asks by prlimit(2), which is of 2.6.36. By bare system calls, as the
 * sanitizers ask before anything is ready, the memory that tells where they are included. */
#include "interpose/interpose.h"

#include "sys/older.h"
#include "sys/raw.h"

int getrlimit(rlimit_name resource, struct rlimit *limit)
{
	return (int)outcome_return(outcome_raw(older_limit((int)resource, NULL, limit)));
}

int setrlimit(rlimit_name resource, const struct rlimit *limit)
{
	return (int)outcome_return(outcome_raw(older_limit((int)resource, limit, NULL)));
}

/* Of another process it cannot be had the older way. */
int prlimit(pid_t pid, rlimit_name resource, const struct rlimit *limit, struct rlimit *old)
{
	long ret;

	if (!pid || pid == raw_getpid())
		return (int)outcome_return(outcome_raw(older_limit((int)resource, limit, old)));
	ret = raw_syscall6(SYS_prlimit64, pid, (int)resource, (long)limit, (long)old, 0, 0);
	return (int)outcome_return(outcome_raw(ret));
}

SYMBOLS_LIMIT(SHIM_NO_ALIAS, SHIM_ALIAS)
