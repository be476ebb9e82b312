/* Uses eventfds before any constructor: from .preinit_array. */
#include "prog.h"
#include "work.h"

static bool ran;

static void before_constructors(int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	(void)environment;
	work(WORK_COUNTERS | WORK_THREADS);
	ran = true;
}

__attribute__((section(".preinit_array"), used)) static void (*const entry)(
	int, char **, char **) = before_constructors;

int main(void)
{
	require(ran, "nobody ran what is in .preinit_array");
	work(WORK_ALL);
	return 0;
}
