/* The benchmark on pipes, or unix socketpairs. */
#include "tool.h"

int main(int argc, char **argv)
{
	return tool_main(argc, argv, &channel_pipe);
}
