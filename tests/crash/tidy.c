/* What is left when everything is closed: nothing. */
#define _GNU_SOURCE
#include "crash.h"

#include <ftw.h>
#include <stdlib.h>

#include "shimcmd.h"

static long gc(struct run *run)
{
	int status;
	long freed = shimcmd_number(shimcmd_say("gc", &status));

	if (status || freed < 0)
		wrong(run, "efdshim gc: status %#x, and no number", (unsigned)status);
	return freed;
}

void tidy_check(struct run *run)
{
	const char *text;
	int status;
	long freed;

	if (!shimcmd_there() || run->why[0])
		return;
	text = shimcmd_say("ls", &status);
	if (status || *text)
		wrong(run, "efdshim ls, with everything closed: status %#x, %.100s",
			(unsigned)status, text);
	gc(run);
	freed = gc(run);
	if (freed > 0)
		wrong(run, "a second efdshim gc freed %ld", freed);
}

static long entries;

static int count_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)path, (void)st, (void)type, (void)walk;
	entries++;
	return 0;
}

long tidy_entries(void)
{
	const char *dir = getenv("EFDSHIM_DIR");

	entries = 0;
	if (!dir || nftw(dir, count_entry, 16, FTW_PHYS))
		return -1;
	return entries;
}
