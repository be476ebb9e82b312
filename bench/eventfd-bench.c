/* The benchmark on eventfds: the kernel's, or under LD_PRELOAD=libefdshim.so the shim's. */
#include "tool.h"

int main(int argc, char **argv)
{
	return tool_main(argc, argv, &channel_eventfd);
}
