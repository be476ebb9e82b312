/* A library to be loaded while the program runs; it uses eventfds of its own, and one that it is
 * given. */
#include "prog.h"
#include "work.h"

void plugin_run(int given);

void plugin_run(int given)
{
	work(WORK_ALL);
	if (given >= 0)
		work_with(given);
}
