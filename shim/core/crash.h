/* Places where the crash-point test kills a process; nothing in other builds. */
#ifndef EFDSHIM_CORE_CRASH_H
#define EFDSHIM_CORE_CRASH_H

#ifdef EFDSHIM_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
