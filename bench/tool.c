#include "tool.h"

#include "chain.h"
#include "die.h"
#include "pingpong.h"
#include "result.h"

int tool_main(int argc, char **argv, const struct channel_kind *kind)
{
	channels_raise_limit();
	struct options options = options_of(argc, argv, kind);
	struct result result = {.wall = calloc((size_t)options.runs, sizeof(double)),
		.cpu = calloc((size_t)options.runs, sizeof(double))};

	if (!result.wall || !result.cpu)
		die(EXIT_CANNOT, "calloc");
	if (options.mate != MATE_NONE)
		pingpong_measure(&options, &result);
	else
		chain_measure(&options, &result);
	bool right = result_print(&options, &result);

	free(result.wall);
	free(result.cpu);
	return right ? 0 : EXIT_WRONG;
}
