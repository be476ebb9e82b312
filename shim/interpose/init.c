/* Loading, forking, leaving; and the one symbol that is not libc's. */
#include <dlfcn.h>
#include <pthread.h>

#include "interpose/interpose.h"

#include "core/adopt.h"
#include "core/aiobridge.h"
#include "core/config.h"
#include "core/demote.h"
#include "core/epollset.h"
#include "core/mirror.h"
#include "core/process.h"
#include "core/stats.h"
#include "core/warm.h"
#include "sys/lookup.h"

SHIM_EXPORT const char *efdshim_version(void);

const char *efdshim_version(void)
{
	return "0.1.0";
}

static void forked(void)
{
	object_forked();
	stats_reset(true);
}

static bool io_uring_is_loaded(void)
{
	struct lookup setup = {.name = "io_uring_queue_init"};
	bool found;

	lookup_all(&setup, 1, LOOKUP_DEFAULT);
	if (setup.result != LOOKUP_UNSURE)
		return setup.result == LOOKUP_FOUND;
	found = dlsym(RTLD_DEFAULT, setup.name) != NULL;
	dlerror();
	return found;
}

__attribute__((constructor)) static void load(void)
{
	real_resolve();
	config_load();
	process_start();
	adopt_inherited();
	pthread_atfork(demote_forking, demote_forking, forked);
	if (io_uring_is_loaded())
		mirror_always_on();
}

__attribute__((destructor)) static void leave(void)
{
	aiobridge_pull();
	warm_leave();
	stats_print();
}
