/* efdshim gc: frees what dead processes left. */
#include "cli.h"

#include <stdio.h>

#include "core/slotpool.h"
#include "state.h"

int cli_gc(int argc, char **argv)
{
	int code;
	unsigned freed = 0;
	if (!state_options("gc", argc, argv, &code))
		return code;
	if (state_open(&code))
		freed = slotpool_sweep();
	else if (code != CLI_OK)
		return code;
	printf("%u object%s freed\n", freed, freed == 1 ? "" : "s");
	return CLI_OK;
}
