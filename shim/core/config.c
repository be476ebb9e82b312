#include "core/config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "core/detour.h"
#include "core/stats.h"
#include "core/text.h"
#include "sys/raw.h"

struct config config;

static bool is(const char *name, const char *value)
{
	const char *set = getenv(name);

	return set && !strcmp(set, value);
}

static const char *absolute(const char *name)
{
	const char *path = getenv(name);

	return path && path[0] == '/' ? path : NULL;
}

void config_load(void)
{
	static _Atomic int loaded;

	if (!environ) /* before libc has begun, as in a preinit function */
		return;
	if (atomic_exchange(&loaded, 1) || getauxval(AT_SECURE))
		return;
	config.dir = absolute("EFDSHIM_DIR");
	config.runtime = absolute("XDG_RUNTIME_DIR");
	config.only_missing = is("EFDSHIM_MODE", "missing");
	config.slow = is("EFDSHIM_FAST", "0");
	config.mirror_always = is("EFDSHIM_MIRROR", "always");
	if (is("EFDSHIM_MASK", "vpoll"))
		config.mask = CONFIG_VPOLL;
	else if (is("EFDSHIM_MASK", "mask"))
		config.mask = CONFIG_MASK;
	config.no_spin = is("EFDSHIM_SPIN", "0");
	config.signalfd = is("EFDSHIM_SIGNALFD", "emulate");
	config.emulate_timers = is("EFDSHIM_TIMERFD", "emulate");
	config.strict = is("EFDSHIM_STRICT", "1");
	config.debug = is("EFDSHIM_DEBUG", "1");
	stats_on = is("EFDSHIM_STATS", "1");
	if (stats_on)
		detour_add(DETOUR_STATS);
	stats_reset(false);
}

void config_debug(const char *what, int err)
{
	static _Atomic int told; /* the errno told of last */
	char space[160];
	struct text line = text_in(space, sizeof(space));

	if (!config.debug || atomic_exchange(&told, err) == err)
		return;
	text_string(&line, "efdshim: ");
	text_string(&line, what);
	text_string(&line, ", errno ");
	text_number(&line, (uint64_t)err, 10);
	text_string(&line, ": the kernel's eventfd serves\n");
	raw_write(2, line.start, line.used);
}
