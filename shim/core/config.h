/* The environment variables, read once while the library loads. */
#ifndef EFDSHIM_CORE_CONFIG_H
#define EFDSHIM_CORE_CONFIG_H

#include <stdbool.h>

enum config_mask {
	CONFIG_MASK_UNSET, /* EFD_MASK, but not for callers that know the other meaning only */
	CONFIG_MASK,
	CONFIG_VPOLL,
};

struct config {
	const char *dir;       /* EFDSHIM_DIR, or NULL */
	const char *runtime;   /* XDG_RUNTIME_DIR, or NULL */
	bool only_missing;     /* EFDSHIM_MODE=missing: emulate only what the kernel refuses */
	bool slow;	       /* EFDSHIM_FAST=0: no fast watches */
	bool mirror_always;    /* EFDSHIM_MIRROR=always: every object is watched from the start */
	enum config_mask mask; /* EFDSHIM_MASK=mask or vpoll: what bit 1 of eventfd's flags means */
	bool no_spin;	       /* EFDSHIM_SPIN=0: blocked calls sleep at once */
	bool signalfd;	       /* EFDSHIM_SIGNALFD=emulate: even where the kernel has them */
	bool emulate_timers;   /* EFDSHIM_TIMERFD=emulate: timers are the library's on any kernel */
	bool strict; /* EFDSHIM_STRICT=1: memory of rings is verified each time it is used */
	bool debug;  /* EFDSHIM_DEBUG=1: say on stderr why the kernel serves */
};

extern struct config config;

/* Reads them, once: at load, or before that when an eventfd is made earlier. Set-uid programs get
 * the defaults: their environment is the caller's. */
void config_load(void);

/* One line on stderr for each cause under EFDSHIM_DEBUG=1, silence otherwise. */
void config_debug(const char *what, int err);

#endif
