/* A library whose constructor and destructor use eventfds: before the shim's have run, or after, as
 * LD_PRELOAD's order will have it. */
#include "prog.h"
#include "work.h"

__attribute__((constructor)) static void load(void)
{
	work(WORK_COUNTERS | WORK_THREADS);
}

__attribute__((destructor)) static void leave(void)
{
	work(WORK_ALL);
}
