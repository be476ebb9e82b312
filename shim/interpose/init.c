/* Loading, forking, leaving; and the one symbol that is not libc's. */
#include <dlfcn.h>
#include <pthread.h>

#include "interpose/interpose.h"

#include "core/adopt.h"
#include "core/config.h"
#include "core/epollset.h"
#include "core/fastset.h"
#include "core/mirror.h"
#include "core/process.h"
#include "core/setid.h"
#include "core/stats.h"
#include "core/warm.h"

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

__attribute__((constructor)) static void load(void)
{
	real_resolve();
	config_load();
	process_start();
	fdtable_init();
	setid_start();
	adopt_inherited();
	pthread_atfork(fastset_forking, fastset_forking, forked);
	if (dlsym(RTLD_DEFAULT, "io_uring_queue_init"))
		mirror_always_on();
	dlerror();
}

__attribute__((destructor)) static void leave(void)
{
	warm_leave();
	stats_print();
}
