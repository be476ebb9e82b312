#include "sys/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "sys/raw.h"

enum { STACK = 128 << 10, LINKS_OF_NONE = 2, LINKS_OF_TWO = LINKS_OF_NONE + 2 };

static void *begin(void *arg)
{
	void (*run)(void);

	memcpy(&run, &arg, sizeof(run));
	raw_syscall3(SYS_prctl, PR_SET_NAME, (long)"efdshim", 0);
	run();
	return NULL;
}

/* A stack also holds the thread's own variables: of the program's, that may be too many. */
static int create(pthread_attr_t *attributes, void *arg)
{
	pthread_t thread;
	int err;

	pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(attributes, STACK);
	err = pthread_create(&thread, attributes, begin, arg);
	if (err != EINVAL)
		return err;
	pthread_attr_destroy(attributes);
	pthread_attr_init(attributes);
	pthread_attr_setdetachstate(attributes, PTHREAD_CREATE_DETACHED);
	return pthread_create(&thread, attributes, begin, arg);
}

/* libc's own mask, which leaves out the signals by which setuid() and its like reach every thread.
 */
int thread_start(void (*run)(void))
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int err, saved = errno;
	void *arg;

	memcpy(&arg, &run, sizeof(arg));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	err = create(&attributes, arg);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return err;
}

/* A main thread that has ended is counted until the others have, but has no memory any more, nor an
 * image. */
bool thread_is_last(void)
{
	struct stat st;
	char byte;

	if (raw_syscall6(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task", (long)&st, 0, 0, 0) ||
		st.st_nlink != LINKS_OF_TWO)
		return false;
	return raw_syscall6(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)&byte, 1, 0,
		       0) == -ENOENT;
}
