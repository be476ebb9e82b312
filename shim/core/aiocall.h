/* io_submit(2) of control blocks of which some name fake eventfds. */
#ifndef EFDSHIM_CORE_AIOCALL_H
#define EFDSHIM_CORE_AIOCALL_H

#include <linux/aio_abi.h>

/* How many were submitted, or -errno. */
long aiocall_submit(unsigned long context, long n, struct iocb **iocbs);

/* What io_getevents and its like gave: the counts of the completions are in the eventfds on return.
 */
long aiocall_completed(long ret);

#endif
