/* Loads libplugin.so (its first argument), in the way that the second one names, and lets it use
 * eventfds. */
#include "prog.h"
#include "work.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TIMES = 3 };

static void run(const char *path, int flags, int given)
{
	for (int i = 0; i < TIMES; i++) {
		void *library = dlopen(path, flags);
		void (*plugin_run)(int) = NULL;

		require(library, "dlopen");
		plugin_run = (void (*)(int))dlsym(library, "plugin_run");
		require(plugin_run, "dlsym");
		plugin_run(given);
		require(!dlclose(library), "dlclose");
	}
}

int main(int argc, char **argv)
{
	int mine = prog_eventfd(0, EFD_NONBLOCK);

	require(argc == 3, "usage: opener LIBRARY WAY");
	if (!strcmp(argv[2], "local"))
		run(argv[1], RTLD_NOW | RTLD_LOCAL, mine);
	else if (!strcmp(argv[2], "global"))
		run(argv[1], RTLD_LAZY | RTLD_GLOBAL, mine);
	else if (!strcmp(argv[2],
			 "deep")) /* it finds libc before the shim: eventfds are the kernel's */
		run(argv[1], RTLD_NOW | RTLD_DEEPBIND, -1);
	work_with(mine);
	work(WORK_ALL);
	return 0;
}
