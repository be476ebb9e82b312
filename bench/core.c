#include "core.h"

#include <sched.h>

#include "die.h"

void pin_to_core(int which)
{
	static cpu_set_t allowed; /* before anything was pinned */
	cpu_set_t one;

	if (!CPU_COUNT(&allowed) && sched_getaffinity(0, sizeof(allowed), &allowed))
		die(EXIT_CANNOT, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || which--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			break;
		return;
	}
	errno = 0;
	die(EXIT_CANNOT, "there are not so many cores to run on");
}
